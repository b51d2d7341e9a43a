package safehttp

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Proxies are the proxies that a program's environment names. Nil names none.
type Proxies struct {
	https, http *url.URL
	except      string // NO_PROXY
}

// ReadProxies reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals
// or not, as curl does. The result is nil where no proxy is named. A variable that
// cannot be used is a Diagnosis PROXY_INVALID: connecting without the proxy
// instead would be a surprise. Its value may hold a password and is not shown.
func ReadProxies(getenv func(string) string) (*Proxies, error) {
	p := &Proxies{except: first(getenv, "NO_PROXY", "no_proxy")}
	var err error
	if p.https, err = readProxy(getenv, "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"); err != nil {
		return nil, err
	}
	if p.http, err = readProxy(getenv, "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"); err != nil {
		return nil, err
	}
	if p.https == nil && p.http == nil {
		return nil, nil
	}
	return p, nil
}

func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return value
		}
	}
	return ""
}

func readProxy(getenv func(string) string, names ...string) (*url.URL, error) {
	for _, name := range names {
		value := getenv(name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		u, err := url.Parse(value)
		if err != nil || u.Hostname() == "" || !isProxyScheme(u.Scheme) || strings.Trim(u.Path, "/") != "" {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ProxyInvalid, Expected: diagnosis.Values{"the URL of a proxy, such as http://proxy.example.com:3128, in " + name}}
		}
		return u, nil
	}
	return nil, nil
}

func isProxyScheme(scheme string) bool {
	switch scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

// For returns the proxy of a request, nil for none; it is the Proxy of an
// [http.Transport]. Loopback hosts and those of NO_PROXY are reached without one.
func (p *Proxies) For(req *http.Request) (*url.URL, error) {
	if p == nil || IsLoopback(req.URL.Hostname()) || p.isExcepted(req.URL) {
		return nil, nil
	}
	if req.URL.Scheme == "https" {
		return p.https, nil
	}
	return p.http, nil
}

// isExcepted reports whether NO_PROXY lists the host: by name with those below
// it, by address or network, with or without a port; * lists every host.
func (p *Proxies) isExcepted(u *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(Origin(u), u.Scheme+"://"))
	for entry := range strings.FieldsFuncSeq(p.except, func(r rune) bool { return r == ',' || r == ' ' }) {
		if entry == "*" || lists(strings.ToLower(entry), host, port) {
			return true
		}
	}
	return false
}

// lists reports whether one entry of NO_PROXY is about the host.
func lists(entry, host, port string) bool {
	if network, err := netip.ParsePrefix(entry); err == nil {
		address, err := netip.ParseAddr(host)
		return err == nil && network.Contains(address.Unmap())
	}
	if name, at, err := net.SplitHostPort(entry); err == nil {
		if at != port {
			return false
		}
		entry = name
	}
	entry = strings.TrimPrefix(strings.Trim(entry, "[]"), "*")
	// A dot in front lists only the names below.
	below := "." + strings.TrimPrefix(entry, ".")
	return entry != "" && (host == entry || strings.HasSuffix(host, below))
}
