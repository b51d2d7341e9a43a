package apicall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const maxRedirects = 10

// follow sends the request and what redirects make of it. The token that went
// with the last of them is returned too, empty if none did.
func (c *Client) follow(ctx context.Context, r Request, u *url.URL, token AccessToken) (*http.Response, secret.String, error) {
	for range maxRedirects + 1 {
		req, res, err := c.send(ctx, r, u, token)
		if err != nil {
			return nil, secret.String{}, err
		}
		next, err := r.redirect(req, res)
		if err != nil || next == nil {
			return res, token.Value, err
		}
		res.Body.Close()
		if safehttp.Origin(next) != safehttp.Origin(u) {
			r.Header = harmless(r.Header)
			if !token.Value.IsZero() && c.Dropped != nil {
				c.Dropped(u, next)
			}
			token = AccessToken{}
		}
		u = next
	}
	return nil, secret.String{}, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: diagnosis.Values{fmt.Sprintf("at most %d redirects", maxRedirects)}, Got: diagnosis.Values{"more"}}
}

// send sends one request, once more if a DPoP-bound token needs the server's
// nonce in its proof (RFC 9449, section 9).
func (c *Client) send(ctx context.Context, r Request, u *url.URL, token AccessToken) (*http.Request, *http.Response, error) {
	for first := true; ; first = false {
		req, err := r.build(ctx, u)
		if err != nil {
			return nil, nil, err
		}
		if err := token.authorize(req); err != nil {
			return nil, nil, err
		}
		res, err := c.HTTP.Stream(req)
		if err != nil {
			return nil, nil, err
		}
		if token.Type != "DPoP" {
			return req, res, nil
		}
		learned := token.Prover.Learn(u.String(), res.Header)
		if !first || !learned || r.Stream != nil || !wantsNonce(res) {
			return req, res, nil
		}
		res.Body.Close()
	}
}

// authorize adds the token to one request, with its proof if it is bound.
func (t AccessToken) authorize(req *http.Request) error {
	switch {
	case t.Value.IsZero():
		return nil
	case t.Type == "DPoP" && t.Prover == nil:
		return errors.New("apicall: the token is bound to a key, which is not at hand")
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

// build makes the request as it is sent, but for the token.
func (r Request) build(ctx context.Context, u *url.URL) (*http.Request, error) {
	body, length, err := r.body()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("apicall: the method %.200q or the URL cannot be sent", r.Method)
	}
	if length > 0 {
		req.ContentLength = length
	}
	for name, values := range r.Header {
		name = http.CanonicalHeaderKey(name)
		req.Header[name] = append(req.Header[name], values...)
	}
	if host := req.Header.Get("Host"); host != "" {
		// The transport writes the URL's host otherwise.
		req.Host = host
	}
	return req, nil
}

// body returns the body from its beginning, with its length where that is known
// only here.
func (r Request) body() (io.Reader, int64, error) {
	switch {
	case r.Stream != nil:
		return r.Stream, 0, nil
	case r.Open != nil:
		body, err := r.Open()
		if err != nil {
			return nil, 0, fmt.Errorf("apicall: the body: %w", err)
		}
		if f, ok := body.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				return body, info.Size(), nil
			}
		}
		return body, 0, nil
	case r.Body != nil:
		return bytes.NewReader(r.Body), 0, nil
	}
	return nil, 0, nil
}

// redirect returns where an answer leads on, nil if it is to be handed back: what
// a request that changes something was answered is for the user to see, unless
// the very same request is asked for again (RFC 9110, section 15.4).
func (r Request) redirect(req *http.Request, res *http.Response) (*url.URL, error) {
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
	if location == "" || r.Stream != nil || !reads && !same {
		return nil, nil
	}
	next, err := req.URL.Parse(location)
	if err == nil {
		_, err = safehttp.CheckURL(next.String())
	}
	switch {
	case err != nil:
		return nil, refuseRedirect(res, "a redirect to https", req.URL, location)
	case safehttp.Origin(next) == safehttp.Origin(req.URL):
		return next, nil
	case !reads || r.Body != nil || r.Open != nil:
		return nil, nil // the body was not written for somebody else
	case safehttp.IsLoopback(next.Hostname()) && !safehttp.IsLoopback(req.URL.Hostname()):
		return nil, refuseRedirect(res, "a redirect that does not point into this machine", req.URL, location)
	}
	return next, nil
}

func refuseRedirect(res *http.Response, expected string, from *url.URL, location string) error {
	res.Body.Close()
	// A query may hold secrets.
	shown, _, _ := strings.Cut(location, "?")
	return &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Expected: diagnosis.Text(expected), Got: diagnosis.Values{fmt.Sprintf("one from %s to %.200q", safehttp.Origin(from), shown)}}
}

// harmless keeps the header fields that say nothing about the user; any other
// may be a credential of the origin it was written for.
func harmless(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Range", "User-Agent":
			kept[name] = values
		}
	}
	return kept
}

// checkHeader refuses what would change the request's shape, and a second way of
// authorization beside the token.
func checkHeader(h http.Header, token bool) error {
	for name, values := range h {
		if !isToken(name) {
			return fmt.Errorf("apicall: %.200q cannot be a header's name", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("apicall: the header %s holds a line break or another control character", name)
			}
		}
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Dpop":
			if token {
				return fmt.Errorf("apicall: the header %s is the token's; it may be set where no token is sent (--no-token)", name)
			}
		case "Host":
			if token {
				return errors.New("apicall: the header Host would bring the token to another site of the same server")
			}
		case "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Keep-Alive":
			return fmt.Errorf("apicall: the header %s belongs to the connection and is made from the request", name)
		}
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return s != ""
}
