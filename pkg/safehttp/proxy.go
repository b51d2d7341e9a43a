package safehttp

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Proxies holds the proxies that are configured in the environment. A nil
// Proxies has none.
type Proxies struct {
	https, http *url.URL
	except      string // NO_PROXY
}

// ReadProxies reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in upper or
// lower case, as curl does. The result is nil if no proxy is configured. An
// invalid variable is a Diagnosis PROXY_INVALID, because a direct connection could
// bypass a required proxy. The value is not shown, because it may contain a
// password.
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

// For returns the proxy for a request, or nil for a direct connection. It can be
// used as the Proxy of an [http.Transport]. Connections to loopback hosts and to
// those in NO_PROXY are direct.
func (p *Proxies) For(req *http.Request) (*url.URL, error) {
	if p == nil || IsLoopback(req.URL.Hostname()) || p.isExcepted(req.URL) {
		return nil, nil
	}
	if req.URL.Scheme == "https" {
		return p.https, nil
	}
	return p.http, nil
}

// isExcepted reports whether NO_PROXY contains the host: a name with its
// subdomains, an address or a network, with or without a port, or * for every
// host.
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

// lists reports whether one entry of NO_PROXY matches the host.
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
	// With a leading dot, only subdomains match.
	below := "." + strings.TrimPrefix(entry, ".")
	return entry != "" && (host == entry || strings.HasSuffix(host, below))
}
