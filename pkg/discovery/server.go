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

// Server is an authorization server's metadata (RFC 8414, section 2; OpenID
// Connect Discovery, section 3). An endpoint that the server does not name, or
// whose value cannot be used, is the empty string; [Server.Endpoint] says which.
// One that was found by [FindServer] is https, or loopback where the issuer is
// loopback.
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
	// a document that describes the client (OAuth Client ID Metadata Document).
	ClientIDMetadataDocumentSupported bool

	// MTLSEndpointAliases holds, by metadata name, the endpoints for clients
	// that authenticate by certificate (RFC 8705, section 5).
	MTLSEndpointAliases map[string]string

	// Problems are the members that cannot be used and so count as absent.
	Problems []Problem
	// Raw is the document as it came; nil where the endpoints were configured.
	Raw jsontext.Value
}

// Supports reports whether list holds value. Most lists of the metadata are
// optional, so an empty one does not mean that nothing is supported: look at its
// length first.
func Supports(list []string, value string) bool { return slices.Contains(list, value) }

// fields are the endpoints by their metadata names.
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

// Endpoint returns the URL of an endpoint by its metadata name. Without one the
// error is a Diagnosis that says why: the Problem of that member;
// METADATA_INVALID where the metadata has to name it (RFC 8414, section 2);
// ENDPOINT_MISSING where it is optional, or where there is no metadata.
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

// Alias returns the endpoint's URL for clients that authenticate by certificate
// (RFC 8705, section 5): the one of MTLSEndpointAliases, or that of
// [Server.Endpoint] where there is none.
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

// requires reports whether the metadata, by what else it announces, has to name
// the endpoint. A document that announces no grant at all, such as one that only
// publishes keys, has to name neither.
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

// check returns why nobody could log in at the server, which is no reason to
// refuse its keys.
func (s *Server) check() error {
	if s.TokenEndpoint == "" && s.requires("token_endpoint") {
		_, err := s.Endpoint("token_endpoint")
		return err
	}
	return nil
}

// FindServer reads the metadata of the authorization server that is issuer. It
// asks the places of RFC 8414 and OpenID Connect Discovery in turn, for an
// issuer with a path in both path forms, and takes the first document whose
// issuer is identical to the one asked for. The URL of such a document stands
// for the issuer that it is made from.
//
// A nil client means the zero one. The Trail lists each place and what was found
// there, also with an error. Errors are Diagnoses: ISS_DISCOVERY_MISMATCH, or
// ISS_SLASH where only a trailing slash differs (both Unsafe),
// METADATA_INVALID, METADATA_NOT_FOUND, INSECURE_URL, SERVER_ERROR,
// RATE_LIMITED and those of safehttp.
func FindServer(ctx context.Context, c *safehttp.Client, issuer string) (*Server, Trail, error) {
	f := finder{client: c}
	server, err := f.server(ctx, issuer)
	return server, f.trail, err
}

// FindServerAt reads the metadata of issuer from metadataURL, the URL of the
// document itself, for servers whose document is not at a place that is made
// from the issuer. The document's issuer must be issuer all the same; where it
// holds {tenantid}, as Entra ID's documents for all tenants do, the issuer is one
// with another path segment in its place. Who calls this trusts metadataURL as
// much as the issuer (RFC 8414, section 6.2). Results are as of [FindServer].
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

// tenantTemplate is what Entra ID writes in place of a tenant.
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

// server searches the places of issuer, or reads the document whose URL it is.
func (f *finder) server(ctx context.Context, issuer string) (*Server, error) {
	u, err := checkIssuer(issuer)
	if err != nil {
		return nil, err
	}
	places, fits := serverPlaces(u), func(got string) (string, error) { return got, sameIssuer(got, issuer) }
	if of, ok := issuerOfDocument(u); ok {
		// The place is made from the issuer without its last slash, so either
		// spelling is the one meant.
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

// serverAt reads one place. Fits returns the issuer to go on with, or why the
// document's is not it. The result is nil where there is no usable document.
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
	f.accept("authorization server metadata", "issuer is identical")
	return server
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

// checkURL names what is not a URL at all as what it is to a user: a URL that is
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

// IsServerDocument reports whether rawURL is that of a document at one of the
// places where the metadata of an authorization server belongs.
func IsServerDocument(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	_, ok := issuerOfDocument(u)
	return ok
}

// issuerOfDocument returns the issuer that a metadata document's URL is made
// from, and whether u is such a URL.
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

// ParseServer reads authorization server metadata that was found for issuer.
// Its issuer must be identical, character for character (RFC 8414, section 3.3).
// Any other member that cannot be used is one of the result's Problems. Errors
// are Diagnoses as of [FindServer].
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
		ID: diagnosis.DiscoveryMismatch, As: diagnosis.Unsafe,
		Expected: diagnosis.Values{asked}, Got: diagnosis.Values{got},
	}
	if got == asked+"/" || got+"/" == asked {
		d.ID = diagnosis.IssuerSlash
	}
	return d
}
