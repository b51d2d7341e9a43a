package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// settleKind determines whether the URL is an API, an MCP server or an issuer. As in
// a search for metadata, an API's metadata takes precedence over an issuer's.
func (e *examination) settleKind(ctx context.Context) {
	if e.settled {
		return
	}
	e.settled = true
	switch {
	case e.kind != "":
		e.greet(ctx)
		return
	case discovery.IsServerDocument(e.config.URL), e.first == nil && e.isConfiguredIssuer():
		e.kind = Issuer
		return
	case e.first == nil && !isNotRecorded(e.firstErr):
		e.kind = API
		return
	case e.looksLikeMCP():
		e.kind = MCP
		e.greet(ctx)
		return
	}
	e.seek(ctx)
	isAPI := e.first != nil && e.first.status == http.StatusUnauthorized
	if !isAPI && (isNotFound(e.resourceErr) || isNotRecorded(e.resourceErr)) {
		e.seekServer(ctx, e.config.URL)
		if e.isConfiguredIssuer() || e.serverErr == nil || servesMetadata(e.serverTrail) {
			e.kind = Issuer
			return
		}
	}
	e.kind = API
}

// seekServer searches for the metadata of an issuer, once for each.
func (e *examination) seekServer(ctx context.Context, issuer string) {
	if e.serverSought != issuer {
		e.serverSought = issuer
		e.server, e.serverTrail, e.serverErr = discovery.TraceServer(ctx, e.config.HTTP, issuer)
	}
}

// servesMetadata reports whether a search for a server found a document, even if the
// document is invalid.
func servesMetadata(trail discovery.Trail) bool {
	return slices.ContainsFunc(trail, func(s discovery.Step) bool {
		var d *diagnosis.Diagnosis
		return errors.As(s.Err, &d) && (d.Kind() == diagnosis.Unsafe)
	})
}

func isNotFound(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.ID == diagnosis.MetadataNotFound
}

func (e *examination) isConfiguredIssuer() bool { return e.configured(profile.Issuer) == e.config.URL }

// configured returns a setting of the current profile, or "".
func (e *examination) configured(key profile.Key) string {
	if e.config.Account == nil {
		return ""
	}
	return e.config.Account.Profile().Get(key)
}

// seek searches for the metadata of the resource, starting with the existing
// response.
func (e *examination) seek(ctx context.Context) {
	if e.sought {
		return
	}
	e.sought = true
	from := e.unauthenticated()
	if from == nil {
		e.resource, e.trail, e.resourceErr = discovery.FindResource(ctx, e.config.HTTP, e.config.URL)
		return
	}
	e.resource, e.trail, e.resourceErr = discovery.FindResourceFrom(ctx, e.config.HTTP, e.config.URL, from.request.Method, from.status, from.header)
}

// unauthenticated returns the response to the first request that needs a token, sent
// without one: initialize for an MCP server, otherwise a GET.
func (e *examination) unauthenticated() *answer {
	if e.greeting != nil {
		return e.greeting
	}
	return e.first
}

// isOpenRoot reports whether the URL is the root of an API that publishes its
// metadata: such a root is often a public page.
func (e *examination) isOpenRoot(ctx context.Context) bool {
	u, err := url.Parse(e.config.URL)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return false
	}
	e.seek(ctx)
	return e.resource != nil
}

// refuses checks that a request without a token gets 401.
func (e *examination) refuses(ctx context.Context) finding {
	a := e.unauthenticated()
	got := statusText(a.status)
	refusal := func(id diagnosis.ID, text string) finding {
		f := failed(id, text, a.request)
		f.expected, f.got = diagnosis.Values{"401"}, diagnosis.Values{got}
		return f
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return passed("401 without a token")
	case a.status < 300 && e.kind == MCP:
		f := noted("a request without a token is accepted")
		f.id, f.got = diagnosis.NoTokenAccepted, diagnosis.Values{got}
		return f
	case a.status < 300 && e.isOpenRoot(ctx):
		f := noted("the root works without a token; use the URL of an operation")
		f.id, f.request, f.got = diagnosis.NoTokenAccepted, a.request, diagnosis.Values{got}
		return f
	case a.status < 300:
		return refusal(diagnosis.NoTokenAccepted, "a request without a token is accepted")
	case a.status < 400:
		text := "a redirect instead of a refusal"
		if to := a.header.Get("Location"); to != "" {
			got += " to " + diagnosis.Shorten(withoutQuery(e.config.URL, to), 200)
		}
		return refusal(diagnosis.RefusalStatus, text).fixedBy("return 401 to programs; if the redirect leads to the right URL, use that one")
	case a.status == http.StatusForbidden:
		return refusal(diagnosis.RefusalStatus, "403 instead of 401 for a missing token")
	case a.status == http.StatusTooManyRequests:
		return refusal(diagnosis.RateLimited, "the server received too many requests").by(TheAPI)
	case a.status >= 500:
		return refusal(diagnosis.ServerError, "the API failed").fixedBy("look into the API's log for the reason")
	}
	f := noted(got + ": the URL may not be an operation of the API")
	f.request, f.got = a.request, diagnosis.Values{got}
	return f.fixedBy("use the URL of an operation that needs a token")
}

// withoutQuery returns the target of a redirect without its query, which may contain
// secrets.
func withoutQuery(base, target string) string {
	b, err := url.Parse(base)
	if err != nil {
		return "an invalid URL"
	}
	u, err := b.Parse(target)
	if err != nil {
		return "an invalid URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprint(status, " ", http.StatusText(status)))
}

// challenge reads the challenge of a 401.
func (e *examination) challenge(context.Context) finding {
	a := e.unauthenticated()
	if a.status != http.StatusUnauthorized {
		return skipped("no 401")
	}
	fields := a.header.Values("WWW-Authenticate")
	all, err := challenge.Parse(fields)
	i := slices.IndexFunc(all, func(c challenge.Challenge) bool { return c.Is("Bearer") || c.Is("DPoP") })
	wrong := func(expected, got string) finding {
		f := failed(diagnosis.ChallengeInvalid, "the challenge is not valid", a.request)
		f.expected, f.got = diagnosis.Text(expected), diagnosis.Values{got}
		return f
	}
	switch {
	case len(fields) == 0:
		f := failed(diagnosis.ChallengeMissing, "401 without WWW-Authenticate", a.request)
		f.expected, f.got = diagnosis.Values{"WWW-Authenticate: Bearer"}, diagnosis.None
		return f.fixedBy(`add WWW-Authenticate: Bearer resource_metadata="` + e.wellKnown() + `"`)
	case err != nil:
		f := wrong("a header that can be parsed", strings.Join(fields, ", "))
		if syntax, ok := errors.AsType[*challenge.SyntaxError](err); ok {
			f.text = syntax.Error()
		}
		return f
	case i < 0:
		return wrong("a challenge of the scheme Bearer", all[0].Scheme)
	}
	c := all[i]
	if j := slices.IndexFunc(all, func(c challenge.Challenge) bool { return c.Has("resource_metadata") }); j >= 0 {
		c = all[j]
	}
	switch metadata := c.Get("resource_metadata"); {
	case c.Has("resource_metadata") && !isAbsolute(metadata):
		return wrong("resource_metadata to be an absolute URL", metadata).fixedBy(`write resource_metadata="` + e.wellKnown() + `"`)
	case !isScope(c.Get("scope")):
		return wrong("scope to be names separated by spaces", c.Get("scope"))
	case c.Has("error"):
		f := wrong("no error code if no token was sent", "error="+c.Get("error")).warned()
		f.text = "the challenge has an error code, although no token was sent"
		return f.fixedBy("omit error and error_description if the request has no token")
	}
	return passed("a challenge of the scheme " + c.Scheme)
}

// pathOf returns the path and the query of a URL at the examined API or issuer. A
// URL at another host is returned unchanged.
func (e *examination) pathOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || originOf(rawURL) != originOf(e.config.URL) && originOf(rawURL) != originOf(e.issuerURL) {
		return rawURL
	}
	return u.RequestURI()
}

// wellKnown returns the URL of the API's metadata.
func (e *examination) wellKnown() string {
	u, err := url.Parse(e.config.URL)
	if err != nil {
		return "URL"
	}
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
}

func isAbsolute(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// isScope reports whether text is a scope by RFC 6749, section 3.3.
func isScope(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// resourceMetadata checks that the API publishes its metadata at one of the URLs of
// RFC 9728.
func (e *examination) resourceMetadata(ctx context.Context) finding {
	e.seek(ctx)
	var member *discovery.Problem
	switch d := (*diagnosis.Diagnosis)(nil); {
	case e.resource != nil:
		return passed("found at " + e.pathOf(e.trail[len(e.trail)-1].URL))
	case errors.As(e.resourceErr, &member), errors.As(e.resourceErr, &d) && d.ID == diagnosis.PRMResourceMismatch:
		return passed("found") // the next rungs report what is wrong with it
	case isNotFound(e.resourceErr) && e.configured(profile.Issuer) != "":
		return noted("none; the issuer is configured in the profile")
	}
	f := failedWith(e.resourceErr, e.lastRequest(e.trail))
	if f.id == diagnosis.MetadataNotFound {
		f.expected = diagnosis.Values{"JSON at " + e.wellKnown()}
		f.got = diagnosis.Values{fmt.Sprintf("nothing at %s", counted(max(len(e.trail)-1, 1), "URL"))}
		f.fix = "publish the metadata at " + e.wellKnown()
		f.request = &Request{Method: http.MethodGet, URL: e.wellKnown()}
	}
	return f
}

// lastRequest returns the request of the step that failed, or of the last step.
func (e *examination) lastRequest(trail discovery.Trail) *Request {
	for _, step := range trail {
		if step.Err != nil {
			return &Request{Method: step.Method, URL: step.URL}
		}
	}
	if len(trail) == 0 {
		return nil
	}
	last := trail[len(trail)-1]
	return &Request{Method: last.Method, URL: last.URL}
}

// resourceName checks that resource in the metadata is the URL.
func (e *examination) resourceName(context.Context) finding {
	var d *diagnosis.Diagnosis
	if errors.As(e.resourceErr, &d) && d.ID == diagnosis.PRMResourceMismatch {
		return failedWith(e.resourceErr, e.lastRequest(e.trail)).fixedBy("publish the resource exactly as clients write the URL: " + e.config.URL)
	}
	if e.resource == nil {
		return finding{}
	}
	f := finding{request: e.lastRequest(e.trail), expected: diagnosis.Values{e.config.URL}, got: diagnosis.Values{e.resource.Resource}}
	switch {
	case e.resource.Resource == e.config.URL:
		return passed("identical to the URL")
	case strings.TrimSuffix(e.resource.Resource, "/") == strings.TrimSuffix(e.config.URL, "/"):
		f.status, f.id, f.text = Warning, diagnosis.PRMResourceMismatch, "the resource and the URL differ by one slash"
		return f.fixedBy("write both the same way: clients send the resource to the authorization server, which uses it as the audience of the token")
	}
	f.status, f.text = Note, "the URL is below the resource "+e.resource.Resource
	return f
}

// authorizationServers checks that the API's metadata lists its issuer.
func (e *examination) authorizationServers(context.Context) finding {
	var member *discovery.Problem
	if errors.As(e.resourceErr, &member) {
		return failedWith(e.resourceErr, e.lastRequest(e.trail))
	}
	listed := []string{}
	if e.resource != nil {
		listed = e.resource.AuthorizationServers
	}
	own := e.configured(profile.Issuer)
	switch {
	case len(listed) > 0 && own != "" && !slices.Contains(listed, own):
		e.issuerURL, e.issuerListed = listed[0], true
		f := noted("the profile has another issuer: " + own)
		f.expected, f.got = listed, diagnosis.Values{own}
		return f.by(You)
	case len(listed) > 0:
		e.issuerURL, e.issuerListed = listed[0], true
		if own != "" {
			e.issuerURL = own
		}
		return passed(strings.Join(listed, ", "))
	case own != "":
		e.issuerURL = own
		return noted("not listed; the profile has " + own)
	}
	f := failed(diagnosis.MetadataInvalid, "the API lists no authorization server", e.lastRequest(e.trail))
	f.expected, f.got = diagnosis.Values{"authorization_servers"}, diagnosis.None
	return f.fixedBy("list the issuer in authorization_servers")
}

// browser sends a request like a page of another site (CORS). An API that allows no
// other origin is not meant to be called by such pages, which is not a fault.
func (e *examination) browser(ctx context.Context) finding {
	const page = "https://app.example.com"
	a, r, err := e.ask(ctx, http.MethodOptions, e.config.URL, http.Header{
		"Origin": {page}, "Access-Control-Request-Method": {http.MethodGet}, "Access-Control-Request-Headers": {"authorization"},
	}, "")
	if err != nil {
		return failedWith(err, r).warned()
	}
	allows := func(a *answer) bool {
		allowed := a.header.Get("Access-Control-Allow-Origin")
		return allowed == "*" || allowed == page
	}
	plain, plainRequest, err := e.ask(ctx, http.MethodGet, e.config.URL, http.Header{"Origin": {page}, "Accept": acceptAnything()["Accept"]}, "")
	if err != nil {
		return failedWith(err, plainRequest).warned()
	}
	missing := func(r *Request, field, value string) finding {
		f := failed(diagnosis.CORSMissing, "pages can call the API, but "+field+" lacks "+value, r)
		f.expected, f.got = diagnosis.Values{field + ": " + value}, diagnosis.None
		return f.warned().fixedBy("add " + field + ": " + value)
	}
	switch {
	case !allows(a) && !allows(plain):
		return noted("not open to pages of other sites (no CORS)")
	case !allows(a) || a.status >= 300:
		return missing(r, "Access-Control-Allow-Origin", page).fixedBy("return 204 for the preflight request (OPTIONS), without requiring a token")
	case !lists(a.header, "Access-Control-Allow-Headers", "authorization", false):
		return missing(r, "Access-Control-Allow-Headers", "Authorization")
	case !allows(plain):
		return missing(plainRequest, "Access-Control-Allow-Origin", page).fixedBy("send Access-Control-Allow-Origin with 401 responses too")
	case plain.status == http.StatusUnauthorized && !lists(plain.header, "Access-Control-Expose-Headers", "www-authenticate", true):
		return missing(plainRequest, "Access-Control-Expose-Headers", "WWW-Authenticate")
	}
	return passed("preflight allowed, WWW-Authenticate exposed")
}

// lists reports whether a header lists a name. A wildcard matches all names but
// Authorization (Fetch Standard, section 3.2).
func lists(h http.Header, field, name string, wildcard bool) bool {
	for item := range strings.SplitSeq(strings.Join(h.Values(field), ","), ",") {
		if item = strings.TrimSpace(item); strings.EqualFold(item, name) || wildcard && item == "*" {
			return true
		}
	}
	return false
}
