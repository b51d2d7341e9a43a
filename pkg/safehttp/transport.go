package safehttp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxIdlePerHost is how many idle connections to one host are kept, so that a
// program that sends many requests at once does not dial anew for each.
const maxIdlePerHost = 64

// NewTransport returns a transport for [Client.Transport]. It goes through the
// proxy that HTTPS_PROXY or HTTP_PROXY names, never for a loopback address; a
// program that minds variables which cannot be used, or ALL_PROXY, sets Proxy to
// [Proxies.For]. A nil config means
// the system's certificates. Names below localhost are the loopback address (RFC
// 6761, section 6.3), whatever a name server says.
func NewTransport(config *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.MaxResponseHeaderBytes = maxHeaderBytes
	t.MaxIdleConnsPerHost = maxIdlePerHost
	t.OnProxyConnectResponse = refusedByProxy
	t.DialContext = dial(&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second})
	return t
}

var shared = sync.OnceValue(func() http.RoundTripper { return NewTransport(nil) })

// dial connects, names below localhost to the loopback address.
func dial(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !belowLocalhost(host) {
			return answering(d.DialContext(ctx, network, address))
		}
		conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			if six, failed := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); failed == nil {
				return answering(six, nil)
			}
		}
		return answering(conn, err)
	}
}

func belowLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".localhost")
}

// UnixTransport returns a transport that connects to the Unix domain socket at
// path, whatever host a URL names, and otherwise does as [NewTransport].
func UnixTransport(path string, config *tls.Config) *http.Transport {
	t := NewTransport(config)
	t.Proxy = nil
	var d net.Dialer
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return answering(d.DialContext(ctx, "unix", path))
	}
	return t
}

// answering makes a connection of which an answer can be read although the
// server stopped reading. A server that refuses an upload answers and closes;
// what the client then writes fails, often before it has read the answer, and
// the HTTP transport drops a connection whose write failed.
func answering(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &answeringConn{Conn: conn}, nil
}

type answeringConn struct {
	net.Conn
	wrote  atomic.Bool // something, since the last read that returned data
	broken atomic.Bool // the server takes no more
}

// Read implements [net.Conn].
func (c *answeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.broken.Load() {
		c.wrote.Store(false)
	}
	return n, err
}

// Write implements [net.Conn]. When a server closes the connection in the middle
// of a request, the rest of the request is discarded and the reader is left to
// find the answer, or the error.
func (c *answeringConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	closed := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if !closed || !c.wrote.Load() && n == 0 {
		// The first write of a request fails on a connection that was idle for too
		// long; the transport then dials anew.
		c.wrote.Store(c.wrote.Load() || n > 0)
		return n, err
	}
	c.broken.Store(true)
	return len(p), nil
}
