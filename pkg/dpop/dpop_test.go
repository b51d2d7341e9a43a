package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const canary = "canary-5fe2"

var clock = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func now() time.Time { return clock }

func refused(t *testing.T, err error, want diagnosis.ID) {
	t.Helper()
	var d *diagnosis.Diagnosis
	errors.As(err, &d)
	switch {
	case want == "" && err != nil:
		t.Errorf("positive control: %v", err)
	case want != "" && (d == nil || d.ID != want):
		t.Errorf("got %v, want %s", err, want)
	case err != nil && strings.Contains(err.Error(), canary):
		t.Errorf("the error shows a secret: %v", err)
	}
}

// The proofs of RFC 9449, figures 2 and 13, as independent test vectors.
func TestVectors(t *testing.T) {
	const (
		jkt      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
		jwk      = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
		figure2  = jwk + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
		figure13 = jwk + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	)
	then := func() time.Time { return time.Unix(1562262620, 0) }
	v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: then}), Now: then}
	got, err := v.Verify(t.Context(), dpop.Request{Method: "POST", URL: "https://server.example.com/token", Proofs: []string{figure2}})
	if err != nil {
		t.Fatalf("figure 2: %v", err)
	}
	if diff := cmp.Diff(&dpop.Proof{Thumbprint: jkt, ID: "-BwC3ESc6acc2lTc", IssuedAt: time.Unix(1562262616, 0)}, got, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Error(diff)
	}
	resource := dpop.Request{
		Method: "GET", URL: "https://resource.example.org/protectedresource", Proofs: []string{figure13},
		AccessToken: secret.New("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"), Thumbprint: jkt,
	}
	if _, err := v.Verify(t.Context(), resource); err != nil {
		t.Errorf("figure 13: %v", err)
	}
	_, err = v.Verify(t.Context(), resource)
	refused(t, err, diagnosis.DPoPReplayed)
}

// proof describes a proof to sign with go-jose.
type proof struct {
	alg    jose.SignatureAlgorithm
	typ    string
	jwk    any // for the header; nil means the public key
	key    *ecdsa.PrivateKey
	header map[string]any
	claims map[string]any
	raw    string // replaces everything else
}

var signingKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return key
})

func (p proof) sign(t *testing.T) string {
	t.Helper()
	if p.raw != "" {
		return p.raw
	}
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": p.typ}}
	if p.jwk != nil {
		options.ExtraHeaders["jwk"] = p.jwk
	}
	for name, value := range p.header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.alg, Key: p.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(p.claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func thumbprint(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(5) // crypto.SHA256
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func TestVerify(t *testing.T) {
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	jkt := thumbprint(t, signingKey())
	claim := func(name string, value any) func(*proof, *dpop.Request) {
		return func(p *proof, _ *dpop.Request) { p.claims[name] = value }
	}
	without := func(name string) func(*proof, *dpop.Request) {
		return func(p *proof, _ *dpop.Request) { delete(p.claims, name) }
	}
	asked := func(url string) func(*proof, *dpop.Request) {
		return func(_ *proof, r *dpop.Request) { r.URL = url }
	}
	nonce := func(v *dpop.Verifier) { v.Nonce = func(n string) bool { return n == "fresh" } }
	private := jose.JSONWebKey{Key: signingKey()}
	encode := base64.RawURLEncoding.EncodeToString
	tests := map[string]struct {
		change   func(*proof, *dpop.Request)
		verifier func(*dpop.Verifier)
		want     diagnosis.ID
	}{
		"good": {},
		"at a token endpoint": {change: func(p *proof, r *dpop.Request) {
			delete(p.claims, "ath")
			r.AccessToken, r.Thumbprint = secret.String{}, ""
		}},
		"request with a query":      {change: asked("https://api.example/v1/items?page=2")},
		"request with default port": {change: asked("HTTPS://API.example:443/v1/items")},
		"request encoded otherwise": {change: asked("https://api.example/v1/%69tems")},
		"no path on either": {change: func(p *proof, r *dpop.Request) {
			p.claims["htu"] = "https://api.example"
			r.URL = "https://api.example/"
		}},
		"a little late":         {change: claim("iat", clock.Add(-59*time.Second).Unix())},
		"a little early":        {change: claim("iat", clock.Add(59*time.Second).Unix())},
		"the nonce":             {change: claim("nonce", "fresh"), verifier: nonce},
		"unknown claims":        {change: claim("other", 1)},
		"typ in capitals":       {change: func(p *proof, _ *dpop.Request) { p.typ = "DPoP+JWT" }},
		"allowed algorithm":     {verifier: func(v *dpop.Verifier) { v.Algorithms = []string{"ES256"} }},
		"no proof":              {change: func(_ *proof, r *dpop.Request) { r.Proofs = nil }, want: diagnosis.DPoPMissing},
		"two proofs":            {change: func(_ *proof, r *dpop.Request) { r.Proofs = []string{"", ""} }, want: diagnosis.DPoPInvalid},
		"no JWT":                {change: func(p *proof, _ *dpop.Request) { p.raw = "x" }, want: diagnosis.DPoPInvalid},
		"9 KiB":                 {change: claim("pad", strings.Repeat("x", 9<<10)), want: diagnosis.DPoPInvalid},
		"typ JWT":               {change: func(p *proof, _ *dpop.Request) { p.typ = "JWT" }, want: diagnosis.DPoPInvalid},
		"no jwk":                {change: func(p *proof, _ *dpop.Request) { p.jwk = nil }, want: diagnosis.DPoPInvalid},
		"private jwk":           {change: func(p *proof, _ *dpop.Request) { p.jwk = map[string]any(asMap(t, private)) }, want: diagnosis.DPoPInvalid},
		"secret jwk":            {change: func(p *proof, _ *dpop.Request) { p.jwk = map[string]any{"kty": "oct", "k": "AAAA"} }, want: diagnosis.DPoPInvalid},
		"jwk of another":        {change: func(p *proof, _ *dpop.Request) { p.jwk = jose.JSONWebKey{Key: other.Public()} }, want: diagnosis.DPoPInvalid},
		"algorithm not allowed": {verifier: func(v *dpop.Verifier) { v.Algorithms = []string{"PS256"} }, want: diagnosis.DPoPInvalid},
		"no algorithm allowed":  {verifier: func(v *dpop.Verifier) { v.Algorithms = []string{} }, want: diagnosis.DPoPInvalid},
		"alg none": {change: func(p *proof, _ *dpop.Request) {
			header, _ := json.Marshal(map[string]any{"alg": "none", "typ": "dpop+jwt", "jwk": p.jwk})
			payload, _ := json.Marshal(p.claims)
			p.raw = encode(header) + "." + encode(payload) + "."
		}, want: diagnosis.DPoPInvalid},
		"crit":                 {change: func(p *proof, _ *dpop.Request) { p.header = map[string]any{"crit": []string{"x"}, "x": 1} }, want: diagnosis.DPoPInvalid},
		"another method":       {change: claim("htm", "POST"), want: diagnosis.DPoPInvalid},
		"method in lower case": {change: claim("htm", "get"), want: diagnosis.DPoPInvalid},
		"no method":            {change: without("htm"), want: diagnosis.DPoPInvalid},
		"another path":         {change: claim("htu", "https://api.example/v1/users"), want: diagnosis.DPoPInvalid},
		"another host":         {change: claim("htu", "https://evil.example/v1/items"), want: diagnosis.DPoPInvalid},
		"another scheme":       {change: claim("htu", "http://api.example/v1/items"), want: diagnosis.DPoPInvalid},
		"another port":         {change: claim("htu", "https://api.example:444/v1/items"), want: diagnosis.DPoPInvalid},
		"user in htu":          {change: claim("htu", "https://u@api.example/v1/items"), want: diagnosis.DPoPInvalid},
		"an encoded slash":     {change: claim("htu", "https://api.example/v1%2Fitems"), want: diagnosis.DPoPInvalid},
		"path in another case": {change: claim("htu", "https://api.example/V1/items"), want: diagnosis.DPoPInvalid},
		"htu relative":         {change: claim("htu", "/v1/items"), want: diagnosis.DPoPInvalid},
		"no htu":               {change: without("htu"), want: diagnosis.DPoPInvalid},
		"htu a list":           {change: claim("htu", []string{"https://api.example/v1/items"}), want: diagnosis.DPoPInvalid},
		"no jti":               {change: without("jti"), want: diagnosis.DPoPInvalid},
		"endless jti":          {change: claim("jti", strings.Repeat("x", 513)), want: diagnosis.DPoPInvalid},
		"no iat":               {change: without("iat"), want: diagnosis.DPoPInvalid},
		"too old":              {change: claim("iat", clock.Add(-61*time.Second).Unix()), want: diagnosis.DPoPInvalid},
		"too early":            {change: claim("iat", clock.Add(61*time.Second).Unix()), want: diagnosis.DPoPInvalid},
		"another ath":          {change: claim("ath", "x"), want: diagnosis.DPoPInvalid},
		"no ath":               {change: without("ath"), want: diagnosis.DPoPInvalid},
		"token of another key": {change: func(_ *proof, r *dpop.Request) { r.Thumbprint = thumbprint(t, other) }, want: diagnosis.DPoPKey},
		"token of no key":      {change: func(_ *proof, r *dpop.Request) { r.Thumbprint = "" }, want: diagnosis.DPoPKey},
		"an old nonce":         {change: claim("nonce", "old"), verifier: nonce, want: diagnosis.DPoPNonce},
		"no nonce":             {verifier: nonce, want: diagnosis.DPoPNonce},
		"no store":             {verifier: func(v *dpop.Verifier) { v.Replay = nil }, want: diagnosis.ReplayUnknown},
		"store away":           {verifier: func(v *dpop.Verifier) { v.Replay = away{} }, want: diagnosis.ReplayUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: now}), Now: now}
			if tt.verifier != nil {
				tt.verifier(v)
			}
			p := proof{alg: jose.ES256, typ: "dpop+jwt", jwk: jose.JSONWebKey{Key: signingKey().Public()}, key: signingKey(), claims: map[string]any{
				"jti": "1", "htm": "GET", "htu": "https://api.example/v1/items", "iat": clock.Unix(),
			}}
			req := dpop.Request{Method: "GET", URL: "https://api.example/v1/items", Proofs: []string{"later"}, AccessToken: secret.New(canary), Thumbprint: jkt}
			p.claims["ath"] = hash(canary)
			if tt.change != nil {
				tt.change(&p, &req)
			}
			if len(req.Proofs) == 1 {
				req.Proofs[0] = p.sign(t)
			}
			got, err := v.Verify(t.Context(), req)
			refused(t, err, tt.want)
			if err == nil && got.Thumbprint != jkt {
				t.Errorf("thumbprint %s, want %s", got.Thumbprint, jkt)
			}
		})
	}
}

type away struct{}

func (away) Use(context.Context, string, time.Time) (bool, error) { return false, errors.New("away") }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func asMap(t *testing.T, key jose.JSONWebKey) map[string]any {
	t.Helper()
	data, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func prover(t *testing.T, alg string) *dpop.Prover {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := dpop.NewProver(key, dpop.ProverOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// go-jose and our verifier accept our proofs.
func TestProof(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			p := prover(t, alg)
			raw, err := p.Proof("GET", "https://api.example/v1/a%2Fb?page=2#x", secret.New(canary))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.PS256, jose.EdDSA})
			if err != nil {
				t.Fatal(err)
			}
			header := signed.Signatures[0].Header
			if header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() || header.ExtraHeaders["typ"] != "dpop+jwt" {
				t.Fatalf("header %+v", header)
			}
			payload, err := signed.Verify(header.JSONWebKey)
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"jti": claims["jti"], "htm": "GET", "htu": "https://api.example/v1/a%2Fb", "iat": float64(clock.Unix()), "ath": hash(canary)}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			sum, _ := header.JSONWebKey.Thumbprint(5)
			if got := p.Thumbprint(); got != base64.RawURLEncoding.EncodeToString(sum) {
				t.Errorf("thumbprint %s differs from go-jose's", got)
			}
			v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: now}), Now: now}
			req := dpop.Request{Method: "GET", URL: "https://api.example/v1/a%2Fb?page=2", Proofs: []string{raw}, AccessToken: secret.New(canary), Thumbprint: p.Thumbprint()}
			if _, err := v.Verify(t.Context(), req); err != nil {
				t.Error(err)
			}
			again, _ := p.Proof("GET", "https://api.example/v1/a%2Fb", secret.New(canary))
			req.Proofs = []string{again}
			if _, err := v.Verify(t.Context(), req); err != nil {
				t.Errorf("a second proof: %v", err)
			}
		})
	}
}

func TestNonces(t *testing.T) {
	p := prover(t, "ES256")
	learn := func(url, nonce string) bool { return p.Learn(url, http.Header{"Dpop-Nonce": {nonce}}) }
	nonceIn := func(url string) any {
		raw, err := p.Proof("GET", url, secret.String{})
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
		var claims map[string]any
		_ = json.Unmarshal(payload, &claims)
		return claims["nonce"]
	}
	const as, api = "https://as.example/token", "https://api.example/items"
	if !learn(as, "one") || learn(as, "one") || !learn(as, "two") || learn(api, "") || learn(api, strings.Repeat("x", 2000)) {
		t.Error("only a new nonce is one to learn")
	}
	got := map[string]any{"same origin": nonceIn("https://AS.example:443/other"), "another": nonceIn(api)}
	if diff := cmp.Diff(map[string]any{"same origin": "two", "another": nil}, got); diff != "" {
		t.Errorf("nonces go to the origin that gave them (-want +got):\n%s", diff)
	}
	for i := range 300 {
		learn(fmt.Sprintf("https://h%d.example/", i), "n")
	}
	if nonceIn("https://h299.example/") != "n" {
		t.Error("the last nonce is lost")
	}
	if _, err := p.Proof("GET", "/relative", secret.String{}); err == nil {
		t.Error("a relative URL got a proof")
	}
}

func TestMemory(t *testing.T) {
	at := clock
	m := dpop.NewMemory(dpop.MemoryOptions{Limit: 2, Now: func() time.Time { return at }})
	use := func(id string) bool {
		t.Helper()
		fresh, err := m.Use(t.Context(), id, at.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if !use("a") || use("a") || !use("b") {
		t.Error("an id is fresh once")
	}
	if _, err := m.Use(t.Context(), "c", at.Add(time.Minute)); err == nil {
		t.Error("a full store must refuse rather than forget")
	}
	at = at.Add(2 * time.Minute)
	if !use("c") || !use("a") {
		t.Error("what has run out makes room")
	}
}

func TestMemoryTogether(t *testing.T) {
	m := dpop.NewMemory(dpop.MemoryOptions{Now: now})
	var fresh atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if ok, _ := m.Use(context.Background(), "x", clock.Add(time.Minute)); ok {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if n := fresh.Load(); n != 1 {
		t.Errorf("%d of 50 were first", n)
	}
}

func ExampleProver() {
	key, _ := jwks.Generate("ES256")
	p, _ := dpop.NewProver(key, dpop.ProverOptions{})
	token := secret.New("an access token")
	raw, _ := p.Proof("GET", "https://api.example/items", token)

	v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{})}
	req := dpop.Request{Method: "GET", URL: "https://api.example/items", Proofs: []string{raw}, AccessToken: token, Thumbprint: p.Thumbprint()}
	_, err := v.Verify(context.Background(), req)
	fmt.Println(err)
	_, err = v.Verify(context.Background(), req)
	fmt.Println(err)
	// Output:
	// <nil>
	// dpop: the DPoP proof was used before
}

func FuzzVerify(f *testing.F) {
	f.Add("a.b.c", "GET", "https://api.example/")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ.e30.", "POST", "/")
	f.Fuzz(func(t *testing.T, raw, method, url string) {
		v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: now}), Now: now}
		if p, err := v.Verify(t.Context(), dpop.Request{Method: method, URL: url, Proofs: []string{raw}, AccessToken: secret.New("x"), Thumbprint: "y"}); err == nil {
			t.Errorf("took %q: %+v", raw, p)
		}
	})
}
