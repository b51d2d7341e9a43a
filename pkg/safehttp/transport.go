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

// maxIdlePerHost is the number of idle connections to one host, so that
// programs with many concurrent requests reuse connections.
const maxIdlePerHost = 64

// NewTransport returns a transport for [Client.Transport]. It uses the proxy in
// HTTPS_PROXY or HTTP_PROXY, except for loopback addresses. To support ALL_PROXY
// and to reject invalid variables, set Proxy to [Proxies.For]. A nil config
// means the system's certificates. Names below localhost always resolve to the
// loopback address (RFC 6761, section 6.3).
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

// dial connects to address. Names below localhost are the loopback address.
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
// path, whatever the host of the URL. Otherwise it is like [NewTransport].
func UnixTransport(path string, config *tls.Config) *http.Transport {
	t := NewTransport(config)
	t.Proxy = nil
	var d net.Dialer
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return answering(d.DialContext(ctx, "unix", path))
	}
	return t
}

// answering wraps a connection so that a response can be read after the server
// stopped reading. A server that refuses an upload responds and closes the
// connection; the client's next write fails, often before the response was
// read, and the HTTP transport drops a connection after a failed write.
func answering(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &answeringConn{Conn: conn}, nil
}

type answeringConn struct {
	net.Conn
	wrote  atomic.Bool // since the last read that returned data
	broken atomic.Bool // the server does not read any more
}

// Read implements [net.Conn].
func (c *answeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.broken.Load() {
		c.wrote.Store(false)
	}
	return n, err
}

// Write implements [net.Conn]. If the server closes the connection during a
// request, the rest of the request is discarded, and the reader receives the
// response or the error.
func (c *answeringConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	closed := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if !closed || !c.wrote.Load() && n == 0 {
		// If the first write of a request fails, the connection was idle for too
		// long, and the transport connects again.
		c.wrote.Store(c.wrote.Load() || n > 0)
		return n, err
	}
	c.broken.Store(true)
	return len(p), nil
}
