package safehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// reached reports whether a connection to the server was established.
type reached struct{ atomic.Bool }

func (r *reached) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { r.Store(true) }})
}

// explain turns an error of the transport into a Diagnosis with the URL. It omits
// the query, which may contain secrets.
func explain(ctx context.Context, req *http.Request, err error, limit time.Duration, connected bool) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err
	}
	where := place(req.URL.String())
	switch {
	case context.Cause(ctx) == errSilent:
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("a response from %s within %s", where, limit)}, Got: diagnosis.None}
	case req.Context().Err() != nil:
		return fmt.Errorf("safehttp: %s: %w", where, req.Context().Err())
	}
	if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
		return d // from the caller's body, or a proxy
	}
	id := diagnosis.Unreachable
	switch {
	case untrusted(err):
		id = diagnosis.TLSUntrusted
	case noTLS(err):
		id = diagnosis.TLSMissing
	case connected:
		id = diagnosis.ResponseBroken
	}
	return &diagnosis.Diagnosis{ID: id, Got: diagnosis.Values{where}, Err: &cause{plain(err), err}}
}

// explainBody is like explain, for errors after the response header.
func explainBody(ctx context.Context, req *http.Request, err error, limit time.Duration) error {
	return explain(ctx, req, err, limit, true)
}

func untrusted(err error) bool {
	var (
		record    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &record) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// noTLS reports whether the server's response to a TLS handshake was not TLS.
func noTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}

// cause is a network error with a plain message. It wraps the original error.
type cause struct {
	text string
	err  error
}

// Error implements error.
func (c *cause) Error() string { return c.text }

// Unwrap returns the original error.
func (c *cause) Unwrap() error { return c.err }

// plain describes a network error without the names of Go packages.
func plain(err error) string {
	if proxy, ok := errors.AsType[*net.OpError](err); ok && proxy.Op == "proxyconnect" {
		at := ""
		if dial, ok := errors.AsType[*net.OpError](proxy.Err); ok && dial.Addr != nil {
			at = " at " + dial.Addr.String()
		}
		return "the proxy" + at + " cannot be reached: " + plain(proxy.Err)
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		if name.IsNotFound {
			return "host " + diagnosis.Quote(name.Name) + " not found"
		}
		return "looking up the host " + diagnosis.Quote(name.Name) + " failed"
	}
	for _, known := range []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.ECONNRESET, "the server closed the connection"},
		{syscall.EPIPE, "the server closed the connection"},
		{syscall.EHOSTUNREACH, "no route to host"},
		{syscall.ENETUNREACH, "network unreachable"},
		{syscall.ENOENT, "the socket does not exist"},
		{net.ErrClosed, "the server closed the connection"},
		{io.ErrUnexpectedEOF, "the server closed the connection early"},
		{io.EOF, "the server closed the connection without a response"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Timeout() {
		return "no connection within the time limit"
	}
	text := err.Error()
	for {
		before := text
		for _, prefix := range []string{"net/http: ", "http: ", "http2: ", "textproto: ", "tls: ", "remote error: ", "HTTP/1.x transport connection broken: ", "write error: ", "read error: "} {
			text = strings.TrimPrefix(text, prefix)
		}
		if text == before {
			text = strings.ReplaceAll(text, "MIME header", "header")
			return diagnosis.Shorten(text, 200)
		}
	}
}

// refusedByProxy returns the error for a proxy's response to CONNECT, or nil if
// the proxy accepted.
func refusedByProxy(_ context.Context, proxy *url.URL, req *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	shown := url.URL{Scheme: proxy.Scheme, Host: proxy.Host}
	return &diagnosis.Diagnosis{ID: diagnosis.ProxyRefused, Got: diagnosis.Values{fmt.Sprintf("%s answered %d %s for %s", shown.String(), res.StatusCode, http.StatusText(res.StatusCode), diagnosis.Shorten(req.Host, 200))}}
}
