package token

import (
	"encoding/base64"
	"fmt"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// FromIntrospection returns an opaque token with the claims that its server named
// in an introspection response (RFC 7662, section 2.2), as JSON. Nothing is
// checked but that the response can be read in one way only: whether the token is
// active, and for whom, is the caller's to decide.
func FromIntrospection(raw secret.String, response []byte) (*Token, error) {
	t := &Token{headerJSON: "{}", raw: raw}
	w := new(workspace)
	if err := w.readClaims(t, parts{payload: base64.RawURLEncoding.EncodeToString(response)}); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if err := checkTexts(t); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return t, nil
}
