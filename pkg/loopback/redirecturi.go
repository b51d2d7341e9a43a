package loopback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const defaultRedirectURI = "http://127.0.0.1:0/callback"

// ErrNotLoopback means that no listener on this machine can receive the
// response: the URI is https, has the scheme of an app, or has another host. The
// response can only be pasted.
var ErrNotLoopback = errors.New("a redirect URI to listen at is http with a loopback host")

// redirectPlace is a parsed redirect URI.
type redirectPlace struct {
	raw        string // unchanged
	host, port string // to bind
	isName     bool   // localhost or a name below it
	path       string // as a browser sends it, decoded
	portAt     int    // index of the port 0 in raw, or 0
	portEnd    int
}

func parseRedirectURI(raw string) (redirectPlace, error) {
	if raw == "" {
		raw = defaultRedirectURI
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || strings.Contains(raw, "#") {
		return redirectPlace{}, notLoopback(raw)
	}
	p := redirectPlace{raw: raw, host: strings.ToLower(u.Hostname()), port: "80", path: u.Path}
	ip, err := netip.ParseAddr(p.host)
	p.isName = p.host == "localhost" || strings.HasSuffix(p.host, ".localhost")
	if !p.isName && (err != nil || ip != netip.IPv6Loopback() && ip != netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		return redirectPlace{}, notLoopback(raw)
	}
	if p.path == "" {
		p.path = "/"
	}
	if text := u.Port(); text != "" {
		number, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return redirectPlace{}, notLoopback(raw)
		}
		p.port = strconv.FormatUint(number, 10)
		if number == 0 {
			p.portAt = strings.Index(raw, u.Host) + len(u.Host) - len(text)
			p.portEnd = p.portAt + len(text)
		}
	}
	return p, nil
}

func notLoopback(raw string) error {
	return fmt.Errorf("loopback: %w: %q", ErrNotLoopback, shortened(raw))
}

// bound returns the redirect URI to send, and the Host header that a browser
// sends for it. Only port 0 is replaced, because a server compares the URI with
// the registered one.
func (p redirectPlace) bound(port string) (redirectURI, host string) {
	redirectURI = p.raw
	if p.portAt > 0 {
		redirectURI, p.port = p.raw[:p.portAt]+port+p.raw[p.portEnd:], port
	}
	host = net.JoinHostPort(p.host, p.port)
	if p.port == "80" {
		host = strings.TrimSuffix(host, ":80")
	}
	return redirectURI, host
}

func (r *Receiver) bind(network, address string) error {
	l, err := net.Listen(network, address)
	if err == nil {
		r.listeners = append(r.listeners, l)
	}
	return err
}

// bindBoth binds one port on 127.0.0.1 and on ::1, because a browser may resolve
// localhost to either. Without IPv6, only IPv4 is bound. A port that another
// process has bound on ::1 is not used, because that process would receive the
// code.
func (r *Receiver) bindBoth(port string) error {
	for tries := 10; ; tries-- {
		if err := r.bind("tcp4", net.JoinHostPort("127.0.0.1", port)); err != nil {
			return err
		}
		err := r.bind("tcp6", net.JoinHostPort("::1", r.port()))
		if err == nil || !hasIPv6() {
			return nil
		}
		if port != "0" || tries == 0 {
			return err
		}
		// The port is free only for IPv4. Another port may be free for both.
		for _, l := range r.listeners {
			l.Close()
		}
		r.listeners = nil
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func (r *Receiver) port() string {
	return strconv.Itoa(r.listeners[0].Addr().(*net.TCPAddr).Port)
}

func shortened(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
