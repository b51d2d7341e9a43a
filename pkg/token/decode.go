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
	var w workspace
	t, err := w.readHeader(p)
	if err != nil {
		return nil, err
	}
	if _, err := decodePart(nil, "signature", p.signature); err != nil {
		return nil, err
	}
	return t, w.readClaims(t, p)
}

func (w *workspace) readHeader(p parts) (*Token, error) {
	data, err := decodePart(w.part[:0], "header", p.header)
	if err != nil {
		return nil, err
	}
	w.part = data
	t := &Token{headerJSON: string(data), raw: secret.New(p.raw)}
	members, err := w.readObject(data, t.headerJSON, diagnosis.HeaderInvalid)
	if err != nil {
		return nil, err
	}
	t.header, err = headerOf(members)
	return t, err
}

// readClaims reads the payload; a verifier does so only after the signature.
func (w *workspace) readClaims(t *Token, p parts) error {
	data, err := decodePart(w.part[:0], "payload", p.payload)
	if err != nil {
		return err
	}
	w.part = data
	text := string(data)
	claims, err := w.readObject(data, text, diagnosis.PayloadInvalid)
	if err != nil {
		return err
	}
	if name, meant := misspelt(claims, registeredClaims); name != "" {
		return &diagnosis.Diagnosis{ID: diagnosis.MemberCase, Expected: meant, Got: fmt.Sprintf("%q", name)}
	}
	t.claimsJSON, t.claims = text, claims
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
