package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Server is the metadata of an authorization server (RFC 8414, section 2; OpenID
// Connect Discovery, section 3). An endpoint that is missing or not valid is the
// empty string; [Server.Endpoint] returns the reason. Endpoints found by
// [FindServer] are https, or loopback if the issuer is loopback.
type Server struct {
	Issuer                             string
	AuthorizationEndpoint              string
	TokenEndpoint                      string
	JWKSURI                            string
	RegistrationEndpoint               string
	RevocationEndpoint                 string
	IntrospectionEndpoint              string
	UserinfoEndpoint                   string
	EndSessionEndpoint                 string
	DeviceAuthorizationEndpoint        string
	PushedAuthorizationRequestEndpoint string

	ScopesSupported                   []string
	ResponseTypesSupported            []string
	GrantTypesSupported               []string
	TokenEndpointAuthMethodsSupported []string
	CodeChallengeMethodsSupported     []string
	SubjectTypesSupported             []string
	IDTokenSigningAlgValuesSupported  []string
	DPoPSigningAlgValuesSupported     []string

	RequirePushedAuthorizationRequests         bool
	AuthorizationResponseIssParameterSupported bool
	// ClientIDMetadataDocumentSupported reports that a client id may be the URL of
	// a client id metadata document.
	ClientIDMetadataDocumentSupported bool

	// MTLSEndpointAliases holds the endpoints for clients that authenticate
	// with a certificate, by metadata name (RFC 8705, section 5).
	MTLSEndpointAliases map[string]string

	// Problems lists the invalid members, which count as absent.
	Problems []Problem
	// Raw is the unparsed document, or nil if the endpoints were configured.
	Raw jsontext.Value
}

// fields returns the endpoints by their metadata names.
func (s *Server) fields() map[string]*string {
	return map[string]*string{
		"authorization_endpoint":                &s.AuthorizationEndpoint,
		"token_endpoint":                        &s.TokenEndpoint,
		"jwks_uri":                              &s.JWKSURI,
		"registration_endpoint":                 &s.RegistrationEndpoint,
		"revocation_endpoint":                   &s.RevocationEndpoint,
		"introspection_endpoint":                &s.IntrospectionEndpoint,
		"userinfo_endpoint":                     &s.UserinfoEndpoint,
		"end_session_endpoint":                  &s.EndSessionEndpoint,
		"device_authorization_endpoint":         &s.DeviceAuthorizationEndpoint,
		"pushed_authorization_request_endpoint": &s.PushedAuthorizationRequestEndpoint,
	}
}

// Endpoint returns the URL of an endpoint by its metadata name. If it is
// missing, the error is a Diagnosis: the Problem of that member;
// METADATA_INVALID if the metadata must have it (RFC 8414, section 2);
// ENDPOINT_MISSING if it is optional or there is no metadata.
func (s *Server) Endpoint(name string) (string, error) {
	if field := s.fields()[name]; field != nil && *field != "" {
		return *field, nil
	}
	if d := s.problem(name); d != nil {
		return "", d
	}
	d := &diagnosis.Diagnosis{ID: diagnosis.EndpointMissing, Expected: diagnosis.Values{name}, Got: diagnosis.None}
	if s.requires(name) {
		d.ID, d.Expected = diagnosis.MetadataInvalid, diagnosis.Values{name + " (RFC 8414, section 2)"}
	}
	return "", d
}

// Alias returns the URL of an endpoint for clients that authenticate with a
// certificate (RFC 8705, section 5): the one in MTLSEndpointAliases, or
// otherwise that of [Server.Endpoint].
func (s *Server) Alias(name string) (string, error) {
	if alias := s.MTLSEndpointAliases[name]; alias != "" {
		return alias, nil
	}
	if d := s.problem("mtls_endpoint_aliases." + name); d != nil {
		return "", d
	}
	return s.Endpoint(name)
}

func (s *Server) problem(member string) *diagnosis.Diagnosis {
	for _, p := range s.Problems {
		if p.Member == member {
			return p.Err
		}
	}
	return nil
}

// requires reports whether the metadata must have the endpoint, according to the
// grants it lists. A document without any grant, such as one that only publishes
// keys, needs neither endpoint.
func (s *Server) requires(name string) bool {
	if s.Raw == nil {
		return false
	}
	announced := func(grant string) bool { return slices.Contains(s.GrantTypesSupported, grant) }
	code := announced("authorization_code") || len(s.GrantTypesSupported) == 0 &&
		(slices.ContainsFunc(s.ResponseTypesSupported, hasCode) || s.AuthorizationEndpoint != "" && len(s.ResponseTypesSupported) == 0)
	switch name {
	case "authorization_endpoint":
		return code || announced("implicit")
	case "token_endpoint":
		return code || slices.ContainsFunc(s.GrantTypesSupported, func(grant string) bool { return grant != "implicit" })
	}
	return false
}

func hasCode(responseType string) bool {
	return slices.Contains(strings.Fields(responseType), "code")
}

// check returns why a login at the server is impossible. Its keys can be used
// anyway.
func (s *Server) check() error {
	if s.TokenEndpoint == "" && s.requires("token_endpoint") {
		_, err := s.Endpoint("token_endpoint")
		return err
	}
	return nil
}

// FindServer reads the metadata of the authorization server that is issuer. It
// tries the well-known URLs of RFC 8414 and OpenID Connect Discovery in turn, in
// both forms if the issuer has a path, and uses the first document whose issuer
// is identical. Instead of the issuer, the URL of such a document is accepted.
//
// If client is nil, the zero client is used. Errors are Diagnoses:
// ISS_DISCOVERY_MISMATCH, or ISS_SLASH if only a trailing slash differs (both
// Unsafe), METADATA_INVALID, METADATA_NOT_FOUND, INSECURE_URL, SERVER_ERROR,
// RATE_LIMITED and those of safehttp.
func FindServer(ctx context.Context, c *safehttp.Client, issuer string) (*Server, error) {
	server, _, err := TraceServer(ctx, c, issuer)
	return server, err
}

// TraceServer is like [FindServer], and also returns each URL and its result, even
// with an error.
func TraceServer(ctx context.Context, c *safehttp.Client, issuer string) (*Server, Trail, error) {
	f := finder{client: c}
	server, err := f.server(ctx, issuer)
	return server, f.trail, err
}

// FindServerAt reads the metadata of issuer from metadataURL, for servers whose
// document is not at a URL derived from the issuer. The document's issuer must
// still be issuer; if it contains {tenantid}, as in Entra ID's documents for all
// tenants, the issuer may have any one path segment there. The caller must trust
// metadataURL as much as the issuer (RFC 8414, section 6.2). Results are those of
// [TraceServer].
func FindServerAt(ctx context.Context, c *safehttp.Client, metadataURL, issuer string) (*Server, Trail, error) {
	if _, err := checkIssuer(issuer); err != nil {
		return nil, nil, err
	}
	if _, err := checkURL(metadataURL); err != nil {
		return nil, nil, err
	}
	f := finder{client: c}
	server := f.serverAt(ctx, metadataURL, func(got string) (string, error) {
		if matchesTemplate(got, issuer) {
			return issuer, nil
		}
		return got, sameIssuer(got, issuer)
	})
	if server == nil {
		return nil, f.trail, f.failure("no authorization server metadata for " + diagnosis.Quote(issuer))
	}
	return server, f.trail, nil
}

// tenantTemplate is the placeholder of Entra ID for a tenant.
const tenantTemplate = "{tenantid}"

func matchesTemplate(template, issuer string) bool {
	before, after, found := strings.Cut(template, tenantTemplate)
	tenant, ok := strings.CutPrefix(issuer, before)
	if !found || !ok {
		return false
	}
	tenant, ok = strings.CutSuffix(tenant, after)
	return ok && tenant != "" && !strings.ContainsAny(tenant, "/{}")
}

// server tries the URLs of issuer, or reads the document if issuer is its URL.
func (f *finder) server(ctx context.Context, issuer string) (*Server, error) {
	u, err := checkIssuer(issuer)
	if err != nil {
		return nil, err
	}
	places, fits := serverPlaces(u), func(got string) (string, error) { return got, sameIssuer(got, issuer) }
	if of, ok := issuerOfDocument(u); ok {
		// The URL is derived from the issuer without its last slash, so both
		// spellings are accepted.
		places = []string{issuer}
		fits = func(got string) (string, error) {
			if got == of+"/" {
				return got, nil
			}
			return got, sameIssuer(got, of)
		}
	}
	for _, place := range places {
		if server := f.serverAt(ctx, place, fits); server != nil {
			return server, nil
		}
		if f.gone {
			break
		}
	}
	return nil, f.failure("no authorization server metadata for " + diagnosis.Quote(issuer))
}

// serverAt reads one URL. Fits returns the issuer to use, or the error of a
// document with another one. The result is nil if there is no usable document.
func (f *finder) serverAt(ctx context.Context, place string, fits func(got string) (string, error)) *Server {
	body, ok := f.fetch(ctx, place)
	if !ok {
		return nil
	}
	server, err := parseServer(body, fits)
	if err == nil && f.login {
		err = server.check()
	}
	if err != nil {
		f.refuse("authorization server metadata", err)
		return nil
	}
	f.pass("authorization server metadata", "issuer is identical")
	return server
}

// checkIssuer checks RFC 8414, section 2: an https URL without query and
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

// checkURL returns the error INSECURE_URL also for text that is not a URL.
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

// serverPlaces returns the URLs in the order of RFC 8414, sections 3.1 and 5,
// and OpenID Connect Discovery, section 4: the well-known part inserted before
// the issuer's path, then appended to it as OpenID providers do.
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

// IsServerDocument reports whether rawURL is a well-known URL of authorization
// server metadata.
func IsServerDocument(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	_, ok := issuerOfDocument(u)
	return ok
}

// issuerOfDocument returns the issuer that a metadata URL is derived from, and
// whether u is such a URL.
func issuerOfDocument(u *url.URL) (issuer string, ok bool) {
	path := u.EscapedPath()
	for _, wellKnown := range []string{wellKnownServer, wellKnownOpenID} {
		before, after, found := strings.Cut(path, wellKnown)
		if found && (before == "" || after == "") && (after == "" || after[0] == '/') {
			return u.Scheme + "://" + u.Host + before + strings.TrimSuffix(after, "/"), true
		}
	}
	return "", false
}

// ParseServer parses authorization server metadata that was found for issuer.
// Its issuer must be identical, character for character (RFC 8414, section 3.3).
// Other invalid members are reported in Problems. Errors are Diagnoses as of
// [TraceServer].
func ParseServer(data []byte, issuer string) (*Server, error) {
	return parseServer(data, func(got string) (string, error) { return got, sameIssuer(got, issuer) })
}

func parseServer(data []byte, fits func(got string) (string, error)) (*Server, error) {
	d, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	s := &Server{Raw: jsontext.Value(data).Clone()}
	got := d.text("issuer")
	if d.problems != nil {
		return nil, &d.problems[0]
	}
	if s.Issuer, err = fits(got); err != nil {
		return nil, err
	}
	for name, field := range s.fields() {
		*field = d.endpoint(name, s.Issuer)
	}
	for name, field := range map[string]*[]string{
		"scopes_supported":                      &s.ScopesSupported,
		"response_types_supported":              &s.ResponseTypesSupported,
		"grant_types_supported":                 &s.GrantTypesSupported,
		"token_endpoint_auth_methods_supported": &s.TokenEndpointAuthMethodsSupported,
		"code_challenge_methods_supported":      &s.CodeChallengeMethodsSupported,
		"subject_types_supported":               &s.SubjectTypesSupported,
		"id_token_signing_alg_values_supported": &s.IDTokenSigningAlgValuesSupported,
		"dpop_signing_alg_values_supported":     &s.DPoPSigningAlgValuesSupported,
	} {
		*field = d.list(name)
	}
	s.RequirePushedAuthorizationRequests = d.flag("require_pushed_authorization_requests")
	s.AuthorizationResponseIssParameterSupported = d.flag("authorization_response_iss_parameter_supported")
	s.ClientIDMetadataDocumentSupported = d.flag("client_id_metadata_document_supported")
	s.MTLSEndpointAliases = d.endpoints("mtls_endpoint_aliases", s.Issuer)
	s.Problems = d.sorted()
	return s, nil
}

func sameIssuer(got, asked string) error {
	switch {
	case got == "":
		return &Problem{"issuer", &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"issuer " + diagnosis.Quote(asked)}, Got: diagnosis.Values{"no issuer"}}}
	case got == asked:
		return nil
	}
	d := &diagnosis.Diagnosis{
		ID: diagnosis.IssDiscoveryMismatch, As: diagnosis.Unsafe,
		Expected: diagnosis.Values{asked}, Got: diagnosis.Values{got},
	}
	if got == asked+"/" || got+"/" == asked {
		d.ID = diagnosis.IssSlash
	}
	return d
}
