package session

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// slot identifies one record of a store by its kind and profile.
type slot struct {
	kind    string // "session" or "client"; part of the associated data of a seal
	profile string
}

func sessionOf(profile string) slot { return slot{kind: "session", profile: profile} }
func clientOf(profile string) slot  { return slot{kind: "client", profile: profile} }

// file returns the name of the record's file. Profile names may contain dots,
// but the suffixes differ, so no two slots have the same file.
func (s slot) file() string {
	if s.kind == "session" {
		return s.profile + ".json"
	}
	return s.profile + "." + s.kind
}

// lockFile returns the name of the record's lock.
func (s slot) lockFile() string {
	if s.kind == "session" {
		return s.profile + ".lock"
	}
	return s.hidden("lock")
}

// draft returns the name of the temporary file that replaces the record.
func (s slot) draft() string { return s.hidden("new") }

// marker returns the name of the file that notes that the record was sealed.
func (s slot) marker() string { return s.hidden("sealed") }

// hidden returns the name of an auxiliary file of the record. Profile names do
// not begin with a dot.
func (s slot) hidden(purpose string) string {
	if s.kind == "session" {
		return "." + s.profile + "." + purpose
	}
	return "." + s.profile + "." + s.kind + "-" + purpose
}

// version returns the format version of the record. A new member, or one with a
// new meaning, needs a new version.
func (s slot) version() int {
	if s.kind == "session" {
		return 2
	}
	return 1
}

// record is the content of a slot.
type record interface {
	slot() slot
	client() (issuer, clientID string)
	// encode returns the plain form of the record.
	encode() ([]byte, error)
}

// envelope is the stored form of a sealed record. Its plain members are the
// associated data of the encryption, so a file cannot be moved to another
// profile, nor its issuer be changed.
type envelope struct {
	Version  int    `json:"version"`
	Profile  string `json:"profile"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	KeyID    string `json:"key"`
	Sealed   []byte `json:"sealed"` // nonce, ciphertext and tag
}

// seal is how a file is encrypted: the name of its key in the keychain, and the key once
// it is known. The zero seal is that of a plain file.
type seal struct {
	id  string
	key []byte
}

const (
	keySize  = 32
	idLength = 32 // hexadecimal digits
)

// newSeal returns a seal with a new key and a new name, so that no key is used
// for two records or by two processes.
func newSeal() seal {
	b := make([]byte, idLength/2+keySize)
	rand.Read(b) // never fails: crypto/rand crashes the program instead
	return seal{id: hex.EncodeToString(b[:idLength/2]), key: b[idLength/2:]}
}

// encode returns the stored form of a record, sealed with s.
func encode(r record, with seal) ([]byte, error) {
	plain, err := r.encode()
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if with.id == "" {
		return append(plain, '\n'), nil
	}
	issuer, clientID := r.client()
	e := envelope{Version: r.slot().version(), Profile: r.slot().profile, Issuer: issuer, ClientID: clientID, KeyID: with.id}
	box, bound, err := e.box(r.slot().kind, with.key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize(), box.NonceSize()+len(plain)+box.Overhead())
	rand.Read(nonce)
	e.Sealed = box.Seal(nonce, nonce, plain, bound)
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return append(data, '\n'), nil
}

// box returns the cipher of an envelope and its associated data.
func (e *envelope) box(kind string, key []byte) (cipher.AEAD, []byte, error) {
	box, err := newCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	// JSON, because a separator could also be part of a value.
	bound, err := json.Marshal([]any{"oauthctl " + kind, e.Version, e.Profile, e.Issuer, e.ClientID, e.KeyID})
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	return box, bound, nil
}

// sealOf returns the seal of a stored record, without its key. Its errors
// contain no part of the text.
func sealOf(data []byte, at slot) (seal, error) {
	var head struct {
		Version int            `json:"version"`
		Profile string         `json:"profile"`
		KeyID   string         `json:"key"`
		Sealed  jsontext.Value `json:"sealed"`
	}
	if json.Unmarshal(data, &head) != nil {
		return seal{}, unreadable("a "+at.kind+" in JSON", "something else")
	}
	switch {
	case head.Version > at.version():
		return seal{}, unreadable(fmt.Sprintf("format version %d", at.version()), fmt.Sprintf("version %d, of a newer oauthctl", head.Version))
	case head.Version < 1:
		return seal{}, unreadable(fmt.Sprintf("format version %d", at.version()), fmt.Sprintf("version %d", head.Version))
	case head.Profile != at.profile:
		return seal{}, unreadable("a "+at.kind+" of profile "+at.profile, "one of another profile")
	case head.KeyID == "" && head.Sealed != nil:
		return seal{}, unreadable("the name of a key with a sealed "+at.kind, "none")
	}
	return seal{id: head.KeyID}, nil
}

// unseal decrypts a stored record with the key of its seal.
func unseal(data []byte, at slot, with seal) ([]byte, error) {
	if with.id == "" {
		return data, nil
	}
	var e envelope
	if json.Unmarshal(data, &e, json.RejectUnknownMembers(true)) != nil {
		return nil, unreadable("a sealed "+at.kind, "something else")
	}
	// Base64 has unused bits that the encryption does not protect.
	if again, err := json.Marshal(e); err != nil || !bytes.Equal(again, bytes.TrimSpace(data)) {
		return nil, unreadable("a sealed "+at.kind+" as it was written", "one that was changed")
	}
	box, bound, err := e.box(at.kind, with.key)
	if err != nil {
		return nil, err
	}
	if len(e.Sealed) < box.NonceSize() {
		return nil, unreadable("a sealed "+at.kind, "less than its nonce")
	}
	n := box.NonceSize()
	plain, err := box.Open(nil, e.Sealed[:n], e.Sealed[n:], bound)
	if err != nil {
		return nil, unreadable("a "+at.kind+" encrypted with the keychain's key", "one that was changed, or encrypted with another key")
	}
	return plain, nil
}
