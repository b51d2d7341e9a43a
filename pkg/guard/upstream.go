package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// TransportOptions configures the connection to the upstream API.
type TransportOptions struct {
	// TLS holds the certificates. If nil, the system's CAs are used.
	TLS *tls.Config
	// Timeout limits the wait for the response header; 0 means no limit. The
	// response itself may be a stream and has no limit.
	Timeout time.Duration
}

// ParseUpstream reads the URL of an API and returns the transport for it:
// http and https, h2c for HTTP/2 without TLS, and unix:/path for a socket. Over
// https the API may choose HTTP/2. A URL with a user, a query or a fragment is
// refused.
func ParseUpstream(rawURL string, o TransportOptions) (*url.URL, http.RoundTripper, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, nil, errors.New("expected the URL of the API, such as http://127.0.0.1:8000")
	}
	switch {
	case u.User != nil:
		return nil, nil, errors.New("the URL of the API has a user or a password, which would not be sent")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, nil, errors.New("the URL of the API has a query or a fragment")
	}
	t := newTransport(o)
	switch u.Scheme {
	case "http", "https":
	case "h2c":
		u.Scheme = "http"
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	case "unix":
		path := u.Path + u.Opaque
		if !strings.HasPrefix(path, "/") || u.Host != "" {
			return nil, nil, errors.New("expected the absolute path of a socket, such as unix:/run/api.sock")
		}
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		u = &url.URL{Scheme: "http", Host: "localhost"}
	default:
		return nil, nil, fmt.Errorf("expected a URL with http, https, h2c or unix, got the scheme %q", u.Scheme)
	}
	if u.Host == "" {
		return nil, nil, errors.New("the URL of the API has no host")
	}
	return u, t, nil
}

// newTransport returns a transport that does not change responses.
func newTransport(o TransportOptions) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.DisableCompression, t.MaxIdleConnsPerHost = nil, true, 256
	t.TLSClientConfig, t.ResponseHeaderTimeout = o.TLS, o.Timeout
	return t
}

// buffers holds the copy buffers for responses.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
