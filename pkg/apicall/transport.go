package apicall

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// maxReplay is the maximum size of a body that is stored in memory for a
// repetition.
const maxReplay = 1 << 20

// RoundTripper returns a transport that attaches the client's token to each
// request to the API's origin and to those of AllowOrigins, for use in an
// http.Client. A request to another origin is sent without a token, so that a
// redirect takes none along. As [Client.Do] does, it refreshes a token that the
// API refuses and repeats the request once, if its body is not larger than 1 MiB
// or has a GetBody. It replaces an Authorization field. Retries does not apply.
func (c *Client) RoundTripper() http.RoundTripper { return &attaching{c: c} }

type attaching struct {
	c *Client
	// owned means that this transport may change the requests, and that their
	// URLs are the API's.
	owned bool
}

// RoundTrip implements [http.RoundTripper].
func (a *attaching) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := replayable(req)
	if err != nil {
		return nil, err
	}
	send := func(token AccessToken) (*http.Response, bool, error) {
		res, err := a.c.attempt(body, body != nil && body.Length > expectAbove, token, func() (*http.Request, error) {
			out := req.WithContext(req.Context())
			if !a.owned {
				out.Header = req.Header.Clone()
			}
			out.Body, out.GetBody = nil, nil
			return out, body.attach(out)
		})
		return res, !token.Value.IsZero(), err
	}
	var res *http.Response
	if a.c.Source == nil || !a.owned && !a.c.mayHaveToken(req.URL) {
		res, _, err = send(AccessToken{})
	} else {
		res, err = a.c.refreshing(req.Context(), body.again, send)
	}
	if err != nil && req.Body != nil {
		req.Body.Close()
	}
	return res, a.c.scrub(err)
}

// replayable returns a request's body, stored in memory if it is small enough.
func replayable(req *http.Request) (*Body, error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return nil, nil
	case req.GetBody != nil:
		return &Body{Open: req.GetBody, Length: knownLength(req)}, nil
	case req.ContentLength <= 0 || req.ContentLength > maxReplay:
		return &Body{Open: func() (io.ReadCloser, error) { return req.Body, nil }, Length: knownLength(req), Once: true}, nil
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, req.ContentLength))
	req.Body.Close()
	if err == nil && int64(len(data)) < req.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, errors.Join(errors.New("the request's body"), err)
	}
	return Bytes(data), nil
}

// knownLength is a request's length as [Body] has it: 0 with a body is unknown.
func knownLength(req *http.Request) int64 {
	if req.ContentLength == 0 {
		return -1
	}
	return req.ContentLength
}

// RecentOptions are the options of [Recent].
type RecentOptions struct {
	Age time.Duration    // how long a token is used
	Now func() time.Time // nil means time.Now
}

// Recent returns a source that calls source again only after the age, or if a
// token was rejected. It is for programs that send many requests a second. A
// change in the store is noticed after the age. Errors are not cached.
func Recent(source TokenSource, o RecentOptions) TokenSource {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &recent{source: source, age: o.Age, now: o.Now}
}

type recent struct {
	source TokenSource
	age    time.Duration
	now    func() time.Time

	mu    sync.RWMutex
	token AccessToken
	until time.Time
}

// Token implements [TokenSource].
func (r *recent) Token(ctx context.Context, rejected secret.String) (AccessToken, error) {
	r.mu.RLock()
	token, until := r.token, r.until
	r.mu.RUnlock()
	if r.now().Before(until) && (rejected.IsZero() || !rejected.Equal(token.Value)) {
		return token, nil
	}
	// The source limits concurrency; a slow refresh does not block a caller whose
	// context ends.
	token, err := r.source.Token(ctx, rejected)
	if err != nil {
		return AccessToken{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token, r.until = token, r.now().Add(r.age)
	return token, nil
}
