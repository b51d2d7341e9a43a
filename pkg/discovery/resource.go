package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Resource is a protected resource's metadata (RFC 9728, section 2).
type Resource struct {
	Resource                      string
	AuthorizationServers          []string
	JWKSURI                       string
	ScopesSupported               []string
	BearerMethodsSupported        []string
	ResourceName                  string
	DPoPSigningAlgValuesSupported []string
	DPoPBoundAccessTokensRequired bool

	// ChallengeScope is the scope of the API's challenge (RFC 6750, section 3),
	// or nil if it has none or there was no challenge.
	ChallengeScope []string
	// Problems lists the invalid members, which count as absent.
	Problems []Problem
	// Raw is the unparsed document.
	Raw jsontext.Value
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// FindResource reads the metadata of the protected resource at api. It first
// sends a request to the API, whose 401 has the URL of the metadata (RFC 9728,
// section 5), then tries the well-known URL for the API's path, then the one at
// the root.
//
// The document's resource must match its location: api itself; at the root also
// the origin; for a URL in the challenge any path above api at the same origin.
// A slash on an empty path is ignored. If client is nil, the zero client is
// used. The Trail is returned even with an error. Errors are Diagnoses:
// PRM_RESOURCE_MISMATCH, METADATA_INVALID, INSECURE_ENDPOINT,
// METADATA_NOT_FOUND, SERVER_ERROR, RATE_LIMITED and those of safehttp.
func FindResource(ctx context.Context, c *safehttp.Client, api string) (*Resource, Trail, error) {
	f := finder{client: c}
	resource, _, err := f.resource(ctx, api)
	return resource, f.trail, err
}

// FindResourceFrom is like [FindResource] for a caller that already has the
// API's response to a request without a token. The API is not requested again.
// The Trail begins with that response.
func FindResourceFrom(ctx context.Context, c *safehttp.Client, api, method string, status int, header http.Header) (*Resource, Trail, error) {
	u, err := checkURL(api)
	if err != nil {
		return nil, nil, err
	}
	f := finder{client: c, trail: Trail{{Method: method, URL: api}}}
	a := asked{status: status}
	if status == http.StatusUnauthorized {
		a = f.read(header.Values("WWW-Authenticate"), api)
	} else {
		f.pass(statusText(status), "no challenge")
	}
	resource, _, err := f.challenged(ctx, u, api, a)
	return resource, f.trail, err
}

// resource searches for the metadata, and reports whether the result, even if it
// is an error, is from the API's challenge.
func (f *finder) resource(ctx context.Context, api string) (*Resource, bool, error) {
	u, err := checkURL(api)
	if err != nil {
		return nil, false, err
	}
	if of, ok := resourceOfDocument(u); ok {
		resource, err := f.document(ctx, api, of, AtChallenge)
		if err == nil && resource == nil {
			err = f.failure("no protected resource metadata at " + diagnosis.Quote(api))
		}
		return resource, true, err
	}
	asked := f.challenge(ctx, http.MethodGet, api)
	if f.post && asked.refusesGET() {
		asked = f.challenge(ctx, http.MethodPost, api)
	}
	if f.gone {
		return nil, false, f.failure("no response")
	}
	return f.challenged(ctx, u, api, asked)
}

// challenged tries the metadata URLs in the API's challenge.
func (f *finder) challenged(ctx context.Context, u *url.URL, api string, asked asked) (*Resource, bool, error) {
	if asked.place != "" {
		resource, err := f.document(ctx, asked.place, api, AtChallenge)
		if resource != nil {
			resource.ChallengeScope = asked.scope
		}
		if resource != nil || err != nil {
			return resource, true, err
		}
	}
	for i, place := range resourcePlaces(u) {
		where := AtPath
		if i > 0 {
			where = AtRoot
		}
		// The trail has the error; the next URL may be the right one.
		if resource, _ := f.document(ctx, place, api, where); resource != nil {
			resource.ChallengeScope = asked.scope
			return resource, false, nil
		}
		if f.gone {
			return nil, false, f.failure("no response")
		}
	}
	return nil, false, f.failure("no protected resource metadata for " + diagnosis.Quote(api))
}

// asked is an API's response to a request without a token.
type asked struct {
	status int
	place  string // of the metadata, or "" if the challenge has no usable URL
	scope  []string
}

// refusesGET reports that the API requires another method, so its challenge may
// be sent only for that one.
func (a asked) refusesGET() bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	}
	return a.status >= 400 && a.status < 500
}

// challenge sends a request without a token to the API and reads the 401.
func (f *finder) challenge(ctx context.Context, method, api string) asked {
	f.trail = append(f.trail, Step{Method: method, URL: api})
	ctx, connected, cancel := f.limited(ctx)
	defer cancel()
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, method, api, body)
	if err != nil {
		f.lost(err, false)
		return asked{}
	}
	req.Header.Set("Accept", "application/json, text/event-stream, */*;q=0.5")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := f.http().Stream(req)
	if err != nil {
		f.lost(err, connected())
		return asked{}
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		f.pass(statusText(res.StatusCode), "no challenge")
		return asked{status: res.StatusCode}
	}
	return f.read(res.Header.Values("WWW-Authenticate"), api)
}

// read reads the challenges of a 401, and notes their faults in the trail.
// Parameters before a syntax error are used.
func (f *finder) read(fields []string, api string) asked {
	a := asked{status: http.StatusUnauthorized}
	all, syntax := challenge.Parse(fields)
	named := false
	for _, c := range all {
		if scope := c.Get("scope"); a.scope == nil && scope != "" {
			a.scope = strings.Fields(scope)
		}
		if named = named || c.Has("resource_metadata"); a.place == "" {
			a.place = c.Get("resource_metadata")
		}
	}
	var at *challenge.SyntaxError
	switch {
	case a.place != "":
		found := "401 with resource_metadata " + diagnosis.Quote(a.place)
		if err := checkEndpoint("resource_metadata", a.place, api); err != nil {
			f.refuse(found, err)
			a.place = ""
			return a
		}
		f.pass(found, "continuing there")
		return a
	case len(fields) == 0:
		f.pass("401 without WWW-Authenticate (RFC 9110, section 11.6.1, requires it)", lookElsewhere)
	case errors.As(syntax, &at):
		f.pass(fmt.Sprintf("401 with a WWW-Authenticate field that cannot be parsed (line %d, byte %d)", at.Line, at.Offset), lookElsewhere)
	case named:
		f.pass("401 with an empty resource_metadata", lookElsewhere)
	default:
		f.pass("401 with a challenge without resource_metadata", lookElsewhere)
	}
	return a
}

const lookElsewhere = "trying the well-known URLs"

// resourceOfDocument returns the resource that a metadata URL is derived from,
// and whether u is such a URL.
func resourceOfDocument(u *url.URL) (resource string, ok bool) {
	after, found := strings.CutPrefix(u.EscapedPath(), wellKnownResource)
	if !found || after != "" && after[0] != '/' {
		return "", false
	}
	resource = u.Scheme + "://" + u.Host + after
	if u.RawQuery != "" {
		resource += "?" + u.RawQuery
	}
	return resource, true
}

// document reads one URL. Without a document, both results are nil.
func (f *finder) document(ctx context.Context, place, api string, where Place) (*Resource, error) {
	body, ok := f.fetch(ctx, place)
	if !ok {
		return nil, nil
	}
	resource, err := ParseResource(body, api, where)
	if err != nil {
		f.refuse("protected resource metadata", err)
		return nil, fmt.Errorf("discovery: %w", err)
	}
	f.pass("protected resource metadata", "resource "+diagnosis.Quote(resource.Resource)+" fits")
	return resource, nil
}

// resourcePlaces returns the well-known URL for the API's path (RFC 9728,
// section 3.1), and the one at the root, which many APIs use.
func resourcePlaces(api *url.URL) []string {
	origin := api.Scheme + "://" + api.Host
	path := strings.TrimSuffix(api.EscapedPath(), "/")
	query := ""
	if api.RawQuery != "" {
		query = "?" + api.RawQuery
	}
	if path == "" {
		return []string{origin + wellKnownResource + query}
	}
	return []string{origin + wellKnownResource + path + query, origin + wellKnownResource}
}

// Place is where protected resource metadata was found. It determines which
// resource is valid (RFC 9728, section 3.3).
type Place int

// Places of protected resource metadata.
const (
	AtPath      Place = iota // derived from the API's URL; the resource must be that URL
	AtRoot                   // derived from the API's origin; the resource may also be the origin
	AtChallenge              // in the API's challenge; the resource may also be a path above
)

// ParseResource parses protected resource metadata that was found for api at
// where. Its resource must match as in [FindResource]. Other invalid members
// are reported in Problems, except for an authorization server that is not
// https, which is an error. Errors are Diagnoses.
func ParseResource(data []byte, api string, where Place) (*Resource, error) {
	d, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	// Some APIs list several resources; such a document is not about this one.
	if v := d.members["resource"]; len(v) > 0 && v.Kind() != '"' {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.PRMResourceMismatch, Expected: diagnosis.Values{"resource " + diagnosis.Quote(api)}, Got: diagnosis.Values{"a resource that is not a string"}}
	}
	r := &Resource{Raw: jsontext.Value(data).Clone(), Resource: d.text("resource"), AuthorizationServers: d.list("authorization_servers")}
	if d.problems != nil {
		return nil, &d.problems[0]
	}
	if err := sameResource(r.Resource, api, where); err != nil {
		return nil, err
	}
	for _, server := range r.AuthorizationServers {
		if err := checkEndpoint("authorization_servers", server, api); err != nil {
			return nil, &Problem{"authorization_servers", err}
		}
	}
	r.JWKSURI = d.endpoint("jwks_uri", api)
	r.ScopesSupported = d.list("scopes_supported")
	r.BearerMethodsSupported = d.list("bearer_methods_supported")
	r.ResourceName = d.text("resource_name")
	r.DPoPSigningAlgValuesSupported = d.list("dpop_signing_alg_values_supported")
	r.DPoPBoundAccessTokensRequired = d.flag("dpop_bound_access_tokens_required")
	r.Problems = d.sorted()
	return r, nil
}

func sameResource(got, api string, where Place) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.PRMResourceMismatch, Expected: diagnosis.Values{api}, Got: diagnosis.Values{got}}
	if got == "" {
		d.Got = diagnosis.Values{"no resource"}
		return d
	}
	g, gotErr := safehttp.CheckURL(got)
	a, apiErr := safehttp.CheckURL(api)
	if gotErr != nil || apiErr != nil || g.Fragment != "" {
		return d
	}
	if withoutRootSlash(g, got) == withoutRootSlash(a, api) {
		return nil
	}
	if g.RawQuery != "" || safehttp.Origin(g) != safehttp.Origin(a) {
		return d
	}
	switch where {
	case AtRoot:
		if strings.Trim(g.EscapedPath(), "/") == "" {
			return nil
		}
		d.Expected = append(d.Expected, "its origin")
	case AtChallenge:
		if above(g.EscapedPath(), a.EscapedPath()) {
			return nil
		}
		d.Expected = append(d.Expected, "a path above it")
	}
	return d
}

// withoutRootSlash removes the slash of a URL without another path:
// https://host and https://host/ are the same resource.
func withoutRootSlash(u *url.URL, rawURL string) string {
	if u.Path == "/" && u.RawQuery == "" {
		return strings.TrimSuffix(rawURL, "/")
	}
	return rawURL
}

// above reports whether path is prefix or below it, comparing whole segments.
func above(prefix, path string) bool {
	if hasDots(prefix) || hasDots(path) {
		return false
	}
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/") || prefix == ""
}

// hasDots reports a path such as /v1/../v2, which is not really below /v1.
func hasDots(path string) bool {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return true
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// ResourceOf returns the resource whose metadata URL is rawURL, and whether rawURL
// is a metadata URL.
func ResourceOf(rawURL string) (resource string, ok bool) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", false
	}
	return resourceOfDocument(u)
}
