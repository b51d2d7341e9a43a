// Package forge signs access tokens that a resource server must refuse. Each
// differs from a valid token in one way (RFC 7515, RFC 7519, RFC 8725, RFC
// 9068).
//
// Start with [Cases], the table of differences, and [Sign]. Each row has the
// diagnosis id that a verifier returns for such a token. The development
// server, the audit of an API and the test kit share the table. The package
// sends no requests and verifies nothing.
package forge

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Case is one way in which a token differs from a valid one.
type Case struct {
	Name string
	// Phrase completes "a token …", for example "without an audience".
	Phrase string
	// Diagnosis is the id with which a verifier refuses the token, or "" if it
	// must accept it.
	Diagnosis diagnosis.ID
	// NeedsKey means that only the issuer's private key can sign the token. Other
	// tokens can be made from a valid one, or from none.
	NeedsKey bool
	// NeedsScopes means that the case changes the scopes of the token.
	NeedsScopes bool

	spoil func(*Draft)
}

// Cases returns the table in the order of the documentation.
func Cases() []Case { return slices.Clone(table) }

// Lookup returns the case with that name, and whether it exists.
func Lookup(name string) (Case, bool) {
	i := slices.IndexFunc(table, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return Case{}, false
	}
	return table[i], true
}

// Draft is a valid access token before it is signed, with the values that the
// cases need.
type Draft struct {
	// Key is the issuer's key. It is used with any kid in Header.
	Key *jwks.PrivateKey
	// If Key is unknown, Raw is a valid token and Public the key that verifies
	// it. Then only cases without NeedsKey can be signed. See [FromToken].
	Raw    secret.String
	Public *jwks.Key
	// Sibling is another key of the same key set, that of a second tenant. If
	// nil, Key is used.
	Sibling *jwks.PrivateKey
	// Attacker holds the keys of an attacker. If nil, one is generated.
	Attacker *Attacker
	Header   map[string]any
	Claims   map[string]any
	// ScopeClaim is the claim with the scopes: a string in scope and scp, a list
	// in any other. "" means scope.
	ScopeClaim string
	// OtherScopes lists scopes that exist but are not in the token.
	OtherScopes []string
	// KeyURL is the URL of the key in the case jku-header. "" means an address
	// that does not exist.
	KeyURL string

	rawAlgorithm string
	finish       func(*Draft) (string, error)
}

// Spoil changes the draft. Several cases can be combined.
func (c Case) Spoil(d *Draft) { c.spoil(d) }

// Sign returns the token of the case with that name, without changing the
// draft. It returns an error if the name is unknown or the key cannot sign.
func Sign(name string, d Draft) (string, error) {
	c, ok := Lookup(name)
	if !ok {
		return "", fmt.Errorf("forge: unknown case %q", name)
	}
	d.Header, d.Claims = maps.Clone(d.Header), maps.Clone(d.Claims)
	c.Spoil(&d)
	return d.Sign()
}

// Sign returns the token in its current state.
func (d *Draft) Sign() (string, error) {
	if d.Key == nil && d.Raw.IsZero() {
		return "", errors.New("forge: a draft needs a key")
	}
	finish := d.finish
	if finish == nil {
		finish = (*Draft).valid
	}
	raw, err := finish(d)
	if err != nil {
		return "", fmt.Errorf("forge: %w", err)
	}
	return raw, nil
}

// valid signs with the issuer's key. Without that key, it returns the original
// token.
func (d *Draft) valid() (string, error) {
	if d.Key == nil {
		return d.Raw.Reveal(), nil
	}
	return d.signBy(d.Key)
}

// algorithm returns the alg of a valid token.
func (d *Draft) algorithm() string {
	if d.Key == nil {
		return d.rawAlgorithm
	}
	return d.Key.Algorithm()
}

// public returns the key that verifies a valid token.
func (d *Draft) public() (*jwks.Key, error) {
	switch {
	case d.Public != nil:
		return d.Public, nil
	case d.Key != nil:
		return d.Key.Public(), nil
	}
	return nil, errors.New("the issuer's public key is unknown")
}

// FromToken returns the draft of a token that the issuer signed, for cases
// without NeedsKey. It returns an error if the token is not a JWT. The members
// keep the issuer's encoding.
func FromToken(raw string) (Draft, error) {
	read, err := token.Decode(raw)
	if err != nil {
		return Draft{}, fmt.Errorf("forge: %w", err)
	}
	d := Draft{Raw: secret.New(raw), rawAlgorithm: read.Algorithm()}
	for _, part := range []struct {
		text []byte
		into *map[string]any
	}{{read.HeaderJSON(), &d.Header}, {read.ClaimsJSON(), &d.Claims}} {
		var members map[string]jsontext.Value
		if err := json.Unmarshal(part.text, &members); err != nil {
			return Draft{}, fmt.Errorf("forge: %w", err)
		}
		*part.into = make(map[string]any, len(members))
		for name, value := range members {
			(*part.into)[name] = value
		}
	}
	return d, nil
}

// signBy signs header and claims without adapting the header to the key.
func (d *Draft) signBy(key *jwks.PrivateKey) (string, error) {
	claims, err := encode(d.Claims)
	if err != nil {
		return "", err
	}
	return d.signText(key, claims)
}

// signText signs a payload that need not be JSON.
func (d *Draft) signText(key *jwks.PrivateKey, payload []byte) (string, error) {
	input, err := d.input(payload)
	if err != nil {
		return "", err
	}
	alg := key.Algorithm()
	if alg == "Ed25519" {
		alg = "EdDSA"
	}
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		return "", fmt.Errorf("the key cannot sign with %q", alg)
	}
	signature, err := method.Sign(input, key.Signer())
	if err != nil {
		return "", errors.New("signing failed")
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// input returns the input of a signature (RFC 7515, section 5.1).
func (d *Draft) input(payload []byte) (string, error) {
	header, err := encode(d.Header)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload), nil
}

func encode(members map[string]any) ([]byte, error) {
	return json.Marshal(members, json.Deterministic(true))
}

// attacker returns a key of the same algorithm that is not the issuer's.
func (d *Draft) attacker() (*jwks.PrivateKey, error) {
	if d.Attacker == nil {
		d.Attacker = &Attacker{}
	}
	return d.Attacker.Key(d.algorithm())
}

// Attacker has one key for each algorithm, generated when it is first needed.
// The zero value is ready to use and safe for concurrent use.
type Attacker struct {
	mu   sync.Mutex
	keys map[string]*jwks.PrivateKey
}

// Key returns the attacker's key for an algorithm. It returns an error if
// [jwks.Generate] does not support the algorithm.
func (a *Attacker) Key(alg string) (*jwks.PrivateKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key := a.keys[alg]; key != nil {
		return key, nil
	}
	key, err := jwks.Generate(alg)
	if err != nil {
		return nil, err
	}
	if a.keys == nil {
		a.keys = map[string]*jwks.PrivateKey{}
	}
	a.keys[alg] = key
	return key, nil
}

// seconds returns a time claim of the draft, or 0 if it is missing.
func (d *Draft) seconds(claim string) int64 {
	switch v := d.Claims[claim].(type) {
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		return int64(v)
	}
	return 0
}

// shift moves the times of the draft.
func (d *Draft) shift(by time.Duration, claims ...string) {
	for _, claim := range claims {
		if _, ok := d.Claims[claim]; ok {
			d.Claims[claim] = d.seconds(claim) + int64(by.Seconds())
		}
	}
}

// expire moves all times of the draft, so that the token expired some time ago.
func (d *Draft) expire(ago time.Duration) {
	lifetime := time.Duration(d.seconds("exp")-d.seconds("iat")) * time.Second
	d.shift(-ago-lifetime, "iat", "nbf", "exp")
}

func (d *Draft) scopeClaim() string {
	if d.ScopeClaim == "" {
		return "scope"
	}
	return d.ScopeClaim
}

// scopes returns the scopes of the draft.
func (d *Draft) scopes() []string {
	switch v := d.Claims[d.scopeClaim()].(type) {
	case string:
		return strings.Fields(v)
	case []string:
		return slices.Clone(v)
	}
	return nil
}

// SetScopes writes scopes in the form of the scope claim. Without scopes, it
// removes the claim.
func (d *Draft) SetScopes(scopes []string) {
	switch claim := d.scopeClaim(); {
	case len(scopes) == 0:
		delete(d.Claims, claim)
	case claim == "scope" || claim == "scp":
		d.Claims[claim] = strings.Join(scopes, " ")
	default:
		d.Claims[claim] = scopes
	}
}

// audience returns the first audience of the draft.
func (d *Draft) audience() string {
	switch v := d.Claims["aud"].(type) {
	case string:
		return v
	case []string:
		if len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

func (d *Draft) text(claim string) string {
	s, _ := d.Claims[claim].(string)
	return s
}

// randomText returns an unguessable string, in the form of an opaque token.
func randomText() string { return rand.Text() + rand.Text() }
