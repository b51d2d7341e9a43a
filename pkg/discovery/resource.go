package discovery

import (
	"context"
	"fmt"
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
	Resource                      string   `json:"resource"`
	AuthorizationServers          []string `json:"authorization_servers,omitempty"`
	JWKSURI                       string   `json:"jwks_uri,omitempty"`
	ScopesSupported               []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported        []string `json:"bearer_methods_supported,omitempty"`
	ResourceName                  string   `json:"resource_name,omitempty"`
	DPoPSigningAlgValuesSupported []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPBoundAccessTokensRequired bool     `json:"dpop_bound_access_tokens_required,omitzero"`

	// ChallengeScope is what the API's own challenge asked for (RFC 6750,
	// section 3); nil where it named no scope or did not challenge.
	ChallengeScope []string `json:"-"`
	// Raw is the document as it came.
	Raw jsontext.Value `json:"-"`
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// FindResource reads the metadata of the protected resource at api. It asks the
// API itself first, whose 401 names the document (RFC 9728, section 5), then
// the well-known place for the API's path, then the one at the root.
//
// The document's resource must be api itself; one that the challenge names may
// also be a path above it of the same origin. A slash on an empty path does not
// count. A nil client means the zero one; the Trail is there also with an error.
// Errors are Diagnoses: PRM_RESOURCE_MISMATCH, METADATA_INVALID,
// INSECURE_ENDPOINT, METADATA_NOT_FOUND, SERVER_ERROR, RATE_LIMITED and those
// of safehttp.
func FindResource(ctx context.Context, c *safehttp.Client, api string) (*Resource, Trail, error) {
	f := finder{client: c}
	resource, _, err := f.resource(ctx, api)
	return resource, f.trail, err
}

// resource searches, and tells whether it was the API's own challenge that led
// to the result, be it good or bad.
func (f *finder) resource(ctx context.Context, api string) (*Resource, bool, error) {
	u, err := checkURL(api)
	if err != nil {
		return nil, false, err
	}
	place, scope := f.challenge(ctx, api)
	if f.gone {
		return nil, false, f.failure("no answer")
	}
	if place != "" {
		resource, err := f.document(ctx, place, api, true)
		if resource != nil {
			resource.ChallengeScope = scope
		}
		if resource != nil || err != nil {
			return resource, true, err
		}
	}
	for _, place := range resourcePlaces(u) {
		// An error is kept in the trail: the next place may be the right one.
		if resource, _ := f.document(ctx, place, api, false); resource != nil {
			resource.ChallengeScope = scope
			return resource, false, nil
		}
		if f.gone {
			return nil, false, f.failure("no answer")
		}
	}
	return nil, false, f.failure("no protected resource metadata for " + diagnosis.Quote(api))
}

// challenge asks the API without a token and returns what its 401 names.
func (f *finder) challenge(ctx context.Context, api string) (place string, scope []string) {
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	f.trail = append(f.trail, Step{URL: api})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
	if err != nil {
		f.lost(err)
		return "", nil
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	res, err := f.http().Stream(req)
	if err != nil {
		f.lost(err)
		return "", nil
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		f.pass(told(res.StatusCode), "no challenge")
		return "", nil
	}
	// What stands before a syntax error can still be used.
	all, _ := challenge.Parse(res.Header.Values("WWW-Authenticate"))
	for _, c := range all {
		if asked := c.Get("scope"); scope == nil && asked != "" {
			scope = strings.Fields(asked)
		}
		if place == "" {
			place = c.Get("resource_metadata")
		}
	}
	if place == "" {
		f.pass("401 with a challenge that names no metadata", "look at the well-known places")
		return "", scope
	}
	found := "401 with resource_metadata " + diagnosis.Quote(place)
	if err := checkEndpoint("resource_metadata", place, api); err != nil {
		f.refuse(found, err)
		return "", scope
	}
	f.accept(found, "look there")
	return place, scope
}

// document reads one place. Without a document both results are nil.
func (f *finder) document(ctx context.Context, place, api string, challenged bool) (*Resource, error) {
	body, ok := f.fetch(ctx, place)
	if !ok {
		return nil, nil
	}
	resource, err := ParseResource(body, api, challenged)
	if err != nil {
		f.refuse("protected resource metadata", err)
		return nil, fmt.Errorf("discovery: %w", err)
	}
	f.accept("protected resource metadata", fmt.Sprintf("resource %s fits", diagnosis.Quote(resource.Resource)))
	return resource, nil
}

// resourcePlaces inserts the well-known part before the API's path (RFC 9728,
// section 3.1), then looks at the root, where many APIs put it.
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

// ParseResource reads protected resource metadata that was found for api;
// challenged tells that the API's own challenge named it. It holds the
// document's resource against api as [FindResource] says. Errors are Diagnoses.
func ParseResource(data []byte, api string, challenged bool) (*Resource, error) {
	var probe struct {
		Resource jsontext.Value `json:"resource"`
	}
	if err := decode(data, &probe); err != nil {
		return nil, err
	}
	// Some APIs list several; such a document says nothing about this one.
	if len(probe.Resource) > 0 && probe.Resource.Kind() != '"' {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ResourceMismatch, Expected: diagnosis.Values{fmt.Sprintf("resource %s", diagnosis.Quote(api))}, Got: diagnosis.Values{"a resource that is no string"}}
	}
	resource := &Resource{Raw: jsontext.Value(data).Clone()}
	if err := decode(data, resource); err != nil {
		return nil, err
	}
	if err := sameResource(resource.Resource, api, challenged); err != nil {
		return nil, err
	}
	for _, server := range resource.AuthorizationServers {
		if err := checkEndpoint("authorization_servers", server, api); err != nil {
			return nil, err
		}
	}
	return resource, checkEndpoint("jwks_uri", resource.JWKSURI, api)
}

func sameResource(got, api string, challenged bool) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.ResourceMismatch, Expected: diagnosis.Values{api}, Got: diagnosis.Values{got}}
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
	if challenged && g.RawQuery == "" && safehttp.Origin(g) == safehttp.Origin(a) && above(g.EscapedPath(), a.EscapedPath()) {
		return nil
	}
	if challenged {
		d.Expected = append(d.Expected, "a path above it")
	}
	return d
}

// withoutRootSlash drops the slash of a URL that has no other path, since
// https://host and https://host/ are the same resource to every client.
func withoutRootSlash(u *url.URL, rawURL string) string {
	if u.Path == "/" && u.RawQuery == "" {
		return strings.TrimSuffix(rawURL, "/")
	}
	return rawURL
}

// above reports whether path lies at or below prefix, by whole segments.
func above(prefix, path string) bool {
	if hasDots(prefix) || hasDots(path) {
		return false
	}
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/") || prefix == ""
}

// hasDots refuses /v1/../v2, which is below /v1 as text only.
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
