package session

import (
	"crypto/cipher"
	"encoding/base64"
	"errors"

	"github.com/zalando/go-keyring"
	"golang.org/x/crypto/chacha20poly1305"
)

// keychain is the system's keychain: Secret Service, Keychain or Credential
// Manager.
type keychain struct{}

const keychainService = "oauthctl"

func systemKeys() KeyHolder { return keychain{} }

func (keychain) Key(name string) ([]byte, error) {
	text, err := keyring.Get(keychainService, name)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

func (keychain) SetKey(name string, key []byte) error {
	return keyring.Set(keychainService, name, base64.StdEncoding.EncodeToString(key))
}

func (keychain) DeleteKey(name string) error {
	err := keyring.Delete(keychainService, name)
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNoKey
	}
	return err
}

func newCipher(key []byte) (cipher.AEAD, error) { return chacha20poly1305.NewX(key) }
