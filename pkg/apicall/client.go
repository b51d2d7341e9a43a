// Package apicall sends one authenticated request to a protected API (RFC 6750,
// RFC 9449) and understands what the API says when it refuses.
//
// Start with a [Client] and its Do; [Client.Pages] goes through a collection, and
// a [Proxy] lends the token to programs that have none. A token goes to the API's
// own origin (scheme, host, port) and to those the caller allows, and to no
// other, whatever redirects say: it is added to each request here, never by a
// transport. A 401 that says invalid_token renews the token once. What a refusal
// means is told by [Refused]. [ParseItems] reads requests as people write them on
// a command line, [Client.Curl] writes them for curl.
//
// The package gets no tokens itself; see [TokenSource].
package apicall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// AccessToken is a token with the scheme it is sent under: Bearer or DPoP, in the
// usual spelling.
type AccessToken struct {
	Type  string
	Value secret.String
	// Prover makes the proof that goes with a token of type DPoP (RFC 9449). The
	// nonces it learns are good for later requests, so a source gives the same one
	// for the same key.
	Prover *dpop.Prover
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
	// Retries is how often a request that failed for a passing reason is sent
	// again: an answer of 429, 502, 503 or 504 or none at all, to a method that may
	// be repeated (GET, HEAD, OPTIONS, PUT, DELETE; RFC 9110, section 9.2.2).
	Retries int
	// Wait waits before a request is sent again; nil means for that time, or until
	// the context ends.
	Wait func(ctx context.Context, d time.Duration) error
	// Now is the clock that Retry-After is compared with; nil means time.Now.
	Now func() time.Time

	// Dropped is told when a redirect leaves the origin, so that the token stays
	// behind; nil means nobody is.
	Dropped func(from, to *url.URL)
	// NotRepeated is told why a request was not sent again with another token: its
	// body was read from a stream, or there is no other token.
	NotRepeated func(why error)
	// Retrying is told before a request that failed is sent again.
	Retrying func(after time.Duration, why error)
}

// Request is one request. Target is a path of the API or a whole URL.
type Request struct {
	Method string
	Target string
	Query  url.Values // added to the target's own
	Header http.Header
	Body   []byte
	// Open opens a body that is too large to be held; it is opened again each time
	// the request is sent. It goes before Body.
	Open func() (io.ReadCloser, error)
	// Stream is a body that can be read only once and so is never sent again; it
	// goes before Body and Open.
	Stream io.Reader
}

// ErrBodySpent is why a request was not repeated: its body came from a stream.
var ErrBodySpent = errors.New("apicall: the body was read from a stream and cannot be sent again")

// URL returns where target leads: a path is appended to the API's URL, so that
// https://host/v1 and /items make https://host/v1/items. It errs on a path that
// climbs out of the API's URL, and with a Diagnosis, ORIGIN_REFUSED, on a URL of
// another origin when there is a token that may not go there.
func (c *Client) URL(target string) (*url.URL, error) {
	if scheme, _, found := strings.Cut(target, "://"); found && isToken(scheme) {
		u, err := safehttp.CheckURL(target)
		if err != nil {
			return nil, err
		}
		if c.Source != nil && !c.mayHaveToken(u) {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Expected: diagnosis.Values{c.API}, Got: diagnosis.Values{safehttp.Origin(u)}}
		}
		u.Fragment, u.RawFragment = "", ""
		return u, nil
	}
	if c.API == "" {
		return nil, fmt.Errorf("apicall: expected a whole URL, since no API is known, got %.200q", target)
	}
	base, err := safehttp.CheckURL(c.API)
	if err != nil {
		return nil, err
	}
	relative, err := url.Parse("/" + strings.TrimLeft(target, "/"))
	if err != nil || relative.Fragment != "" {
		return nil, fmt.Errorf("apicall: %.200q is not a path", target)
	}
	if climbs(relative) {
		return nil, fmt.Errorf("apicall: the path %.200q climbs: its segments . and .. could leave %s", target, c.API)
	}
	return under(base, relative), nil
}

// under appends a path with its query to a base URL.
func under(base, relative *url.URL) *url.URL {
	u := *base
	u.Path = strings.TrimSuffix(base.Path, "/") + relative.Path
	u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + relative.EscapedPath()
	u.RawQuery, u.Fragment, u.RawFragment = relative.RawQuery, "", ""
	return &u
}

// climbs reports whether a path has dot segments, also where a server might
// decode it once more, or takes a backslash for a slash.
func climbs(u *url.URL) bool {
	p := u.Path
	for range 3 {
		for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
			segment, _, _ = strings.Cut(segment, ";") // some servers drop what stands behind
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == p {
			break
		}
		p = decoded
	}
	return path.Clean(u.Path) != u.Path && strings.Contains(u.Path, "/../")
}

func (c *Client) mayHaveToken(u *url.URL) bool {
	for _, allowed := range append([]string{c.API}, c.AllowOrigins...) {
		if a, err := safehttp.CheckURL(allowed); err == nil && safehttp.Origin(a) == safehttp.Origin(u) {
			return true
		}
	}
	return false
}

// where returns the URL of a request, its query complete.
func (c *Client) where(r Request) (*url.URL, error) {
	u, err := c.URL(r.Target)
	if err != nil || len(r.Query) == 0 {
		return u, err
	}
	// What the target says itself stays as it is written.
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+r.Query.Encode(), "&")
	return u, nil
}

// Preview returns the request as [Client.Do] would send it first, but for the
// token and its proof. It sends nothing, asks for no token, and errs as Do does
// on a request that cannot be sent.
func (c *Client) Preview(ctx context.Context, r Request) (*http.Request, error) {
	u, err := c.where(r)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(r.Header, c.Source != nil); err != nil {
		return nil, err
	}
	return r.build(ctx, u)
}

// Do sends the request with a token and returns the answer, its body unread.
//
// Redirects are followed for GET and HEAD, and those of other methods where 307
// or 308 ask for the same request again within the origin; at most 10. The token
// stays behind where one leaves its origin, with every header field that is not
// known to be harmless, and does not come back. A 401 that says invalid_token is
// answered by one renewal and one repetition, if the body can be sent again: at
// most two requests. Other failures are repeated as Retries says.
//
// Errors are Diagnoses (ORIGIN_REFUSED, REDIRECT_REFUSED, INSECURE_URL and those
// of package safehttp), what the token source returned, or plain ones for a
// request that cannot be sent.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	u, err := c.where(r)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(r.Header, c.Source != nil); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		res, err := c.renewing(ctx, r, u)
		wait, why := c.again(ctx, r, res, err, attempt)
		if why == nil {
			return res, err
		}
		if res != nil {
			res.Body.Close()
		}
		if err := c.pause(ctx, wait, why); err != nil {
			return nil, err
		}
	}
}

// renewing sends the request, and once more with another token if the API says
// that this one is no good.
func (c *Client) renewing(ctx context.Context, r Request, u *url.URL) (*http.Response, error) {
	token, err := c.token(ctx, secret.String{})
	if err != nil {
		return nil, err
	}
	res, sent, err := c.follow(ctx, r, u, token)
	if err != nil || sent.IsZero() || !invalidToken(res) {
		return res, err
	}
	next, err := c.token(ctx, sent)
	switch {
	case err == nil && next.Value.Equal(sent):
		err = errors.New("apicall: there is no other token")
	case err == nil && r.Stream != nil:
		err = ErrBodySpent
	}
	if err != nil {
		// The API's own answer says more than the failed renewal.
		if c.NotRepeated != nil {
			c.NotRepeated(err)
		}
		return res, nil
	}
	res.Body.Close()
	res, _, err = c.follow(ctx, r, u, next)
	return res, err
}

func (c *Client) token(ctx context.Context, rejected secret.String) (AccessToken, error) {
	if c.Source == nil {
		return AccessToken{}, nil
	}
	token, err := c.Source.Token(ctx, rejected)
	if err == nil && token.Value.IsZero() {
		err = &diagnosis.Diagnosis{ID: diagnosis.LoginRequired, Hint: "oauthctl login"}
	}
	return token, err
}
