package jwks_test

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// certifiedKey is a key with a certificate, and the members of a JWK that can
// contain it.
type certifiedKey struct {
	jwk          map[string]any
	x5c          string
	x5t, x5tS256 string
	private      *jwks.PrivateKey
}

func newCertifiedKey(t *testing.T, alg, kid string) *certifiedKey {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Signer().Public(), key.Signer())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c := &certifiedKey{private: key, x5c: base64.StdEncoding.EncodeToString(der)}
	if err := json.Unmarshal(data, &c.jwk); err != nil {
		t.Fatal(err)
	}
	if c.jwk["kid"] = kid; kid == "" {
		delete(c.jwk, "kid")
	}
	weak, strong := sha1.Sum(der), sha256.Sum256(der)
	c.x5t, c.x5tS256 = base64.RawURLEncoding.EncodeToString(weak[:]), base64.RawURLEncoding.EncodeToString(strong[:])
	return c
}

// with returns the JWK with additional members, given as name, value, name,
// value.
func (c *certifiedKey) with(members ...any) string {
	all := map[string]any{}
	for name, value := range c.jwk {
		all[name] = value
	}
	for i := 0; i < len(members); i += 2 {
		all[members[i].(string)] = members[i+1]
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func keySetOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// For a token without kid, the key is chosen by the thumbprint of a
// certificate, whether the key set has it in x5t#S256, x5t or x5c. A token with
// a kid is not affected.
func TestKeysByCertificate(t *testing.T) {
	a, b, other := newCertifiedKey(t, "ES256", "a"), newCertifiedKey(t, "ES256", "b"), newCertifiedKey(t, "ES256", "")
	ed := newCertifiedKey(t, "EdDSA", "ed")
	plain := newCertifiedKey(t, "ES256", "plain")
	full := keySetOf(plain.with(), a.with("x5t#S256", a.x5tS256), b.with("x5t", b.x5t), other.with("x5c", []string{other.x5c, a.x5c}), ed.with("x5c", []string{ed.x5c}))
	anonymous := func(c *certifiedKey) string {
		return strings.Replace(c.with("x5c", []string{c.x5c}), fmt.Sprintf(`"kid":%q,`, c.jwk["kid"]), "", 1)
	}
	var many []string
	for range 6 {
		many = append(many, newCertifiedKey(t, "ES256", "").with())
	}
	weak := `{"kty":"RSA","kid":"weak","n":"` + strings.Repeat("_", 170) + `w","e":"AQAB","x5t":"weak-x5t"}`
	for name, tt := range map[string]struct {
		set   string
		query jwks.Query
		want  []*certifiedKey
		fit   int
		by    string
		id    diagnosis.ID
		text  string
	}{
		"x5t#S256":                      {set: full, query: jwks.Query{X5TS256: a.x5tS256}, want: []*certifiedKey{a}, fit: 1, by: "x5t#S256"},
		"x5t":                           {set: full, query: jwks.Query{X5T: b.x5t}, want: []*certifiedKey{b}, fit: 1, by: "x5t"},
		"x5c, SHA-1":                    {set: full, query: jwks.Query{X5T: other.x5t}, want: []*certifiedKey{other}, fit: 1, by: "x5t"},
		"x5c, SHA-256":                  {set: full, query: jwks.Query{X5TS256: other.x5tS256}, want: []*certifiedKey{other}, fit: 1, by: "x5t#S256"},
		"both: the stronger one counts": {set: full, query: jwks.Query{X5T: b.x5t, X5TS256: a.x5tS256}, want: []*certifiedKey{a}, fit: 1, by: "x5t#S256"},
		"only the weaker one is known":  {set: full, query: jwks.Query{X5T: b.x5t, X5TS256: b.x5tS256}, want: []*certifiedKey{b}, fit: 1, by: "x5t"},
		"a kid decides":                 {set: full, query: jwks.Query{KeyID: "a", X5T: b.x5t}, want: []*certifiedKey{a}, fit: 1, by: "kid"},
		"an unknown kid stays unknown":  {set: keySetOf(a.with("x5t", a.x5t)), query: jwks.Query{KeyID: "c", X5T: a.x5t}, id: diagnosis.KidUnknown, text: "expected a, got c"},
		"keys without kid":              {set: keySetOf(anonymous(plain), anonymous(a), anonymous(b)), query: jwks.Query{KeyID: "c", X5T: a.x5t}, want: []*certifiedKey{a}, fit: 1, by: "x5t"},
		"keys without kid, not named":   {set: keySetOf(anonymous(a), anonymous(b)), query: jwks.Query{KeyID: "c", X5T: "x"}, want: []*certifiedKey{a, b}, fit: 2},
		"neither kid nor thumbprint":    {set: full, want: []*certifiedKey{plain, a, b, other}, fit: 4},
		"a key without certificate":     {set: full, query: jwks.Query{X5T: "none of these"}, want: []*certifiedKey{plain}, fit: 1},
		"no key has a certificate":      {set: keySetOf(many...), query: jwks.Query{X5T: a.x5t}, fit: 6},
		"six without kid":               {set: keySetOf(many...), fit: 6},
		"one certificate, two keys":     {set: keySetOf(a.with("x5t", "same"), b.with("x5t", "same")), query: jwks.Query{X5T: "same"}, want: []*certifiedKey{a, b}, fit: 2, by: "x5t"},
		"it names no key":               {set: keySetOf(a.with("x5t", a.x5t), b.with("x5t", b.x5t)), query: jwks.Query{X5T: "gone"}, id: diagnosis.KidUnknown, text: "expected x5t " + a.x5t + " or x5t " + b.x5t + ", got x5t gone"},
		"neither of them names a key":   {set: keySetOf(a.with("x5t", a.x5t)), query: jwks.Query{X5T: "gone", X5TS256: "gone too"}, id: diagnosis.KidUnknown, text: "got x5t#S256 gone too, x5t gone"},
		"SHA-1 in the wrong member":     {set: keySetOf(a.with("x5t", a.x5t)), query: jwks.Query{X5TS256: a.x5t}, id: diagnosis.KidUnknown, text: "got x5t#S256 " + a.x5t},
		"it names a key of another alg": {set: full, query: jwks.Query{X5T: ed.x5t}, id: diagnosis.AlgMismatch, text: "EdDSA"},
		"only a key of another alg":     {set: keySetOf(ed.with("x5t", ed.x5t)), query: jwks.Query{X5T: ed.x5t}, id: diagnosis.AlgMismatch, text: "EdDSA"},
		"it names a skipped key":        {set: keySetOf(weak, a.with("x5t", a.x5t)), query: jwks.Query{X5T: "weak-x5t"}, id: diagnosis.KeyRefused, text: "1024 bits"},
		"members of another type":       {set: keySetOf(a.with("x5t", 7, "x5c", []any{"-"})), query: jwks.Query{X5T: "7"}, want: []*certifiedKey{a}, fit: 1},
		"an empty x5t in the key":       {set: keySetOf(a.with("x5t", "")), query: jwks.Query{X5T: "x"}, want: []*certifiedKey{a}, fit: 1},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(tt.set))
			if err != nil {
				t.Fatal(err)
			}
			tt.query.Algorithm = "ES256"
			got, err := set.Keys(t.Context(), tt.query)
			if idOf(err) != tt.id || tt.id != "" && !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Keys: %v, want %q with %q", err, tt.id, tt.text)
			}
			if got.Fit != tt.fit || got.By != tt.by || len(got.Keys) != min(tt.fit, jwks.MaxCandidates) {
				t.Errorf("%d keys of %d, by %q, want %d by %q", len(got.Keys), got.Fit, got.By, tt.fit, tt.by)
			}
			if tt.want == nil {
				return
			}
			var found, want []string
			for _, k := range got.Keys {
				found = append(found, k.Thumbprint())
			}
			for _, c := range tt.want {
				want = append(want, c.private.Public().Thumbprint())
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A thumbprint that the key set at a URL does not contain causes a fetch, as a
// kid does, limited by the same bucket; it is stored as missing separately from
// kids.
func TestRemoteFetchesForThumbprint(t *testing.T) {
	e := newEndpoint(t)
	publish := func(keys ...string) {
		e.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySetOf(keys...))) })
	}
	old, next := newCertifiedKey(t, "ES256", ""), newCertifiedKey(t, "ES256", "")
	publish(old.with("x5t", old.x5t))
	r := e.remote()
	want := func(q jwks.Query, id diagnosis.ID) {
		t.Helper()
		q.Algorithm = "ES256"
		if keys, err := r.Keys(t.Context(), q); idOf(err) != id || (err == nil) != (len(keys.Keys) == 1) {
			t.Errorf("Keys(%+v) = %+v, %v, want %q", q, keys, err, id)
		}
	}
	want(jwks.Query{X5T: old.x5t}, "")
	publish(old.with("x5t", old.x5t), next.with("x5c", []string{next.x5c}))
	want(jwks.Query{X5TS256: next.x5tS256}, "") // the rotation is noticed
	want(jwks.Query{X5T: next.x5t}, "")
	e.wantFetches(2)
	want(jwks.Query{X5T: "forged"}, diagnosis.KidUnknown) // the second token of the bucket
	e.wantFetches(3)
	for i := range 100 {
		want(jwks.Query{X5T: fmt.Sprint("forged ", i)}, diagnosis.KidUnknown)
	}
	e.wantFetches(3)
	want(jwks.Query{X5T: old.x5t}, "")
	// The same key with a new certificate is found only by its new thumbprint.
	publish(old.with("x5t", "renewed"))
	e.pass(time.Hour)
	if _, err := r.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(jwks.Query{X5T: "renewed"}, "")
	want(jwks.Query{X5T: old.x5t}, diagnosis.KidUnknown)
	// A token that was verified with a key that another certificate names now is
	// verified again.
	before := r.Generation()
	publish(old.with("x5t", "renewed again"))
	e.pass(time.Hour)
	if _, err := r.Set(t.Context()); err != nil || r.Generation() == before {
		t.Errorf("%v, generation %d, was %d", err, r.Generation(), before)
	}
}
