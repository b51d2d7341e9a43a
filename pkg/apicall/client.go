// Package apicall sends one authenticated request to a protected API (RFC 6750)
// and understands what the API says when it refuses.
//
// Start with a [Client] and its Do. A token goes to the API's own origin (scheme,
// host, port) and to those the caller allows, and to no other, whatever redirects
// say: it is added to each request here, never by a transport. A 401 that says
// invalid_token renews the token once. What a refusal means is told by
// [Diagnose]. The package gets no tokens itself; see [TokenSource].
package apicall

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const maxRedirects = 10

// AccessToken is a token with the scheme it is sent under: Bearer, in the usual
// spelling.
type AccessToken struct {
	Type  string
	Value secret.String
}

// TokenSource gives access tokens. It is asked for each request.
type TokenSource interface {
	// Token returns a token that is good now. A rejected one is a token that the
	// API has just refused: another must be given, or an error.
	Token(ctx context.Context, rejected secret.String) (AccessToken, error)
}

// Client calls one API. HTTP and API are needed.
type Client struct {
	HTTP *safehttp.Client
	// Source gives the token; nil sends none, to any origin.
	Source TokenSource
	// API is the API's base URL, to which paths are appended.
	API string
	// AllowOrigins are URLs whose origins may have the token as well.
	AllowOrigins []string
	// Dropped is told when a redirect leaves the origin, so that the token stays
	// behind; nil means nobody is.
	Dropped func(from, to *url.URL)
}

// Request is one request. Target is a path of the API or a whole URL.
type Request struct {
	Method string
	Target string
	Query  url.Values
	Header http.Header
	Body   []byte
	// Stream is a body that can be read only once and so is never sent again; it
	// goes before Body.
	Stream io.Reader
}

// URL returns where target leads: a path is appended to the API's URL, so that
// https://host/v1 and /items make https://host/v1/items. It errs on a path that
// climbs out of the API's URL, and with a Diagnosis, ORIGIN_REFUSED, on a URL of
// another origin when there is a token that may not go there.
func (c *Client) URL(target string) (*url.URL, error) {
	if strings.Contains(target, "://") {
		u, err := safehttp.CheckURL(target)
		if err != nil {
			return nil, err
		}
		if c.Source != nil && !c.mayHaveToken(u) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Expected: c.API, Got: safehttp.Origin(u)}
		}
		return u, nil
	}
	if c.API == "" {
		return nil, fmt.Errorf("apicall: expected a whole URL, since no API is known, got %q", target)
	}
	base, err := safehttp.CheckURL(c.API)
	if err != nil {
		return nil, err
	}
	relative, err := url.Parse("/" + strings.TrimLeft(target, "/"))
	if err != nil || relative.Fragment != "" {
		return nil, fmt.Errorf("apicall: %q is not a path", target)
	}
	if climbs(relative.Path) {
		return nil, fmt.Errorf("apicall: the path %q climbs: its segments . and .. could leave %s", target, c.API)
	}
	u := *base
	u.Path = strings.TrimSuffix(base.Path, "/") + relative.Path
	u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + relative.EscapedPath()
	u.RawQuery = relative.RawQuery
	return &u, nil
}

// climbs reports whether a path has dot segments, also between backslashes.
func climbs(p string) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return path.Clean(p) != p && strings.Contains(p, "/../")
}

func (c *Client) mayHaveToken(u *url.URL) bool {
	for _, allowed := range append([]string{c.API}, c.AllowOrigins...) {
		if a, err := safehttp.CheckURL(allowed); err == nil && safehttp.Origin(a) == safehttp.Origin(u) {
			return true
		}
	}
	return false
}

// Do sends the request with a token and returns the answer, its body unread.
// Redirects are followed for GET and HEAD, at most 10; the token stays behind
// where one leaves its origins, and does not come back. A 401 that says
// invalid_token is answered by one renewal and one repetition, if the body can
// be sent again: at most two requests.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	u, err := c.URL(r.Target)
	if err != nil {
		return nil, err
	}
	if len(r.Query) > 0 {
		query := u.Query()
		for name, values := range r.Query {
			query[name] = append(query[name], values...)
		}
		u.RawQuery = query.Encode()
	}
	if err := checkHeader(r.Header, c.Source != nil); err != nil {
		return nil, err
	}
	token, err := c.token(ctx, secret.String{})
	if err != nil {
		return nil, err
	}
	res, err := c.follow(ctx, r, u, token)
	if err != nil || !invalidToken(res) || c.Source == nil || r.Stream != nil {
		return res, err
	}
	next, err := c.token(ctx, token.Value)
	if err != nil || next.Value.Equal(token.Value) {
		// The API's own answer says more than the failed renewal.
		return res, nil //nolint:nilerr // see above
	}
	res.Body.Close()
	return c.follow(ctx, r, u, next)
}

func (c *Client) token(ctx context.Context, rejected secret.String) (AccessToken, error) {
	if c.Source == nil {
		return AccessToken{}, nil
	}
	return c.Source.Token(ctx, rejected)
}

// follow sends the request and what redirects make of it.
func (c *Client) follow(ctx context.Context, r Request, u *url.URL, token AccessToken) (*http.Response, error) {
	for range maxRedirects + 1 {
		req, err := r.build(ctx, u, token)
		if err != nil {
			return nil, err
		}
		res, err := c.HTTP.Stream(req)
		if err != nil {
			return nil, err
		}
		next, err := redirect(req, res)
		if err != nil || next == nil {
			return res, err
		}
		res.Body.Close()
		if safehttp.Origin(next) != safehttp.Origin(u) {
			r.Header = withoutSecrets(r.Header)
			if !token.Value.IsZero() {
				token = AccessToken{}
				if c.Dropped != nil {
					c.Dropped(u, next)
				}
			}
		}
		u = next
	}
	return nil, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: fmt.Sprintf("at most %d redirects", maxRedirects), Got: "more"}
}

func (r Request) build(ctx context.Context, u *url.URL, token AccessToken) (*http.Request, error) {
	body := r.Stream
	if body == nil && r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("apicall: the method %q or the URL cannot be sent", r.Method)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if !token.Value.IsZero() {
		req.Header.Set("Authorization", token.Type+" "+token.Value.Reveal())
	}
	return req, nil
}

// redirect returns where an answer leads on, nil if it is to be handed back: a
// redirect of a request that changes something is for the user to see.
func redirect(req *http.Request, res *http.Response) (*url.URL, error) {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	location := res.Header.Get("Location")
	if location == "" || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, nil
	}
	next, err := req.URL.Parse(location)
	if err == nil {
		_, err = safehttp.CheckURL(next.String())
	}
	if err != nil {
		res.Body.Close()
		return nil, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: "a redirect to https", Got: fmt.Sprintf("%.200q", location)}
	}
	return next, nil
}

// withoutSecrets drops the header fields that belong to one origin.
func withoutSecrets(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key"} {
		h.Del(name)
	}
	return h
}

// checkHeader refuses what would change the request's shape, and a second way of
// authorization beside the token.
func checkHeader(h http.Header, token bool) error {
	for name, values := range h {
		if name == "" || strings.Trim(name, "!#$%&'*+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return fmt.Errorf("apicall: %q cannot be a header's name", name)
		}
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				return fmt.Errorf("apicall: the header %s holds a line break", name)
			}
		}
		if token && http.CanonicalHeaderKey(name) == "Authorization" {
			return fmt.Errorf("apicall: the header Authorization is the token's; without a token it may be set")
		}
	}
	return nil
}
