// Package forge signs access tokens that a resource server must refuse, each
// different from a valid one in one thing (RFC 7515, RFC 7519, RFC 8725, RFC
// 9068).
//
// Start with [Cases], the table of what can be changed, and [Sign]. A row names
// the diagnosis with which a verifier answers such a token. The development
// server, the audit of an API and the test kit share the table. The package
// sends nothing and verifies nothing.
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

// Case is one way in which a token can differ from a valid one.
type Case struct {
	Name string
	// Phrase completes "a token …", for instance "without an audience".
	Phrase string
	// Diagnosis is the id with which a verifier refuses the token; "" for a token
	// that must be accepted.
	Diagnosis diagnosis.ID
	// NeedsKey is set where only the issuer's private key can sign the token; any
	// other token can be made from a valid one, or from none.
	NeedsKey bool
	// NeedsScopes is set where the change concerns the scopes of the token.
	NeedsScopes bool

	spoil func(*Draft)
}

// Cases returns the table in the order in which it is documented.
func Cases() []Case { return slices.Clone(table) }

// Lookup returns the case of that name, and whether there is one.
func Lookup(name string) (Case, bool) {
	i := slices.IndexFunc(table, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return Case{}, false
	}
	return table[i], true
}

// Draft is a valid access token before it is signed, with what the cases need
// to change it.
type Draft struct {
	// Key is the issuer's key. A kid in Header is not compared with it.
	Key *jwks.PrivateKey
	// Raw is a valid token, and Public the key that verifies it, where Key is
	// unknown: then only cases without NeedsKey can be signed. See [FromToken].
	Raw    secret.String
	Public *jwks.Key
	// Sibling is another key of the same key set, that of a second tenant; nil
	// stands for Key.
	Sibling *jwks.PrivateKey
	// Attacker has the keys of someone else; nil generates one.
	Attacker *Attacker
	Header   map[string]any
	Claims   map[string]any
	// ScopeClaim names the claim that holds the scopes: a text in scope and scp, a
	// list in any other; "" stands for scope.
	ScopeClaim string
	// OtherScopes are scopes that exist and are not in the token.
	OtherScopes []string
	// KeyURL is where the case jku-header says that the key is; "" stands for an
	// address that no one has.
	KeyURL string

	rawAlgorithm string
	finish       func(*Draft) (string, error)
}

// Spoil changes the draft as the case says. Several cases can follow each other.
func (c Case) Spoil(d *Draft) { c.spoil(d) }

// Sign returns the token of the case with that name; the draft is not changed.
// It errs if the name is unknown or the key cannot sign.
func Sign(name string, d Draft) (string, error) {
	c, ok := Lookup(name)
	if !ok {
		return "", fmt.Errorf("forge: unknown case %q", name)
	}
	d.Header, d.Claims = maps.Clone(d.Header), maps.Clone(d.Claims)
	c.Spoil(&d)
	return d.Sign()
}

// Sign returns the token as it is now, valid or spoiled.
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

// valid signs with the issuer's key; without that key it returns the token that
// the issuer signed.
func (d *Draft) valid() (string, error) {
	if d.Key == nil {
		return d.Raw.Reveal(), nil
	}
	return d.signBy(d.Key)
}

// algorithm is the alg of a valid token.
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

// FromToken returns the draft of a token that the issuer signed, so that cases
// without NeedsKey can be made from it. It errs if the token is not a JWT. The
// members keep the text that the issuer wrote.
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

// signBy signs header and claims; the header is not made to fit the key.
func (d *Draft) signBy(key *jwks.PrivateKey) (string, error) {
	claims, err := encode(d.Claims)
	if err != nil {
		return "", err
	}
	return d.signText(key, claims)
}

// signText signs a payload that may not be what JSON can be made of.
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

// input is what a signature covers (RFC 7515, section 5.1).
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

// attacker returns a key that the issuer does not have, of the same algorithm.
func (d *Draft) attacker() (*jwks.PrivateKey, error) {
	if d.Attacker == nil {
		d.Attacker = &Attacker{}
	}
	return d.Attacker.Key(d.algorithm())
}

// Attacker has one key for each algorithm, generated when it is first needed.
// The zero value is ready, and safe for concurrent use.
type Attacker struct {
	mu   sync.Mutex
	keys map[string]*jwks.PrivateKey
}

// Key returns the attacker's key for an algorithm. It errs for one that
// [jwks.Generate] does not know.
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

// seconds reads a time claim of the draft; 0 if it is missing.
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

// shift moves the times that the draft has.
func (d *Draft) shift(by time.Duration, claims ...string) {
	for _, claim := range claims {
		if _, ok := d.Claims[claim]; ok {
			d.Claims[claim] = d.seconds(claim) + int64(by.Seconds())
		}
	}
}

// expire makes the draft a token that expired that long before it would have
// been issued.
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

// scopes reads the scopes of the draft.
func (d *Draft) scopes() []string {
	switch v := d.Claims[d.scopeClaim()].(type) {
	case string:
		return strings.Fields(v)
	case []string:
		return slices.Clone(v)
	}
	return nil
}

// SetScopes writes scopes in the form that the scope claim has; none removes the
// claim.
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

// randomText is an unguessable string, in the place of an opaque token.
func randomText() string { return rand.Text() + rand.Text() }
