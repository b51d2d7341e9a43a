package apicall

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// harmless keeps the header fields that say nothing about the user; any other
// may be a credential of the origin it was written for.
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

// CheckHeader refuses header fields that would change the request's shape and,
// where a token is sent, a second authorization.
func CheckHeader(h http.Header, token bool) error {
	for name, values := range h {
		if !isToken(name) {
			return fmt.Errorf("%.200q is not a header field's name", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the header field %s contains a line break or another control character", name)
			}
		}
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Dpop":
			if token {
				return &HeaderError{Field: name}
			}
		case "Host":
			if token {
				return errors.New("the header field Host would send the token to another site of the same server")
			}
		case "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Te", "Keep-Alive", "Expect":
			return fmt.Errorf("the header field %s belongs to the connection and is made from the request", name)
		}
	}
	return nil
}

// HeaderError is a header field that the token occupies.
type HeaderError struct{ Field string }

// Error implements error.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("the header field %s is the token's, and can be set only where no token is sent", e.Field)
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
