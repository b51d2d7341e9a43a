package guard

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the addresses whose forwarding headers count.
type proxies []netip.Prefix

func (p proxies) contain(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return address.IsValid() && slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// trust reports whether a request came directly from a trusted proxy.
func (p proxies) trust(r *http.Request) bool {
	if len(p) == 0 {
		return false
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.contain(at.Addr())
}

// client returns the address of the client as the log shows it: of the chain in
// X-Forwarded-For the last that is not itself a trusted proxy.
func (p proxies) client(r *http.Request) string {
	if !p.trust(r) {
		return r.RemoteAddr
	}
	chain := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	found := r.RemoteAddr
	for _, hop := range slices.Backward(chain) {
		hop = strings.TrimSpace(hop)
		address, err := netip.ParseAddr(hop)
		if err != nil {
			at, err := netip.ParseAddrPort(hop)
			if err != nil {
				break
			}
			address = at.Addr()
		}
		if found = address.String(); !p.contain(address) {
			break
		}
	}
	return found
}

// forward writes the forwarding headers for the API. It extends those of a
// trusted proxy, and replaces those of anyone else.
func (p proxies) forward(out http.Header, in *http.Request) {
	peer, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		peer = in.RemoteAddr
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	out["X-Forwarded-For"] = []string{peer}
	if !p.trust(in) {
		out["X-Forwarded-Host"], out["X-Forwarded-Proto"] = []string{in.Host}, []string{proto}
		return
	}
	// The standard library removed the first three.
	for name, own := range map[string]string{"X-Forwarded-Host": in.Host, "X-Forwarded-Proto": proto} {
		out[name] = []string{own}
		if given := in.Header[name]; len(given) > 0 {
			out[name] = given
		}
	}
	if chain := in.Header["X-Forwarded-For"]; len(chain) > 0 {
		out["X-Forwarded-For"] = []string{strings.Join(chain, ", ") + ", " + peer}
	}
	if chain := in.Header["Forwarded"]; len(chain) > 0 {
		out["Forwarded"] = []string{strings.Join(chain, ", ") + ", for=" + node(peer)}
	}
}

// node writes an address as RFC 7239, section 6, has it.
func node(address string) string {
	if strings.Contains(address, ":") {
		return `"[` + address + `]"`
	}
	return address
}
