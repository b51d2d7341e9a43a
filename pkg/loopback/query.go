package loopback

import (
	"errors"
	"net/url"
	"strings"
)

// ParseQuery parses the query of a redirect. It splits only at &, because ; is an
// ordinary character there (RFC 3986, section 3.4), and keeps a value that cannot
// be decoded unchanged, so that one invalid parameter does not affect the others.
func ParseQuery(query string) url.Values {
	values := url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		values.Add(unescaped(name), unescaped(value))
	}
	return values
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// Errors of [ParsePasted].
var (
	ErrNoQuery      = errors.New("the address has no parameters")
	ErrOtherAddress = errors.New("the address is not the redirect URI")
)

// ParsePasted reads the address that a browser shows at the end of a login, in the
// forms in which people paste it: with quotes or angle brackets around it, with its
// fragment, broken into lines, with another loopback host, or only the part from the
// ? on. It returns the parameters, [ErrNoQuery], or [ErrOtherAddress] for an address
// that is not redirectURI.
func ParsePasted(text, redirectURI string) (url.Values, error) {
	text = unwrapped(text)
	text, _, _ = strings.Cut(text, "#")
	address, query, found := strings.Cut(text, "?")
	if !found && address != "" && !strings.Contains(address, "/") && strings.Contains(address, "&") && strings.Contains(address, "=") {
		address, query, found = "", address, true // the parameters alone
	}
	own, ownQuery, _ := strings.Cut(redirectURI, "?")
	switch {
	case !found || query == "":
		return nil, ErrNoQuery
	case address != "" && !samePlace(address, own):
		return nil, ErrOtherAddress
	}
	// The redirect URI's own query may precede the parameters of the response.
	return ParseQuery(strings.TrimPrefix(strings.TrimPrefix(query, ownQuery), "&")), nil
}

// unwrapped removes characters that terminals, mail programs and people add to
// an address. An address contains no white space.
func unwrapped(text string) string {
	text = strings.NewReplacer("\x1b[200~", "", "\x1b[201~", "").Replace(text)
	text = strings.Join(strings.Fields(text), "")
	for {
		shorter := strings.Trim(text, "\"'`“”‘’")
		if strings.HasPrefix(shorter, "<") {
			shorter = strings.TrimSuffix(shorter[1:], ">")
		}
		if shorter == text {
			return text
		}
		text = shorter
	}
}

// samePlace compares scheme, host, port and path. All loopback hosts are equal.
func samePlace(pasted, own string) bool {
	if pasted == own {
		return true
	}
	p, err := url.Parse(pasted)
	o, ownErr := url.Parse(own)
	if err != nil || ownErr != nil || !strings.EqualFold(p.Scheme, o.Scheme) {
		return false
	}
	pasted, own = strings.ToLower(p.Hostname()), strings.ToLower(o.Hostname())
	samePath := strings.TrimSuffix(p.Path, "/") == strings.TrimSuffix(o.Path, "/") && p.Opaque == o.Opaque
	return samePath && p.Port() == o.Port() && (pasted == own || isLoopbackName(pasted) && isLoopbackName(own))
}

func isLoopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
