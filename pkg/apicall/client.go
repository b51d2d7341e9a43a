// Package apicall sends authenticated requests to a protected API (RFC 6750, RFC
// 9449) and interprets its refusals.
//
// Start with [Client.Do]; [Client.Pages] requests a collection page by page.
// [Client.RoundTripper] adds tokens to the requests of an http.Client, and a
// [Proxy] to those of programs without a token. A token is sent only to the API's
// own origin (scheme, host, port) and to allowed ones, even after redirects,
// because it is added to each request separately. After a 401 for a token, the
// token is refreshed and the request is repeated once. [Refused] interprets a
// refusal.
//
// The package does not obtain tokens, see [TokenSource].
package apicall

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
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
	// Prover creates the proof for a token of type DPoP (RFC 9449). It stores
	// nonces for later requests, so a source must return the same Prover for the
	// same key.
	Prover *dpop.Prover
}

// TokenSource provides access tokens. It is called for each request.
type TokenSource interface {
	// Token returns a token that is valid now. If rejected is set, it is a token
	// that the API has just refused: Token returns another one, or an error.
	Token(ctx context.Context, rejected secret.String) (AccessToken, error)
}

// Client calls one API. HTTP and API are required. A Client is safe for
// concurrent use and must not be copied or changed after its first request.
type Client struct {
	HTTP *safehttp.Client
	// Source provides the token; nil sends none, to any origin.
	Source TokenSource
	// API is the API's base URL, to which paths are appended.
	API string
	// AllowOrigins are URLs to whose origins the token may be sent as well.
	AllowOrigins []string
	// Retries is the maximum number of retries after a transient failure: a status
	// of 408, 425, 429, 502, 503 or 504, a 403 with a time to retry, or an
	// incomplete response. Only GET, HEAD, OPTIONS, PUT and DELETE are repeated
	// (RFC 9110, section 9.2.2).
	Retries int
	// RetryStatus lists further statuses that are transient, such as 500.
	RetryStatus []int
	// Wait waits before a retry. If nil, it waits for the given time or until the
	// context ends.
	Wait func(ctx context.Context, d time.Duration) error
	// Now returns the current time, to interpret Retry-After in a response
	// without a date. If nil, it is time.Now.
	Now func() time.Time

	// Dropped is called when a redirect leaves the origin and the token is not sent
	// to its target; nil is never called.
	Dropped func(from, to *url.URL)
	// NotRepeated is called with the reason why a request was not repeated: its
	// body came from a stream, or there is no other token.
	NotRepeated func(why error)
	// Retrying is called before a request that failed is sent again.
	Retrying func(after time.Duration, why error)

	carried secret.Scrubber // the credentials of all requests
}

// Request is one request. Target is a path of the API or an absolute URL, see
// [Client.URL].
type Request struct {
	Method string
	Target string
	// Query is added to the target's own, encoded and in this order.
	Query string
	// Header holds headers with their names as they should be written. A name
	// without values removes a default header.
	Header http.Header
	Body   *Body
}

// Preview returns the request as [Client.Do] would send it first, except for the
// token and its proof. It sends nothing, requests no token, and returns the errors
// of Do for a request that cannot be sent.
func (c *Client) Preview(ctx context.Context, r Request) (*http.Request, error) {
	u, err := c.where(r)
	if err != nil {
		return nil, err
	}
	if err := CheckHeader(r.Header, c.Source != nil); err != nil {
		return nil, err
	}
	r.Body = nil
	return r.build(ctx, u)
}

// Do sends the request with a token and returns the response with its body unread.
//
// Redirects are followed for GET and HEAD, and for other methods if 307 or 308
// repeat the same request within the origin; at most 10. The token is not sent to
// another origin, nor is any header that could be a credential. After a 401 for a
// token, the token is refreshed and the request is repeated once, if the body can
// be sent again and the API does not require another login (RFC 9470). Other
// failures are retried according to Retries.
//
// Errors are Diagnoses (ORIGIN_REFUSED, REDIRECT_REFUSED, INSECURE_URL and those
// of package safehttp), those of the token source, or other errors for a request
// that cannot be sent. They contain no credential of the request.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	u, err := c.where(r)
	if err != nil {
		return nil, err
	}
	if err := CheckHeader(r.Header, c.Source != nil); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		res, err := c.refreshing(ctx, r.Body.again, func(token AccessToken) (*http.Response, bool, error) {
			return c.follow(ctx, r, u, token)
		})
		wait, why := c.again(ctx, r, res, err, attempt)
		if why == nil {
			return res, c.scrub(err)
		}
		if res != nil {
			res.Body.Close()
		}
		if err := c.Pause(ctx, wait, why); err != nil {
			return nil, err
		}
	}
}

// errNoOther is why a request was not repeated: the source has the rejected token
// only.
var errNoOther = errors.New("there is no other token")

// refreshing sends a request, and repeats it with another token if the API
// refuses this one. Send reports whether the token was sent with the last
// request, and again whether the request can be repeated.
func (c *Client) refreshing(ctx context.Context, again func() bool, send func(AccessToken) (*http.Response, bool, error)) (*http.Response, error) {
	token, err := c.token(ctx, secret.String{})
	if err != nil {
		return nil, err
	}
	res, sent, err := send(token)
	if err != nil || !sent || !mayRefresh(res) {
		return res, err
	}
	next, err := c.token(ctx, token.Value)
	switch {
	case err == nil && next.Value.Equal(token.Value):
		err = errNoOther
	case err == nil && !again():
		err = ErrBodySpent
	}
	if err != nil {
		// The API's response is more useful than the failed refresh.
		if c.NotRepeated != nil {
			c.NotRepeated(err)
		}
		return res, nil
	}
	res.Body.Close()
	res, _, err = send(next)
	return res, err
}

func (c *Client) token(ctx context.Context, rejected secret.String) (AccessToken, error) {
	if c.Source == nil {
		return AccessToken{}, nil
	}
	token, err := c.Source.Token(ctx, rejected)
	if err == nil && token.Value.IsZero() {
		err = &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}
	}
	return token, err
}

// scrub removes the credentials of the requests from a Diagnosis, because its
// text may be from a server that received them.
func (c *Client) scrub(err error) error {
	d, ok := errors.AsType[*diagnosis.Diagnosis](err)
	if !ok {
		return err
	}
	clean := *d
	clean.Expected, clean.Got = c.scrubValues(d.Expected), c.scrubValues(d.Got)
	if slices.Equal(clean.Expected, d.Expected) && slices.Equal(clean.Got, d.Got) {
		return err
	}
	return &clean
}

// secrets are the credentials that requests have carried: those that the HTTP client
// collects, or this one's own.
func (c *Client) secrets() *secret.Scrubber {
	if c.HTTP != nil && c.HTTP.Secrets != nil {
		return c.HTTP.Secrets
	}
	return &c.carried
}

func (c *Client) scrubValues(values diagnosis.Values) diagnosis.Values {
	clean := slices.Clone(values)
	for i := range clean {
		clean[i] = c.secrets().Scrub(clean[i])
	}
	return clean
}
