package safehttp

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// CheckURL parses rawURL. It must be absolute, http or https, without user
// information, and https unless its host is loopback. The error is a Diagnosis
// INSECURE_URL, or another error if rawURL is not a URL.
func CheckURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("safehttp: %q is not a URL", bare(rawURL))
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	return u, nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("safehttp: expected an https URL, got %q", bare(u.String()))
	case u.Hostname() == "":
		return fmt.Errorf("safehttp: the URL %q has no host", bare(u.String()))
	case u.User != nil:
		return fmt.Errorf("safehttp: the URL of host %s contains a user name or password", diagnosis.Quote(u.Host))
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return &diagnosis.Diagnosis{ID: diagnosis.InsecureURL, Expected: diagnosis.Values{"https, or http to a loopback address"}, Got: diagnosis.Values{place(u.String())}}
	}
	return nil
}

// Origin returns scheme, host and port of u in a comparable form (RFC 6454): in
// lower case, with the default port.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// IsLoopback reports whether host, without a port, is localhost, a name below it
// (RFC 6761, section 6.3), or a loopback address: 127.0.0.0/8 or ::1. It does
// not resolve names.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || belowLocalhost(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// bare returns the part of an invalid URL that may be shown: without user
// information, query and fragment, which may be secrets.
func bare(rawURL string) string {
	if i := strings.IndexAny(rawURL, "?#"); i >= 0 {
		rawURL = rawURL[:i]
	}
	return diagnosis.Shorten(rawURL[strings.LastIndexByte(rawURL, '@')+1:], 200)
}
