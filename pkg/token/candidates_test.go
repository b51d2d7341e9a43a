package token_test

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The message says which keys were tried: the one that the token names, the
// only one, or as many as are tried for a token without kid.
func TestWhichKeysWereTried(t *testing.T) {
	signer := newKey(t, "ES256")
	for name, tt := range map[string]struct {
		keys int
		kid  bool
		want string
	}{
		"named":         {3, true, `a signature by key "`},
		"the only one":  {1, false, `a signature by key "`},
		"two":           {2, false, "one of the 2 keys that fit; the token has no kid,"},
		"four":          {4, false, "one of the 4 keys that fit; the token has no kid,"},
		"six":           {6, false, "one of the 4 keys that were tried, of 6 that fit; the token has no kid,"},
		"without a kid": {0, false, "a signature by the key,"},
	} {
		var keys []*jwks.Key
		for range tt.keys {
			keys = append(keys, newKey(t, "ES256").Public())
		}
		if tt.keys == 0 {
			data, err := newKey(t, "ES256").Public().MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			key, err := jwks.ParsePublic(data)
			if err != nil {
				t.Fatal(err)
			}
			keys = []*jwks.Key{key}
		}
		header := map[string]any{"alg": "ES256"}
		if tt.kid {
			header["kid"] = keys[1].ID()
		}
		raw, err := token.SignWithHeader(signer, header, claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(keys...), token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), raw); idOf(err) != diagnosis.SignatureInvalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// certificateOf returns a certificate of a key.
func certificateOf(t *testing.T, key *jwks.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Signer().Public(), key.Signer())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// publishedWith returns the JWK of a key with other members instead of its kid.
func publishedWith(t *testing.T, key *jwks.PrivateKey, members string) string {
	t.Helper()
	data, err := key.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(data), fmt.Sprintf(`"kid":%q`, key.ID()), members, 1)
}

func parseSet(t *testing.T, keys ...string) *jwks.Set {
	t.Helper()
	set, err := jwks.Parse([]byte(`{"keys":[` + strings.Join(keys, ",") + `]}`))
	if err != nil || len(set.Skipped()) > 0 {
		t.Fatalf("%v, %v", err, set.Skipped())
	}
	return set
}

// Six keys fit, and a thumbprint in the header chooses one: the token of the
// sixth is verified, although only four keys are tried without a thumbprint. No
// other check is left out: a token that another key signed is refused, and so
// is one whose thumbprint matches no key. The report says how the key was
// chosen.
func TestThumbprintChoosesTheKey(t *testing.T) {
	var (
		keys []*jwks.PrivateKey
		jwk  []string
	)
	for i := range 6 {
		key := newKey(t, "ES256")
		keys = append(keys, key)
		jwk = append(jwk, publishedWith(t, key, fmt.Sprintf(`"kid":"k%d","x5c":[%q]`, i+1, base64.StdEncoding.EncodeToString(certificateOf(t, key)))))
	}
	set := parseSet(t, jwk...)
	sixth := keys[5]
	// The certificate in the set is found by its digest, even if the set does
	// not contain the digest.
	der := certificateIn(t, jwk[5])
	weak, strong := sha1.Sum(der), sha256.Sum256(der)
	x5t, x5tS256 := base64.RawURLEncoding.EncodeToString(weak[:]), base64.RawURLEncoding.EncodeToString(strong[:])
	for name, tt := range map[string]struct {
		signer *jwks.PrivateKey
		header map[string]any
		want   diagnosis.ID
		key    *token.KeyInfo
		text   string // of the check key, or else of the error
	}{
		"kid":                {sixth, map[string]any{"kid": "k6"}, "", &token.KeyInfo{ID: "k6", Type: "EC", Algorithm: "ES256", ChosenBy: "kid", Tried: 1}, "k6"},
		"x5t":                {sixth, map[string]any{"x5t": x5t}, "", &token.KeyInfo{ID: "k6", Type: "EC", Algorithm: "ES256", ChosenBy: "x5t", Tried: 1}, `key "k6", chosen by x5t`},
		"x5t#S256":           {sixth, map[string]any{"x5t#S256": x5tS256}, "", &token.KeyInfo{ID: "k6", Type: "EC", Algorithm: "ES256", ChosenBy: "x5t#S256", Tried: 1}, `key "k6", chosen by x5t#S256`},
		"neither, the third": {keys[2], nil, "", &token.KeyInfo{ID: "k3", Type: "EC", Algorithm: "ES256", Tried: 3}, `key "k3", number 3 of 6 keys that fit; the token has no kid`},
		"neither, the sixth": {sixth, nil, diagnosis.SignatureInvalid, nil, "a signature by one of the 4 keys that were tried, of 6 that fit; the token has no kid"},
		"another's":          {keys[0], map[string]any{"x5t": x5t}, diagnosis.SignatureInvalid, nil, `a signature by key "k6", chosen by x5t`},
		"not in the set":     {newKey(t, "ES256"), map[string]any{"x5t#S256": x5tS256}, diagnosis.SignatureInvalid, nil, `a signature by key "k6", chosen by x5t#S256`},
		"it names no key":    {sixth, map[string]any{"x5t": "gone"}, diagnosis.KidUnknown, nil, "got x5t gone"},
		"no string":          {sixth, map[string]any{"x5t": 5}, diagnosis.HeaderInvalid, nil, "expected x5t to be a string, got 5"},
		"misspelt":           {sixth, map[string]any{"x5t#s256": x5tS256}, diagnosis.MemberCase, nil, "expected x5t#S256, got x5t#s256"},
		"misspelt, SHA-1":    {sixth, map[string]any{"X5T": x5t}, diagnosis.MemberCase, nil, "expected x5t, got X5T"},
	} {
		t.Run(name, func(t *testing.T) {
			header := map[string]any{"alg": "ES256"}
			for member, value := range tt.header {
				header[member] = value
			}
			raw, err := token.SignWithHeader(tt.signer, header, claims(nil))
			if err != nil {
				t.Fatal(err)
			}
			v, err := token.NewVerifier(issuer, []string{audience}, set, token.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), raw)
			report := v.Report(t.Context(), raw)
			if idOf(err) != tt.want || idOf(report.Err()) != tt.want || (err == nil) != (tt.want == "") {
				t.Fatalf("Verify: %v, Report: %v, want %q", err, report.Err(), tt.want)
			}
			if diff := cmp.Diff(tt.key, report.Key); diff != "" {
				t.Error(diff)
			}
			text := fmt.Sprint(err)
			for _, c := range report.Checks {
				if err == nil && c.Check == "key" {
					text = c.Got.String()
				}
			}
			if !strings.Contains(text, tt.text) {
				t.Errorf("%q, want %q in it", text, tt.text)
			}
		})
	}
}

func certificateIn(t *testing.T, jwk string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(jwk, `"x5c":["`)
	text, _, _ := strings.Cut(rest, `"`)
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// The certificate of a key is replaced, and with it the thumbprint by which
// tokens choose the key: a token that was accepted and cached with the former
// thumbprint is then refused, also if the set is wrapped.
func TestCacheOfTokensWithThumbprint(t *testing.T) {
	key, other := newKey(t, "ES256"), newKey(t, "ES256")
	before := parseSet(t, publishedWith(t, key, `"x5t":"first"`), publishedWith(t, other, `"x5t":"other"`))
	after := parseSet(t, publishedWith(t, key, `"x5t":"second"`), publishedWith(t, other, `"x5t":"other"`))
	raw := func(x5t string) string {
		raw, err := token.SignWithHeader(key, map[string]any{"alg": "ES256", "x5t": x5t}, claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, wrap := range map[string]func(token.KeySet) token.KeySet{
		"not wrapped": func(k token.KeySet) token.KeySet { return k },
		"counting":    func(k token.KeySet) token.KeySet { return &counting{KeySet: k} },
		"combined":    func(k token.KeySet) token.KeySet { return both{parseSet(t, publishedWith(t, other, `"x5t":"x"`)), k} },
	} {
		keys := &keySet{set: before}
		v, err := token.NewVerifier(issuer, []string{audience}, wrap(keys), token.Options{CacheTokens: 8, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := v.Verify(t.Context(), raw("first")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		keys.change(after, nil)
		if _, err := v.Verify(t.Context(), raw("first")); idOf(err) != diagnosis.KidUnknown {
			t.Errorf("%s: %v after the change, want %s", name, err, diagnosis.KidUnknown)
		}
		if _, err := v.Verify(t.Context(), raw("second")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
