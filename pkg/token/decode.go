package token

import (
	"fmt"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Decode reads a token and verifies nothing: anybody may have written it. Errors
// are Diagnoses of kind Rejected that say what the string is instead.
func Decode(raw string) (*Token, error) {
	p, err := split(raw)
	if err != nil {
		return nil, err
	}
	t, err := p.readHeader()
	if err != nil {
		return nil, err
	}
	if _, err := decodePart("signature", p.signature); err != nil {
		return nil, err
	}
	return t, t.readClaims(p)
}

func (p parts) readHeader() (*Token, error) {
	data, err := decodePart("header", p.header)
	if err != nil {
		return nil, err
	}
	members, err := readObject(data, diagnosis.HeaderInvalid)
	if err != nil {
		return nil, err
	}
	t := &Token{headerJSON: string(data), raw: secret.New(p.raw)}
	t.header, err = readHeader(members)
	return t, err
}

// readClaims reads the payload; a verifier does so only after the signature.
func (t *Token) readClaims(p parts) error {
	data, err := decodePart("payload", p.payload)
	if err != nil {
		return err
	}
	claims, err := readObject(data, diagnosis.PayloadInvalid)
	if err != nil {
		return err
	}
	if name, meant := misspelt(claims, registeredClaims); name != "" {
		return &diagnosis.Diagnosis{ID: diagnosis.MemberCase, Expected: meant, Got: fmt.Sprintf("%q", name)}
	}
	t.claimsJSON, t.claims = string(data), claims
	return nil
}

// Kind is what a token looks like.
type Kind int

// The kinds of JWT that are told apart.
const (
	KindUnknown Kind = iota
	KindAccessToken
	KindIDToken
	KindLogoutToken
	KindDPoPProof
	KindStatusList
	KindSecurityEvent
	KindOther
)

// String returns the kind in words.
func (k Kind) String() string {
	return [...]string{"JWT", "access token", "ID token", "logout token", "DPoP proof", "token status list", "security event token", "JWT of another kind"}[k]
}

// kindOfType maps a typ header (RFC 8725, section 3.11) to a kind. Types
// compare without case and with or without application/ (RFC 7515, section
// 4.1.9).
func kindOfType(typ string) Kind {
	switch normalType(typ) {
	case "", "jwt":
		return KindUnknown
	case "at+jwt":
		return KindAccessToken
	case "logout+jwt":
		return KindLogoutToken
	case "dpop+jwt":
		return KindDPoPProof
	case "statuslist+jwt":
		return KindStatusList
	case "secevent+jwt":
		return KindSecurityEvent
	}
	return KindOther
}

func normalType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// Kind returns what the token looks like, by its typ and otherwise by its
// claims. It is a guess to be shown, not a check.
func (t *Token) Kind() Kind {
	k := kindOfType(t.header.typ)
	switch {
	case k != KindUnknown && k != KindOther:
		return k
	case t.has("nonce"), t.has("at_hash"), t.text("token_use") == "id":
		return KindIDToken
	case t.has("scope"), t.has("scp"), t.text("token_use") == "access":
		return KindAccessToken
	}
	return k
}
