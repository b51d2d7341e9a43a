package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func FuzzDecode(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA")
	f.Add(".." + strings.Repeat(".", 100))
	for _, group := range readCorpus(f) {
		for _, c := range group.Cases {
			if c.Repeat == 0 && len(c.Token) < 4096 {
				f.Add(c.Token)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := token.Decode(raw)
		if err == nil {
			got.Claims()
			got.Scopes("a.b")
			got.Warnings(now)
			got.Audience()
			_ = got.Kind().String()
		} else if idOf(err) == "" {
			t.Errorf("Decode(%q): %v has no id", raw, err)
		}
	})
}

// whyRefusedByForm are the ids of whyRefused that do not depend on the key and
// its choice.
var whyRefusedByForm = []diagnosis.ID{
	diagnosis.CritUnsupported, diagnosis.DuplicateMember, diagnosis.HeaderInvalid, diagnosis.Malformed, diagnosis.MemberCase,
	diagnosis.PayloadInvalid, diagnosis.TimeInvalid, diagnosis.TimeInMS, diagnosis.TokenTooLarge, diagnosis.TypRefused, diagnosis.IDTokenAsAccess, diagnosis.RefreshTokenAsAccess,
}

// FuzzVerify verifies signed tokens with any header and payload, and with
// anything inserted into the signed text, with this verifier, golang-jwt and
// go-jose. If they disagree, docs/differences.md must have the reason; Verify,
// Report and the cache must agree.
func FuzzVerify(f *testing.F) {
	seed := make([]byte, ed25519.SeedSize)
	private := ed25519.NewKeyFromSeed(seed)
	key, err := jwks.Parse([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey)) + `"}]}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, group := range readCorpus(f) {
		for _, c := range group.Cases {
			if c.Repeat > 0 || len(c.Token) > 4096 {
				continue
			}
			// The same header and payload, signed with the key of this test.
			head, rest, _ := strings.Cut(c.Token, ".")
			body, _, _ := strings.Cut(rest, ".")
			header, _ := base64.RawURLEncoding.DecodeString(head)
			payload, _ := base64.RawURLEncoding.DecodeString(body)
			text := string(header)
			for _, alg := range everyAlgorithm {
				text = strings.ReplaceAll(text, `"`+alg+`"`, `"EdDSA"`)
			}
			f.Add(text, string(payload), "", 0, 0)
		}
	}
	for i, splice := range []string{"=", "\n", ".", " ", "A", "+", "\x00"} {
		f.Add(`{"alg":"EdDSA","kid":"k"}`, claimsText(keycloak), splice, 5*i, 0)
		f.Add(`{"alg":"EdDSA","kid":"k"}`, claimsText(keycloak), "", 0, i)
	}
	f.Fuzz(func(t *testing.T, header, payload, splice string, at, cutSignature int) {
		signed := part(header) + "." + part(payload)
		if at >= 0 && at <= len(signed) {
			signed = signed[:at] + splice + signed[at:]
		}
		signature := base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(signed)))
		raw := signed + "." + signature[:len(signature)-max(0, min(cutSignature, len(signature)))]
		x := trial{raw, realm, []string{audience}, nil, time.Minute, now, key, private.Public()}
		ours := x.judge(t)
		one, two := x.golangJWT(), x.goJose()
		switch {
		case ours != nil && (one == nil || two == nil):
			for _, id := range whyRefusedByForm {
				if idOf(ours) == id && whyRefused[id] != "" {
					return
				}
			}
			if idOf(ours) == diagnosis.Expired && onTheEdge(raw) {
				return
			}
			t.Errorf("refused: %v; golang-jwt: %v; go-jose: %v", ours, one, two)
		case ours == nil && one != nil && two != nil:
			if strings.Contains(header, "Ed25519") || onTheEdge(raw) || errors.Is(one, gojwt.ErrTokenMalformed) {
				return
			}
			t.Errorf("accepted, golang-jwt: %v; go-jose: %v", one, two)
		}
	})
}

// judge verifies a token with every function of this package.
func (x trial) judge(t *testing.T) error {
	t.Helper()
	o := token.Options{Leeway: x.leeway, Now: func() time.Time { return x.now }, CacheTokens: 2}
	v, err := token.NewVerifier(x.issuer, x.audience, x.ours, o)
	if err != nil {
		t.Fatal(err)
	}
	i, err := token.NewInspector(x.issuer, x.audience, x.ours, o)
	if err != nil {
		t.Fatal(err)
	}
	_, first := v.Verify(t.Context(), x.raw)
	_, again := v.Verify(t.Context(), x.raw)
	for way, got := range map[string]error{"again": again, "Report": v.Report(t.Context(), x.raw).Err(), "Inspector.Report": i.Report(t.Context(), x.raw).Err(), "Inspector.Check": i.Check(t.Context(), x.raw)} {
		if idOf(got) != idOf(first) || (got == nil) != (first == nil) {
			t.Errorf("Verify of %q says %v, %s says %v", x.raw, first, way, got)
		}
	}
	return first
}

// onTheEdge reports whether a time of the token is within two seconds of the
// moment that decides: the other libraries ignore fractions and accept the
// exact second.
func onTheEdge(raw string) bool {
	got, err := token.Decode(raw)
	if err != nil {
		return false
	}
	for _, edge := range []time.Duration{
		got.Expiry().Add(time.Minute).Sub(now), got.NotBefore().Add(-time.Minute).Sub(now), got.IssuedAt().Add(-time.Minute).Sub(now),
	} {
		if edge.Abs() <= 2*time.Second {
			return true
		}
	}
	return false
}
