package apicall

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// harmless lists the headers that contain nothing about the user. Any other
// header may be a credential for its origin.
func harmless(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Range", "User-Agent":
			kept[name] = values
		}
	}
	return kept
}

// CheckHeader refuses headers that would change the framing or the host of the
// request and, if a token is sent, a second Authorization.
func CheckHeader(h http.Header, token bool) error {
	for name, values := range h {
		if !isToken(name) {
			return fmt.Errorf("%.200q is not a header name", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the header %s contains a line break or another control character", name)
			}
		}
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Dpop":
			if token {
				return &HeaderError{Field: name}
			}
		case "Host":
			if token {
				return errors.New("the header Host would send the token to another site of the same server")
			}
		case "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Keep-Alive", "Expect":
			return fmt.Errorf("the header %s belongs to the connection and cannot be set", name)
		}
	}
	return nil
}

// HeaderError is a header field that the token occupies.
type HeaderError struct{ Field string }

// Error implements error.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("the header %s is set to the token, and can be overridden only without a token", e.Field)
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return s != ""
}
