package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Server is an authorization server's metadata (RFC 8414, section 2; OpenID
// Connect Discovery, section 3). An endpoint that the server does not name is
// the empty string. One that was found by [FindServer] is https, or loopback
// where the issuer is loopback.
type Server struct {
	Issuer                             string `json:"issuer"`
	AuthorizationEndpoint              string `json:"authorization_endpoint,omitempty"`
	TokenEndpoint                      string `json:"token_endpoint,omitempty"`
	JWKSURI                            string `json:"jwks_uri,omitempty"`
	RegistrationEndpoint               string `json:"registration_endpoint,omitempty"`
	RevocationEndpoint                 string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint              string `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint                   string `json:"userinfo_endpoint,omitempty"`
	EndSessionEndpoint                 string `json:"end_session_endpoint,omitempty"`
	DeviceAuthorizationEndpoint        string `json:"device_authorization_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"`

	ScopesSupported                   []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported            []string `json:"response_types_supported,omitempty"`
	GrantTypesSupported               []string `json:"grant_types_supported,omitempty"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported,omitempty"`
	SubjectTypesSupported             []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported  []string `json:"id_token_signing_alg_values_supported,omitempty"`
	DPoPSigningAlgValuesSupported     []string `json:"dpop_signing_alg_values_supported,omitempty"`

	RequirePushedAuthorizationRequests         bool `json:"require_pushed_authorization_requests,omitzero"`
	AuthorizationResponseIssParameterSupported bool `json:"authorization_response_iss_parameter_supported,omitzero"`

	// MTLSEndpointAliases holds, by metadata name, the endpoints for clients
	// that authenticate by certificate (RFC 8705, section 5).
	MTLSEndpointAliases map[string]string `json:"mtls_endpoint_aliases,omitempty"`

	// Raw is the document as it came.
	Raw jsontext.Value `json:"-"`
}

// Supports reports whether list holds value. Most lists of the metadata are
// optional, so an empty one is not a no: look at its length first.
func Supports(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}

// FindServer reads the metadata of the authorization server that is issuer. It
// asks the places of RFC 8414 and OpenID Connect Discovery in turn, for an
// issuer with a path in both path forms, and takes the first document whose
// issuer is identical to the one asked for.
//
// A nil client means the zero one. The Trail tells each place and what became
// of it, also with an error. Errors are Diagnoses: ISS_DISCOVERY_MISMATCH, or
// ISS_SLASH where only a trailing slash differs (both Unsafe),
// METADATA_INVALID, INSECURE_ENDPOINT, METADATA_NOT_FOUND, INSECURE_URL,
// SERVER_ERROR, RATE_LIMITED and those of safehttp.
func FindServer(ctx context.Context, c *safehttp.Client, issuer string) (*Server, Trail, error) {
	u, err := checkIssuer(issuer)
	if err != nil {
		return nil, nil, err
	}
	f := finder{client: c}
	for _, place := range serverPlaces(u) {
		body, ok := f.fetch(ctx, place)
		if !ok {
			if f.gone {
				break
			}
			continue
		}
		server, err := ParseServer(body, issuer)
		if err != nil {
			f.refuse("authorization server metadata", err)
			continue
		}
		f.accept("authorization server metadata", "issuer is identical")
		return server, f.trail, nil
	}
	return nil, f.trail, f.failure("no authorization server metadata for " + diagnosis.Quote(issuer))
}

// checkIssuer applies RFC 8414, section 2: an https URL without query and
// fragment. Loopback may be http.
func checkIssuer(issuer string) (*url.URL, error) {
	u, err := checkURL(issuer)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return nil, fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
			ID: diagnosis.MetadataNotFound, Expected: diagnosis.Values{"an issuer without query and fragment (RFC 8414, section 2)"}, Got: diagnosis.Values{issuer},
		})
	}
	return u, nil
}

// checkURL names what is no URL at all as what it is to a user: a URL that is
// not https.
func checkURL(rawURL string) (*url.URL, error) {
	u, err := safehttp.CheckURL(rawURL)
	var d *diagnosis.Diagnosis
	if err != nil && !errors.As(err, &d) {
		err = &diagnosis.Diagnosis{ID: diagnosis.InsecureURL, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return u, nil
}

const (
	wellKnownServer = "/.well-known/oauth-authorization-server"
	wellKnownOpenID = "/.well-known/openid-configuration"
)

// serverPlaces lists the URLs in the order of RFC 8414, sections 3.1 and 5, and
// OpenID Connect Discovery, section 4: the well-known part inserted before the
// issuer's path, then appended to it as OpenID providers do.
func serverPlaces(issuer *url.URL) []string {
	origin := issuer.Scheme + "://" + issuer.Host
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	if path == "" {
		return []string{origin + wellKnownServer, origin + wellKnownOpenID}
	}
	return []string{
		origin + wellKnownServer + path,
		origin + wellKnownOpenID + path,
		origin + path + wellKnownOpenID,
		origin + path + wellKnownServer,
	}
}

// ParseServer reads authorization server metadata that was found for issuer.
// Its issuer must be identical, character for character (RFC 8414, section
// 3.3), and each endpoint an https URL, or a loopback one where the issuer is
// loopback. Errors are Diagnoses as of [FindServer].
func ParseServer(data []byte, issuer string) (*Server, error) {
	server := &Server{Raw: jsontext.Value(data).Clone()}
	if err := decode(data, server); err != nil {
		return nil, err
	}
	if err := sameIssuer(server.Issuer, issuer); err != nil {
		return nil, err
	}
	for _, e := range server.endpoints() {
		if err := checkEndpoint(e.name, e.url, issuer); err != nil {
			return nil, err
		}
	}
	return server, nil
}

func sameIssuer(got, asked string) error {
	switch {
	case got == "":
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{fmt.Sprintf("issuer %s", diagnosis.Quote(asked))}, Got: diagnosis.Values{"no issuer"}}
	case got == asked:
		return nil
	}
	d := &diagnosis.Diagnosis{
		ID: diagnosis.DiscoveryMismatch, As: diagnosis.Unsafe,
		Expected: diagnosis.Values{asked}, Got: diagnosis.Values{got},
	}
	if got == asked+"/" || got+"/" == asked {
		d.ID = diagnosis.IssuerSlash
		d.Hint = fmt.Sprintf("if that is the server you mean, use its own spelling: %s", diagnosis.Quote(got))
	}
	return d
}

type endpoint struct{ name, url string }

func (s *Server) endpoints() []endpoint {
	all := []endpoint{
		{"authorization_endpoint", s.AuthorizationEndpoint},
		{"token_endpoint", s.TokenEndpoint},
		{"jwks_uri", s.JWKSURI},
		{"registration_endpoint", s.RegistrationEndpoint},
		{"revocation_endpoint", s.RevocationEndpoint},
		{"introspection_endpoint", s.IntrospectionEndpoint},
		{"userinfo_endpoint", s.UserinfoEndpoint},
		{"end_session_endpoint", s.EndSessionEndpoint},
		{"device_authorization_endpoint", s.DeviceAuthorizationEndpoint},
		{"pushed_authorization_request_endpoint", s.PushedAuthorizationRequestEndpoint},
	}
	for name, rawURL := range s.MTLSEndpointAliases {
		all = append(all, endpoint{"mtls_endpoint_aliases." + name, rawURL})
	}
	return all
}

// checkEndpoint refuses what is no web address, what is not encrypted, and a
// public server (or API) at owner that points into this machine or its network.
func checkEndpoint(name, rawURL, owner string) error {
	if rawURL == "" {
		return nil
	}
	home, host := hostOf(owner), hostOf(rawURL)
	u, err := url.Parse(rawURL)
	if err == nil && u.Scheme == "http" && host != "" && !(safehttp.IsLoopback(host) && safehttp.IsLoopback(home)) {
		return &diagnosis.Diagnosis{ID: diagnosis.InsecureEndpoint, Expected: diagnosis.Values{name + " to be https"}, Got: diagnosis.Values{rawURL}}
	}
	if _, err := safehttp.CheckURL(rawURL); err != nil || strings.Contains(rawURL, "#") {
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{name + " to be an https URL"}, Got: diagnosis.Values{rawURL}}
	}
	if isInside(host) && !isInside(home) {
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{name + " at a public address, as that of " + diagnosis.Quote(owner) + " is"}, Got: diagnosis.Values{rawURL}}
	}
	return nil
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// isInside reports whether host can be told, without a look-up, to be this
// machine or a network of its own (RFC 9728, section 7.7).
func isInside(host string) bool {
	if safehttp.IsLoopback(host) || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}

// decode reads one JSON object strictly. The cause is told without the text, in
// which a server could hide anything.
func decode(data []byte, into any) error {
	value := jsontext.Value(data)
	if !value.IsValid() {
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"one JSON object without duplicate names"}, Got: diagnosis.Values{"something else"}}
	}
	if value.Kind() != '{' {
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"a JSON object"}, Got: diagnosis.Values{"another JSON value"}}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"members of the types RFC 8414 and RFC 9728 give them"}, Got: diagnosis.Values{err.Error()}}
	}
	return nil
}
