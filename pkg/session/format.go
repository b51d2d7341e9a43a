package session

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

// formatVersion is the version of the stored form. A member that is added or
// changes its meaning makes another version.
const formatVersion = 1

// stored is a session as it is written. It is the one place where secrets are
// written out.
type stored struct {
	Version       int       `json:"version"`
	Profile       string    `json:"profile"`
	Issuer        string    `json:"issuer"`
	ClientID      string    `json:"client_id"`
	ClientSecret  string    `json:"client_secret,omitempty"`
	AuthMethod    string    `json:"auth_method,omitempty"`
	TokenEndpoint string    `json:"token_endpoint"`
	Grant         string    `json:"grant_type,omitempty"`
	TokenType     string    `json:"token_type"`
	AccessToken   string    `json:"access_token"`
	RefreshToken  string    `json:"refresh_token,omitempty"`
	IDToken       string    `json:"id_token,omitempty"`
	Scope         []string  `json:"scope,omitempty"`
	Resource      []string  `json:"resource,omitempty"`
	Subject       string    `json:"subject,omitempty"`
	Name          string    `json:"name,omitempty"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
	ObtainedAt    time.Time `json:"obtained_at,omitzero"`
	DPoPKey       string    `json:"dpop_key,omitempty"`
}

// envelope is a sealed session as it is written. What stands open is bound to
// the rest as associated data, so a file neither moves to another profile nor
// names another issuer.
type envelope struct {
	Version  int    `json:"version"`
	Profile  string `json:"profile"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	KeyID    string `json:"key"`
	Sealed   []byte `json:"sealed"` // nonce, ciphertext and tag
}

// seal is how a file is sealed: the name of its key in the keychain, and the key once it
// is known. The zero seal is that of a plain file.
type seal struct {
	id  string
	key []byte
}

const (
	keySize  = 32
	idLength = 32 // hexadecimal digits
)

// newSeal returns a seal with a new key of a new name, so that no two sessions
// and no two processes ever meet at one key.
func newSeal() seal {
	b := make([]byte, idLength/2+keySize)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return seal{hex.EncodeToString(b[:idLength/2]), b[idLength/2:]}
}

func encode(s *Session, with seal) ([]byte, error) {
	plain, err := json.Marshal(stored{
		formatVersion, s.Profile, s.Issuer, s.ClientID, s.ClientSecret.Reveal(), s.AuthMethod, s.TokenEndpoint, s.Grant, s.TokenType,
		s.AccessToken.Reveal(), s.RefreshToken.Reveal(), s.IDToken.Reveal(), s.Scope, s.Resource, s.Subject, s.Name, s.ExpiresAt, s.ObtainedAt,
		s.DPoPKey.Reveal(),
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if with.id == "" {
		return append(plain, '\n'), nil
	}
	e := envelope{Version: formatVersion, Profile: s.Profile, Issuer: s.Issuer, ClientID: s.ClientID, KeyID: with.id}
	box, bound, err := e.box(with.key)
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
func (e *envelope) box(key []byte) (cipher.AEAD, []byte, error) {
	box, err := newCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	// JSON, because a separator of our own could be part of a value.
	bound, err := json.Marshal([]any{"oauthctl session", e.Version, e.Profile, e.Issuer, e.ClientID, e.KeyID})
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	return box, bound, nil
}

// sealOf tells how a stored session is sealed, without its key. Its errors quote
// nothing of the text.
func sealOf(data []byte, profile string) (seal, error) {
	var head struct {
		Version int    `json:"version"`
		Profile string `json:"profile"`
		KeyID   string `json:"key"`
	}
	if json.Unmarshal(data, &head) != nil {
		return seal{}, unreadable(profile, "a session in JSON", "something else")
	}
	switch {
	case head.Version > formatVersion:
		return seal{}, newer(profile, head.Version)
	case head.Version != formatVersion:
		return seal{}, unreadable(profile, fmt.Sprintf("format version %d", formatVersion), fmt.Sprintf("version %d", head.Version))
	case head.Profile != profile:
		return seal{}, unreadable(profile, "a session of profile "+profile, "one of another profile")
	}
	return seal{id: head.KeyID}, nil
}

// decode reads a stored session with the key of its seal.
func decode(data []byte, profile string, with seal) (*Session, error) {
	if with.id != "" {
		var e envelope
		if json.Unmarshal(data, &e, json.RejectUnknownMembers(true)) != nil {
			return nil, unreadable(profile, "a sealed session", "something else")
		}
		// Base64 has bits that carry nothing, and so are not under the seal.
		if again, err := json.Marshal(e); err != nil || !bytes.Equal(again, bytes.TrimSpace(data)) {
			return nil, unreadable(profile, "a sealed session as it was written", "one that was changed")
		}
		box, bound, err := e.box(with.key)
		if err != nil {
			return nil, err
		}
		if len(e.Sealed) < box.NonceSize() {
			return nil, unreadable(profile, "a sealed session", "less than its nonce")
		}
		n := box.NonceSize()
		if data, err = box.Open(nil, e.Sealed[:n], e.Sealed[n:], bound); err != nil {
			return nil, unreadable(profile, "a session sealed with the keychain's key", "one that was changed, or sealed with another key")
		}
	}
	return decodePlain(data, profile)
}

func decodePlain(data []byte, profile string) (*Session, error) {
	var s stored
	if json.Unmarshal(data, &s, json.RejectUnknownMembers(true)) != nil {
		return nil, unreadable(profile, "a session in JSON", "something else")
	}
	switch {
	case s.Version != formatVersion || s.Profile != profile:
		return nil, unreadable(profile, "a session of profile "+profile, "another")
	case s.AccessToken == "":
		return nil, unreadable(profile, "an access token", "none")
	}
	return &Session{
		s.Profile, s.Issuer, s.ClientID, secret.New(s.ClientSecret), s.AuthMethod, s.TokenEndpoint, s.Grant, s.TokenType,
		secret.New(s.AccessToken), secret.New(s.RefreshToken), secret.New(s.IDToken), s.Scope, s.Resource, s.Subject, s.Name, s.ExpiresAt, s.ObtainedAt,
		secret.New(s.DPoPKey),
	}, nil
}
