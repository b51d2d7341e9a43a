package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// AuthorizationParams holds the parameters of an authorization request.
// RedirectURI is required; all others are optional.
type AuthorizationParams struct {
	RedirectURI string
	Scope       []string
	Audience    []string // the parameter audience, of Auth0, Hydra and others
	Resource    []string // RFC 8707
	Prompt      string
	LoginHint   string
	ACRValues   []string
	// MaxAge is the maximum age of the login, in whole seconds. Nil means any
	// age, and zero a new login. The ID token is checked against it.
	MaxAge *time.Duration
	// Extra holds additional parameters. A parameter that the request sets
	// itself is refused (PARAM_RESERVED).
	Extra url.Values
}

// AuthorizationRequest is one login in progress: the parameters that were sent,
// and the secrets to compare the response with. It accepts one response.
type AuthorizationRequest struct {
	RedirectURI string
	Scope       []string

	endpoint      string
	issuer        string
	issAnnounced  bool
	pkceAnnounced bool
	params        []param
	resource      []string
	clientID      string
	thumbprint    string
	requestURI    secret.String
	state         secret.String
	nonce         secret.String
	verifier      secret.String
	maxAge        *time.Duration
	acrValues     []string
	answered      atomic.Bool
}

// NewAuthorizationRequest returns an authorization request for the code grant
// (RFC 6749, section 4.1.1) with a new state and PKCE S256 (RFC 7636), and a
// nonce if scope contains openid. It sends nothing.
//
// Errors are Diagnoses: ENDPOINT_MISSING, PKCE_DOWNGRADE if the server lists
// its methods without S256, PARAM_RESERVED, INSECURE_URL.
func (c *Client) NewAuthorizationRequest(p AuthorizationParams) (*AuthorizationRequest, error) {
	server := c.server()
	r := &AuthorizationRequest{
		RedirectURI: p.RedirectURI, Scope: slices.Clone(p.Scope),
		clientID: c.ID, issuer: server.Issuer, issAnnounced: server.AuthorizationResponseIssParameterSupported,
		pkceAnnounced: slices.Contains(server.CodeChallengeMethodsSupported, "S256"),
		resource:      slices.Clone(p.Resource), maxAge: p.MaxAge, acrValues: slices.Clone(p.ACRValues),
		state: random(), verifier: random(),
	}
	if slices.Contains(p.Scope, "openid") {
		r.nonce = random()
	}
	var err error
	if r.endpoint, err = authorizationEndpoint(server); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	// Checked now, so that a user does not log in if the code cannot be
	// exchanged.
	if _, err := c.endpoint("token_endpoint"); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if len(server.CodeChallengeMethodsSupported) > 0 && !r.pkceAnnounced {
		return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{
			ID: diagnosis.PKCEDowngrade, Expected: diagnosis.Values{"S256"}, Got: diagnosis.Values{spaced(server.CodeChallengeMethodsSupported)},
		})
	}
	if u, err := url.Parse(p.RedirectURI); err != nil || u.Scheme == "" || strings.Contains(p.RedirectURI, "#") {
		return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{
			ID: diagnosis.ClientIncomplete, Expected: diagnosis.Values{"a redirect URI that is absolute and has no fragment (RFC 6749, section 3.1.2)"}, Got: diagnosis.Values{p.RedirectURI},
		})
	}
	if c.DPoP != nil {
		r.thumbprint = c.DPoP.Thumbprint()
	}
	if r.params, err = r.parameters(p); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return r, nil
}

func authorizationEndpoint(server *discovery.Server) (string, error) {
	rawURL, err := server.Endpoint("authorization_endpoint")
	if err != nil {
		return "", err
	}
	// It is passed to a browser, where javascript: and file: could do harm.
	if _, err := safehttp.CheckURL(rawURL); err != nil {
		return "", &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"authorization_endpoint to be an https URL"}, Got: diagnosis.Values{rawURL}, Err: err}
	}
	return rawURL, nil
}

// parameters returns the parameters in a readable order.
func (r *AuthorizationRequest) parameters(p AuthorizationParams) ([]param, error) {
	var all []param
	add := func(name, value string) {
		if value != "" {
			all = append(all, param{name, secret.New(value)})
		}
	}
	add("response_type", "code")
	add("client_id", r.clientID)
	add("redirect_uri", r.RedirectURI)
	add("scope", spaced(r.Scope))
	add("state", r.state.Reveal())
	add("nonce", r.nonce.Reveal())
	add("code_challenge", r.CodeChallenge())
	add("code_challenge_method", "S256")
	add("dpop_jkt", r.thumbprint) // binds the code itself (RFC 9449, section 10)
	for _, v := range p.Audience {
		add("audience", v)
	}
	for _, v := range p.Resource {
		add("resource", v)
	}
	add("prompt", p.Prompt)
	add("login_hint", p.LoginHint)
	if p.MaxAge != nil {
		add("max_age", strconv.FormatInt(int64(p.MaxAge.Seconds()), 10))
	}
	add("acr_values", spaced(p.ACRValues))
	return extra(all, p.Extra)
}

// extra adds parameters. They must not replace those that protect the login.
func extra(all []param, more url.Values) ([]param, error) {
	for _, name := range sorted(more) {
		set := slices.ContainsFunc(all, func(p param) bool { return p.name == name })
		if set || isReserved(name) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ParamReserved, Got: diagnosis.Values{name}}
		}
		for _, value := range more[name] {
			all = append(all, param{name, secret.New(value)})
		}
	}
	return all, nil
}

func isReserved(name string) bool {
	switch name {
	case "response_type", "client_id", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method",
		"request", "request_uri", "dpop_jkt", "client_secret", "client_assertion", "client_assertion_type",
		"grant_type", "code", "code_verifier", "refresh_token", "device_code", "response_mode":
		return true
	}
	return false
}

func sorted(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// URL returns the address to open in the browser: the endpoint with the
// parameters, or with the request_uri once it was pushed.
func (r *AuthorizationRequest) URL() string {
	params := r.params
	if !r.requestURI.IsZero() {
		params = []param{{"client_id", secret.New(r.clientID)}, {"request_uri", r.requestURI}}
	}
	u, err := url.Parse(r.endpoint)
	if err != nil {
		return "" // it was parsed when the request was created
	}
	// The endpoint's own query is retained (RFC 6749, section 3.1), except for
	// duplicate parameters.
	own := u.Query()
	var pairs []string
	for _, p := range params {
		own.Del(p.name)
		pairs = append(pairs, p.name+"="+url.QueryEscape(p.value.Reveal()))
	}
	if kept := own.Encode(); kept != "" {
		pairs = append([]string{kept}, pairs...)
	}
	u.RawQuery = strings.Join(pairs, "&")
	return u.String()
}

// Pushed reports whether the request was pushed, so that its URL can be used
// only once.
func (r *AuthorizationRequest) Pushed() bool { return !r.requestURI.IsZero() }

// CodeVerifier returns the PKCE verifier of this request (RFC 7636, section 4.1).
func (r *AuthorizationRequest) CodeVerifier() secret.String { return r.verifier }

// CodeChallenge returns the S256 challenge of the verifier (RFC 7636, section 4.2).
func (r *AuthorizationRequest) CodeChallenge() string { return s256(r.verifier.Reveal()) }

// PKCEAnnounced reports whether the server announces S256. It is used in any
// case; many servers support it silently.
func (r *AuthorizationRequest) PKCEAnnounced() bool { return r.pkceAnnounced }

// Push sends the request's parameters to the server (PAR, RFC 9126).
// Afterwards, [AuthorizationRequest.URL] contains only the client and a
// reference. It is required if Server.RequirePushedAuthorizationRequests is
// true.
func (c *Client) Push(ctx context.Context, r *AuthorizationRequest) error {
	endpoint, err := c.endpoint("pushed_authorization_request_endpoint")
	if err != nil {
		return fmt.Errorf("oauth: %w", err)
	}
	res, err := c.post(ctx, PAREndpoint, endpoint, r.params)
	if err != nil {
		return fmt.Errorf("oauth: %w", err)
	}
	if !res.isGood(http.StatusCreated, http.StatusOK) {
		return res.failed()
	}
	uri, err := res.text("request_uri")
	if err != nil || uri == "" {
		return res.unusable("request_uri", res.what("request_uri"))
	}
	r.requestURI = secret.New(uri)
	return nil
}
