package token

import (
	"cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Decode parses a token without verifying it. Errors are Diagnoses of kind
// Rejected that say what the string is instead.
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
		return nil, cmp.Or(paddedForm(p.header), err)
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

// readClaims parses the payload. A verifier does so only after the signature.
func (w *workspace) readClaims(t *Token, p parts) error {
	data, err := decodePart(w.part[:0], "payload", p.payload)
	if err != nil {
		return err
	}
	w.part = data
	return w.readMembers(t, data)
}

// readMembers reads the JSON object of claims.
func (w *workspace) readMembers(t *Token, data []byte) error {
	text := string(data)
	claims, err := w.readObject(data, text, diagnosis.PayloadInvalid)
	if err != nil {
		return err
	}
	if name, meant := misspelt(claims, registeredClaims); name != "" {
		return &diagnosis.Diagnosis{ID: diagnosis.MemberCase, Expected: diagnosis.Values{meant}, Got: diagnosis.Values{name}}
	}
	t.claimsJSON, t.claims = text, claims
	return nil
}
