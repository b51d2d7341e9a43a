package apicall

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const (
	maxRedirects = 10
	// expectAbove is the body size from which the request is sent with Expect:
	// 100-continue (RFC 9110, section 10.1.1).
	expectAbove = 1 << 20
)

// follow sends the request and follows redirects. It reports whether the token
// was sent with the last request.
func (c *Client) follow(ctx context.Context, r Request, u *url.URL, token AccessToken) (*http.Response, bool, error) {
	// Cookies of a redirect are sent only to its target, as in a browser.
	cookies, err := cookiejar.New(nil)
	if err != nil {
		return nil, false, err
	}
	for range maxRedirects + 1 {
		req, res, err := c.send(ctx, r, u, token, cookies)
		if err != nil {
			return nil, false, err
		}
		next, err := c.redirect(r, req, res)
		if err != nil || next == nil {
			return res, !token.Value.IsZero(), err
		}
		res.Body.Close()
		cookies.SetCookies(u, res.Cookies())
		if safehttp.Origin(next) != safehttp.Origin(u) {
			r.Header = harmless(r.Header)
			if !token.Value.IsZero() && c.Dropped != nil {
				c.Dropped(u, next)
			}
			token = AccessToken{}
		}
		u = next
	}
	return nil, false, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: diagnosis.Values{fmt.Sprintf("at most %d redirects", maxRedirects)}, Got: diagnosis.Values{"more"}}
}

// send sends one request of a chain of redirects.
func (c *Client) send(ctx context.Context, r Request, u *url.URL, token AccessToken, cookies http.CookieJar) (*http.Request, *http.Response, error) {
	expect := r.Body != nil && (r.Body.Length < 0 || r.Body.Length > expectAbove)
	res, err := c.attempt(r.Body, expect, token, func() (*http.Request, error) {
		req, err := r.build(ctx, u)
		if err == nil {
			for _, cookie := range cookies.Cookies(u) {
				req.AddCookie(cookie)
			}
		}
		return req, err
	})
	if err != nil {
		return nil, nil, err
	}
	return res.Request, res, nil
}

// attempt sends the request of build. It repeats it if a DPoP-bound token needs
// the server's nonce in its proof (RFC 9449, section 9), and if the server does
// not support Expect.
func (c *Client) attempt(body *Body, expect bool, token AccessToken, build func() (*http.Request, error)) (*http.Response, error) {
	for nonced := false; ; {
		req, err := build()
		if err != nil {
			return nil, err
		}
		if expect {
			req.Header.Set("Expect", "100-continue")
		}
		res, err := c.sendOnce(req, token)
		switch {
		case err != nil:
			return nil, err
		case expect && res.StatusCode == http.StatusExpectationFailed && body.again():
			expect = false
		case !nonced && token.Prover != nil && wantsNonce(res) && res.Header.Get("DPoP-Nonce") != "" && body.again():
			nonced = true
		default:
			return res, nil
		}
		res.Body.Close()
	}
}

// sendOnce sends one request with a token. The response's Request is the one
// that was sent, and its context has the credentials, see [Refused].
func (c *Client) sendOnce(req *http.Request, token AccessToken) (*http.Response, error) {
	req = req.WithContext(context.WithValue(req.Context(), carriedKey{}, &carried{token, c.secrets()}))
	if err := token.Authorize(req); err != nil {
		return nil, err
	}
	if c.HTTP.Secrets == nil {
		c.carried.Add(safehttp.Credentials(req)...)
	}
	res, err := c.HTTP.Stream(req)
	if err != nil {
		return nil, err
	}
	if token.Prover != nil {
		token.Prover.Learn(req.URL.String(), res.Header)
	}
	return res, nil
}

type carriedKey struct{}

// carried holds what is known about the request of a response.
type carried struct {
	token AccessToken
	scrub *secret.Scrubber
}

// SentToken returns the token that was sent with the request of a response, and
// whether there was one.
func SentToken(res *http.Response) (token AccessToken, ok bool) {
	if res.Request == nil {
		return AccessToken{}, false
	}
	sent, ok := res.Request.Context().Value(carriedKey{}).(*carried)
	if !ok {
		return AccessToken{}, false
	}
	return sent.token, !sent.token.Value.IsZero()
}

// scrubbed returns text from a response without the credentials of its request.
func scrubbed(res *http.Response, text string) string {
	if res.Request == nil {
		return text
	}
	sent, ok := res.Request.Context().Value(carriedKey{}).(*carried)
	if !ok {
		return text
	}
	return sent.scrub.Scrub(text)
}

// Authorize adds the token to one request, with its proof if it is bound to a
// key (RFC 9449). It is for a caller that sends the request itself; the rules
// of a [Client] about origins do not apply.
func (t AccessToken) Authorize(req *http.Request) error {
	switch {
	case t.Value.IsZero():
		return nil
	case t.Type == "DPoP" && t.Prover == nil:
		return errors.New("the token is bound to a key that is not available")
	case t.Type == "DPoP":
		proof, err := t.Prover.Proof(req.Method, req.URL.String(), t.Value)
		if err != nil {
			return fmt.Errorf("apicall: %w", err)
		}
		req.Header.Set("DPoP", proof)
	}
	req.Header.Set("Authorization", t.Type+" "+t.Value.Reveal())
	return nil
}

// build creates the request, without the token.
func (r Request) build(ctx context.Context, u *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("the method %.200q or the URL cannot be sent", r.Method)
	}
	req.URL = u // unchanged, even with an empty query
	for name, values := range r.Header {
		if len(values) > 0 {
			req.Header[name] = append(req.Header[name], values...)
			continue
		}
		switch http.CanonicalHeaderKey(name) {
		case "User-Agent":
			req.Header["User-Agent"] = []string{""} // which is written as none
		case "Accept-Encoding":
			req.Header.Set("Accept-Encoding", "identity")
		}
	}
	if host := req.Header.Get("Host"); host != "" {
		// The transport writes the URL's host otherwise.
		req.Host = host
	}
	if err := r.Body.attach(req); err != nil {
		return nil, err
	}
	return req, nil
}

// redirect returns the URL of a redirect to follow, or nil. The redirect of a
// request that changes data is returned to the user, unless it repeats the same
// request (RFC 9110, section 15.4).
func (c *Client) redirect(r Request, req *http.Request, res *http.Response) (*url.URL, error) {
	same := false
	switch res.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		same = true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
	default:
		return nil, nil
	}
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	location := res.Header.Get("Location")
	if location == "" || !r.Body.again() || !reads && !same {
		return nil, nil
	}
	next, err := req.URL.Parse(Encode(location))
	if err == nil {
		err = c.HTTP.Allows(next)
	}
	switch {
	case err != nil:
		return nil, refuseRedirect(res, "a redirect to https", req.URL, location)
	case safehttp.Origin(next) == safehttp.Origin(req.URL):
		return next, nil
	case !reads || r.Body != nil:
		return nil, nil // the body was not written for another origin
	case safehttp.IsLoopback(next.Hostname()) && !safehttp.IsLoopback(req.URL.Hostname()):
		return nil, refuseRedirect(res, "a redirect that does not point to this machine", req.URL, location)
	}
	return next, nil
}

func refuseRedirect(res *http.Response, expected string, from *url.URL, location string) error {
	res.Body.Close()
	return &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: diagnosis.Text(expected), Got: diagnosis.Values{fmt.Sprintf("one from %s to %s", safehttp.Origin(from), where(res, location))}}
}

// where returns the part of a Location header that may be shown: its query may
// contain secrets.
func where(res *http.Response, location string) string {
	shown, _, _ := strings.Cut(location, "?")
	return fmt.Sprintf("%.200q", scrubbed(res, shown))
}
