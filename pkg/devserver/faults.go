package devserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Fault is one way in which the server can misbehave, enabled by Config.Faults,
// by the request header X-Dev-Fault, or by POST /_control/fault.
type Fault struct {
	Name string
	// Value describes the value after the equals sign, or is "" if there is
	// none.
	Value string
	// Diagnosis is the id that a client or an API reports, or "" if there is
	// none.
	Diagnosis diagnosis.ID
	Effect    string // one sentence
}

// Faults returns all faults in the order of the documentation: those of access
// tokens, from [forge.Cases], then those of the endpoints.
func Faults() []Fault { return slices.Clone(faultTable()) }

// faultTable is made when it is first needed: most commands never do.
var faultTable = sync.OnceValue(func() []Fault { return slices.Concat(tokenFaults(), endpointFaults) })

// tokenFaults returns the faults of access tokens.
func tokenFaults() []Fault {
	var faults []Fault
	for _, c := range forge.Cases() {
		if c.Name != goodToken {
			faults = append(faults, Fault{c.Name, "", c.Diagnosis, "issues an access token " + c.Phrase})
		}
	}
	return faults
}

// otherIssuer is a reserved name (RFC 2606).
const otherIssuer = "https://issuer.example"

// goodToken is the case of a valid token, which is not a fault.
const goodToken = "good"

// Faults of the endpoints. Those of access tokens have the names of
// [forge.Cases].
const (
	FaultRotate                  = "rotate"
	FaultSameKidNewKey           = "same-kid-new-key"
	FaultJWKS500                 = "jwks-500"
	FaultJWKSHang                = "jwks-hang"
	FaultJWKSSlow                = "jwks-slow"
	FaultEmptyJWKS               = "empty-jwks"
	FaultBadKeyInSet             = "bad-key-in-set"
	FaultWrongState              = "wrong-state"
	FaultWrongIssParam           = "wrong-iss-param"
	FaultNoIssParam              = "no-iss-param"
	FaultWrongNonce              = "wrong-nonce"
	FaultRedirectMismatch        = "redirect-mismatch"
	FaultConsentDenied           = "consent-denied"
	FaultToken500                = "token-500"
	FaultToken429                = "token-429"
	FaultTokenHang               = "token-hang"
	FaultTokenHTML               = "token-html"
	FaultTokenSlow               = "token-slow"
	FaultNarrowerScope           = "narrower-scope"
	FaultNoExpiresIn             = "no-expires-in"
	FaultNoRefreshRotation       = "no-refresh-rotation"
	FaultReusedRefresh           = "reused-refresh"
	FaultDPoPNonce               = "dpop-nonce"
	FaultDiscoveryIssuerMismatch = "discovery-issuer-mismatch"
)

var endpointFaults = []Fault{
	{FaultRotate, "", "", "each token is signed with a new key, which is published in addition to the previous one"},
	{FaultSameKidNewKey, "", diagnosis.KidSameKeyChanged, "from the second request on, the key set has another key with the same kid"},
	{FaultJWKS500, "", diagnosis.KeysUnavailable, "the key set returns 500"},
	{FaultJWKSHang, "", diagnosis.KeysUnavailable, "the key set never responds"},
	{FaultJWKSSlow, "DURATION", "", "the key set responds after that time"},
	{FaultEmptyJWKS, "", diagnosis.KeySetEmpty, "the key set has no keys"},
	{FaultBadKeyInSet, "", "", "the key set has a broken key before the valid one"},
	{FaultWrongState, "", diagnosis.StateMismatch, "the redirect has another state"},
	{FaultWrongIssParam, "", diagnosis.IssParam, "the redirect has another issuer"},
	{FaultNoIssParam, "", diagnosis.IssParam, "the redirect has no issuer, although the metadata announces one"},
	{FaultWrongNonce, "", diagnosis.NonceMismatch, "the ID token has another nonce"},
	{FaultRedirectMismatch, "", diagnosis.RedirectMismatch, "the redirect URI counts as not registered: the user sees an error page, and the client receives no response"},
	{FaultConsentDenied, "", diagnosis.AccessDenied, "the consent of the user counts as a denial"},
	{FaultToken500, "", diagnosis.ServerError, "the token endpoint returns 500"},
	{FaultToken429, "", diagnosis.RateLimited, "the token endpoint returns 429 with Retry-After: 1"},
	{FaultTokenHang, "", diagnosis.Timeout, "the token endpoint never responds"},
	{FaultTokenHTML, "", diagnosis.TokenEndpointShape, "the token endpoint returns 200 with an HTML page"},
	{FaultTokenSlow, "DURATION", "", "the token endpoint responds after that time"},
	{FaultNarrowerScope, "", diagnosis.ScopeMissing, "the last requested scope is not granted, and the response says so"},
	{FaultNoExpiresIn, "", "", "the token response does not say when the access token expires"},
	{FaultNoRefreshRotation, "", "", "a refresh token stays valid and no new one is issued"},
	{FaultReusedRefresh, "", diagnosis.GrantInvalid, "every refresh token counts as already used"},
	{FaultDPoPNonce, "", "", "DPoP proofs need the server's nonce, which it sends if it is missing"},
	{FaultDiscoveryIssuerMismatch, "", diagnosis.IssDiscoveryMismatch, "the metadata has another issuer"},
}

// faultSet holds the active faults by name, with their values.
type faultSet map[string]string

func (f faultSet) has(name string) bool {
	_, ok := f[name]
	return ok
}

// delay returns the duration of a fault, or 0 if it is not active.
func (f faultSet) delay(name string) time.Duration {
	d, err := time.ParseDuration(f[name])
	if err != nil {
		return 0
	}
	return d
}

// parseFaults parses faults in the form NAME or NAME=VALUE.
func parseFaults(list []string) (faultSet, error) {
	set := faultSet{}
	for _, text := range list {
		name, value, _ := strings.Cut(strings.TrimSpace(text), "=")
		table := faultTable()
		i := slices.IndexFunc(table, func(f Fault) bool { return f.Name == name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("unknown fault %s%s", diagnosis.Quote(name), near(name, faultNames()))
		case table[i].Value == "" && value != "":
			return nil, fmt.Errorf("the fault %s takes no value", name)
		case table[i].Value != "":
			if d, err := time.ParseDuration(value); err != nil || d < 0 {
				return nil, fmt.Errorf("expected %s=DURATION, for instance %s=2s, got %s", name, name, diagnosis.Quote(value))
			}
		}
		set[name] = value
	}
	return set, nil
}

// names returns the names in the order of the table.
func (f faultSet) names() []string {
	names := []string{}
	for _, one := range faultTable() {
		if f.has(one.Name) {
			names = append(names, one.Name)
		}
	}
	return names
}

func faultNames() []string {
	var names []string
	for _, f := range faultTable() {
		names = append(names, f.Name)
	}
	return names
}

// near returns a suggestion for a mistyped name, as the end of a message, or "".
func near(text string, names []string) string {
	best, least := "", 4
	for _, name := range names {
		if d := diagnosis.Distance(text, name); d < least && d < len(name)/2 {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

type faultKey struct{}

// withFaults adds the active faults to each request: those of every request, and
// those in its header.
func (s *Server) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inForce := s.activeFaults()
		if fields := splitFaults(r); len(fields) > 0 {
			own, err := parseFaults(fields)
			if err != nil {
				http.Error(w, "X-Dev-Fault: "+err.Error(), http.StatusBadRequest)
				return
			}
			for name, value := range inForce {
				if !own.has(name) {
					own[name] = value
				}
			}
			inForce = own
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, inForce)))
	})
}

// splitFaults returns the faults in a request's header.
func splitFaults(r *http.Request) []string {
	fields := r.Header.Values("X-Dev-Fault")
	if len(fields) == 0 {
		return nil
	}
	return strings.Split(strings.Join(fields, ","), ",")
}

func faultsOf(r *http.Request) faultSet {
	f, _ := r.Context().Value(faultKey{}).(faultSet)
	return f
}

// wait waits for a delay, or until the client has closed the connection.
func wait(r *http.Request, d time.Duration) {
	if d > 0 {
		_ = safehttp.Pause(r.Context(), d)
	}
}

// hang waits until the client has closed the connection, which is noticed only
// after its request was read, but at most five minutes.
func hang(r *http.Request) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, bodyLimit))
	}
	wait(r, 5*time.Minute)
}
