package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

const (
	bodyLimit = 1 << 20
	// askTime is the time limit of one request.
	askTime = 10 * time.Second
	// quickly is the expected time for a server's first response.
	quickly = 3 * time.Second
)

// examination holds the results so far.
type examination struct {
	config  Config
	kind    Kind
	settled bool
	broken  map[string]string // why a rung did not pass, by name

	first    *answer // the API's or the issuer's response to a request without a token
	firstErr error
	greeting *answer // of an MCP server to initialize without a token
	greetErr error   // why there is no greeting

	sought      bool // for resource metadata
	resource    *discovery.Resource
	resourceErr error
	trail       discovery.Trail

	issuerURL    string // from the API or the user
	issuerListed bool   // by the API
	serverSought string // the issuer whose metadata was searched for
	server       *discovery.Server
	serverErr    error
	serverTrail  discovery.Trail
	issuerFirst  *answer
	issuerFailed error

	keys    *jwks.Set
	token   *account.Token
	intent  finding // why the token was issued for something else
	refused bool    // the API did not accept the token

	clocks []clockReading
}

// answer is a response with its request.
type answer struct {
	request *Request
	status  int
	header  http.Header
	body    []byte
	tls     *tls.ConnectionState
	took    time.Duration
}

// ask sends one request without credentials. It does not follow redirects or
// read event streams.
func (e *examination) ask(ctx context.Context, method, rawURL string, header http.Header, body string) (*answer, *Request, error) {
	return e.send(ctx, &Request{Method: method, URL: rawURL, Header: header, Body: body}, nil)
}

// send sends a request that prepare may add credentials to.
func (e *examination) send(ctx context.Context, r *Request, prepare func(*http.Request) error) (*answer, *Request, error) {
	return e.sendBy(ctx, e.config.HTTP, r, prepare)
}

func (e *examination) sendBy(ctx context.Context, client *safehttp.Client, r *Request, prepare func(*http.Request) error) (*answer, *Request, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var reader io.Reader = http.NoBody
	if r.Body != "" {
		reader = strings.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, reader)
	if err != nil {
		return nil, r, err
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if prepare != nil {
		if err := prepare(req); err != nil {
			return nil, r, err
		}
	}
	start := e.now()
	res, err := client.Stream(req)
	if err != nil {
		return nil, r, e.unanswered(err)
	}
	defer res.Body.Close()
	a := &answer{request: r, status: res.StatusCode, header: res.Header, tls: res.TLS, took: e.now().Sub(start)}
	if e.config.Recording != nil {
		a.took = e.config.Recording.lastTook()
	}
	e.readClock(req.URL, res.Header, e.now())
	if !isStream(res.Header) {
		a.body, err = io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	}
	return a, r, e.unanswered(err)
}

func isStream(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream")
}

// isJSON reports whether a body looks like a JSON object.
func (a *answer) isJSON() bool { return bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("{")) }

func (e *examination) now() time.Time {
	if e.config.Now == nil {
		return time.Now()
	}
	return e.config.Now()
}

// originOf returns the origin of a URL, or "" if the URL is invalid.
func originOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return safehttp.Origin(u)
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return rawURL
	}
	return u.Host
}
