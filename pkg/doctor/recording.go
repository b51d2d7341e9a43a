package doctor

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Recording is a recorded run, for an examination that sends nothing. It is an
// [http.RoundTripper] that returns the recorded responses. If a request was not
// recorded, the rung that needs it is not reached. It is safe for concurrent use.
type Recording struct {
	Exchanges []Exchange

	mu   sync.Mutex
	now  time.Time // the end of the exchange that was used last
	took time.Duration
}

// Exchange is a recorded request with its response.
type Exchange struct {
	Method   string
	URL      string
	HasToken bool // it had an Authorization header
	Status   int  // 0 without a response
	Header   http.Header
	Body     []byte
	Err      error // why there is no response
	Start    time.Time
	Took     time.Duration
}

var errNotRecorded = errors.New("the report does not contain the response")

// isNotRecorded reports whether err comes from a recording that lacks a response.
func isNotRecorded(err error) bool { return errors.Is(err, errNotRecorded) }

// RoundTrip returns the recorded response to a request with the same method and URL.
func (r *Recording) RoundTrip(req *http.Request) (*http.Response, error) {
	hasToken := req.Header.Get("Authorization") != ""
	i := slices.IndexFunc(r.Exchanges, func(x Exchange) bool {
		return x.Method == req.Method && x.URL == req.URL.String() && x.HasToken == hasToken
	})
	if i < 0 {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.NotChecked, Err: errNotRecorded}
	}
	x := &r.Exchanges[i]
	r.mu.Lock()
	r.now, r.took = x.Start.Add(x.Took), x.Took
	r.mu.Unlock()
	if x.Err != nil {
		return nil, x.Err
	}
	header := x.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: x.Status, Status: statusText(x.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(x.Body)), ContentLength: int64(len(x.Body)), Request: req,
	}, nil
}

// Now returns the time at which the exchange that was used last ended.
func (r *Recording) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// lastTook returns the duration of the exchange that was used last.
func (r *Recording) lastTook() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took
}

// called returns the last recorded request with a token to the origin of a URL.
func (r *Recording) called(rawURL string) (*Request, bool) {
	for _, x := range slices.Backward(r.Exchanges) {
		if x.HasToken && originOf(x.URL) == originOf(rawURL) && !strings.Contains(pathOf(x.URL), "/.well-known/") {
			return &Request{Method: x.Method, URL: x.URL, HasToken: true}, true
		}
	}
	return nil, false
}

func pathOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Path
}

// replayed returns the configuration of an examination that sends nothing.
func (c Config) replayed() Config {
	c.HTTP, c.Now = &safehttp.Client{Transport: c.Recording}, c.Recording.Now
	c.Account, c.Dial, c.NoToken, c.Deep = nil, nil, false, true
	return c
}
