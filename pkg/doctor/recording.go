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

// Recording is a run that was recorded, for an examination that sends nothing: as
// an [http.RoundTripper] it answers as the servers did then. A request that was
// not recorded has no answer, and the rung that needs it is not reached. It is
// safe for concurrent use.
type Recording struct {
	Exchanges []Exchange

	mu   sync.Mutex
	now  time.Time // of the exchange that was answered last
	took time.Duration
}

// Exchange is a recorded request with its answer.
type Exchange struct {
	Method   string
	URL      string
	HasToken bool // an Authorization field went with it
	Status   int  // 0 if there was no answer
	Header   http.Header
	Body     []byte
	Err      error // why there was no answer
	Start    time.Time
	Took     time.Duration
}

var errNotRecorded = errors.New("the report does not hold the response")

// isNotRecorded reports whether err comes from a recording that lacks a response.
func isNotRecorded(err error) bool { return errors.Is(err, errNotRecorded) }

// RoundTrip answers as the server did when the run was recorded.
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

// Now is the time at which the last exchange ended.
func (r *Recording) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// lastTook is how long the last exchange took.
func (r *Recording) lastTook() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took
}

// called is the last request with a token to the origin of a URL.
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

// replayed is the configuration of an examination that sends nothing.
func (c Config) replayed() Config {
	c.HTTP, c.Now = &safehttp.Client{Transport: c.Recording}, c.Recording.Now
	c.Account, c.Dial, c.NoToken, c.Deep = nil, nil, false, true
	return c
}
