package token_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T, alg string) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": issuer, "aud": audience, "sub": "alice", "client_id": "app", "jti": "1", "scope": "items:read",
		"iat": now.Unix() - 10, "exp": now.Unix() + 300,
	}
	for name, value := range change {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

func sign(t *testing.T, key *jwks.PrivateKey, typ string, claims any) string {
	t.Helper()
	raw, err := token.Sign(key, typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func verifier(t *testing.T, o token.Options, keys ...*jwks.PrivateKey) *token.Verifier {
	t.Helper()
	set := make([]*jwks.Key, len(keys))
	for i, k := range keys {
		set[i] = k.Public()
	}
	o.Now = func() time.Time { return now }
	v, err := token.NewVerifier(issuer, []string{audience}, jwks.NewSet(set...), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"} {
		t.Run(alg, func(t *testing.T) {
			key := newKey(t, alg)
			raw := sign(t, key, "at+jwt", claims(nil))
			got, err := verifier(t, token.Options{}, key).Verify(t.Context(), raw)
			if err != nil || got.Subject() != "alice" || got.Algorithm() != alg {
				t.Fatalf("Verify = %+v, %v", got, err)
			}
			tampered := raw[:len(raw)-8] + "AAAAAAAA"
			if _, err := verifier(t, token.Options{}, key).Verify(t.Context(), tampered); idOf(err) != diagnosis.SignatureInvalid && idOf(err) != diagnosis.Malformed {
				t.Errorf("tampered: %v", err)
			}
			if _, err := verifier(t, token.Options{}, newKey(t, alg)).Verify(t.Context(), raw); idOf(err) != diagnosis.KidUnknown {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	key := newKey(t, "ES256")
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := map[string]struct {
		typ    string
		change map[string]any
		o      token.Options
		want   diagnosis.ID // "" is a positive control
	}{
		"good":                         {},
		"typ at+jwt":                   {typ: "at+jwt"},
		"typ of a vendor":              {typ: "vnd"},
		"typ with a suffix":            {typ: "vnd+jwt", want: diagnosis.TypRefused},
		"audience in a list":           {change: map[string]any{"aud": []string{"x", audience}}},
		"fraction in exp":              {change: map[string]any{"exp": float64(at(time.Minute)) + 0.5}},
		"iat within the leeway":        {change: map[string]any{"iat": at(50 * time.Second)}},
		"leeway saves exp":             {change: map[string]any{"exp": at(-5 * time.Second)}, o: token.Options{Leeway: 10 * time.Second}},
		"rfc9068":                      {typ: "at+jwt", o: token.Options{RFC9068: true}},
		"required":                     {change: map[string]any{"tenant": map[string]any{"id": 1}}, o: token.Options{Require: []string{"tenant.id"}}},
		"expired":                      {change: map[string]any{"exp": at(-time.Second)}, want: diagnosis.Expired},
		"exp missing":                  {change: map[string]any{"exp": nil}, want: diagnosis.ExpMissing},
		"exp text":                     {change: map[string]any{"exp": "soon"}, want: diagnosis.TimeInvalid},
		"exp zero":                     {change: map[string]any{"exp": 0}, want: diagnosis.TimeInvalid},
		"exp negative":                 {change: map[string]any{"exp": -1}, want: diagnosis.TimeInvalid},
		"exp in ms":                    {change: map[string]any{"exp": now.UnixMilli()}, want: diagnosis.TimeInMS},
		"iat a clock ahead":            {change: map[string]any{"iat": at(2 * time.Minute)}, want: diagnosis.ClockSkew},
		"iat in the future":            {change: map[string]any{"iat": at(time.Hour), "exp": at(2 * time.Hour)}, want: diagnosis.IatInFuture},
		"nbf in the future":            {change: map[string]any{"nbf": at(time.Hour)}, want: diagnosis.NotYetValid},
		"other issuer":                 {change: map[string]any{"iss": "https://evil.example.com"}, want: diagnosis.IssMismatch},
		"issuer with slash":            {change: map[string]any{"iss": issuer + "/"}, want: diagnosis.IssSlash},
		"issuer missing":               {change: map[string]any{"iss": nil}, want: diagnosis.IssMissing},
		"issuer a number":              {change: map[string]any{"iss": 1}, want: diagnosis.ClaimInvalid},
		"other audience":               {change: map[string]any{"aud": "https://other.example.com"}, want: diagnosis.AudMismatch},
		"audience prefix":              {change: map[string]any{"aud": audience + "/"}, want: diagnosis.AudSlash},
		"audience missing":             {change: map[string]any{"aud": nil}, want: diagnosis.AudMissing},
		"audience a number":            {change: map[string]any{"aud": 1}, want: diagnosis.AudInvalid},
		"audience with null":           {change: map[string]any{"aud": []any{audience, nil}}, want: diagnosis.AudInvalid},
		"ID token":                     {change: map[string]any{"aud": "app", "nonce": "n", "scope": nil}, want: diagnosis.IDTokenAsAccess},
		"DPoP proof":                   {typ: "dpop+jwt", want: diagnosis.TypRefused},
		"logout token":                 {typ: "application/LOGOUT+jwt", want: diagnosis.TypRefused},
		"typ exact":                    {typ: "JWT", o: token.Options{Types: []string{"at+jwt"}}, want: diagnosis.TypRefused},
		"rfc9068 without jti":          {typ: "at+jwt", change: map[string]any{"jti": nil}, o: token.Options{RFC9068: true}, want: diagnosis.ClaimMissing},
		"required missing":             {o: token.Options{Require: []string{"tenant.id"}}, want: diagnosis.ClaimMissing},
		"algorithm not allowed":        {o: token.Options{Algorithms: []string{"RS256"}}, want: diagnosis.AlgNotAllowed},
		"another name for exp":         {change: map[string]any{"Exp": at(time.Hour)}, want: diagnosis.MemberCase},
		"client allowed":               {o: token.Options{ClientIDs: []string{"app"}}},
		"client not allowed":           {o: token.Options{ClientIDs: []string{"other"}}, want: diagnosis.ClaimInvalid},
		"deep payload":                 {change: map[string]any{"a": nest(40)}, want: diagnosis.PayloadInvalid},
		"payload as deep as it may be": {change: map[string]any{"a": nest(31)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := verifier(t, tt.o, key)
			raw := sign(t, key, tt.typ, claims(tt.change))
			_, err := v.Verify(t.Context(), raw)
			if idOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Verify = %v, want %q", err, tt.want)
			}
			if report := v.Report(t.Context(), raw); idOf(report.Err()) != tt.want || report.Valid != (tt.want == "") {
				t.Errorf("Report = %+v", report)
			}
		})
	}
}

func nest(levels int) any {
	var v any = 1
	for range levels - 1 {
		v = []any{v}
	}
	return v
}

// part encodes a part of a token by hand.
func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestShapes(t *testing.T) {
	key := newKey(t, "ES256")
	good := sign(t, key, "at+jwt", claims(nil))
	parts := strings.Split(good, ".")
	header := func(text string) string { return part(text) + "." + parts[1] + "." + parts[2] }
	tests := map[string]struct {
		raw  string
		want diagnosis.ID
	}{
		"good":                  {good, ""},
		"empty":                 {"", diagnosis.TokenMissing},
		"opaque":                {"abcdef0123456789", diagnosis.OpaqueToken},
		"GitHub":                {"gho_16C7e42F292c6912E7710c838347Ae178B4a", diagnosis.OpaqueGitHub},
		"GitHub with dots":      {"ghs_a.b.c", diagnosis.OpaqueGitHub},
		"Google":                {"ya29.a0AfH6SMC", diagnosis.OpaqueGoogle},
		"two parts":             {parts[0] + "." + parts[1], diagnosis.Malformed},
		"five parts":            {"e30.a.b.c.d", diagnosis.Malformed},
		"Auth0's own":           {part(`{"alg":"dir","enc":"A256GCM","iss":"https://x.eu.auth0.com/"}`) + "..b.c.d", diagnosis.OpaqueAuth0},
		"a megabyte of dots":    {strings.Repeat(".", 1<<20), diagnosis.TokenTooLarge},
		"a large header":        {strings.Repeat("A", 12<<10) + ".e30.", diagnosis.TokenTooLarge},
		"white space":           {" " + good, diagnosis.Malformed},
		"line break inside":     {parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:], diagnosis.Malformed},
		"padding":               {good + "=", diagnosis.Malformed},
		"standard alphabet":     {parts[0] + ".+/+/." + parts[2], diagnosis.SignatureInvalid},
		"header no object":      {header(`[]`), diagnosis.HeaderInvalid},
		"header with more":      {header(`{"alg":"ES256"}{}`), diagnosis.HeaderInvalid},
		"header with BOM":       {header("\ufeff" + `{"alg":"ES256"}`), diagnosis.HeaderInvalid},
		"header not UTF-8":      {header("{\"alg\":\"ES256\",\"x\":\"\xff\"}"), diagnosis.HeaderInvalid},
		"alg missing":           {header(`{}`), diagnosis.HeaderInvalid},
		"alg a number":          {header(`{"alg":1}`), diagnosis.HeaderInvalid},
		"alg twice":             {header(`{"alg":"ES256","alg":"none"}`), diagnosis.DuplicateMember},
		"Alg":                   {header(`{"Alg":"none","alg":"ES256"}`), diagnosis.MemberCase},
		"crit":                  {header(`{"alg":"ES256","crit":["exp"],"exp":1}`), diagnosis.CritUnsupported},
		"crit empty":            {header(`{"alg":"ES256","crit":[]}`), diagnosis.CritUnsupported},
		"b64 false":             {header(`{"alg":"ES256","b64":false}`), diagnosis.CritUnsupported},
		"none":                  {header(`{"alg":"none"}`), diagnosis.AlgNone},
		"nOnE":                  {header(`{"alg":"nOnE"}`), diagnosis.AlgNone},
		"unknown algorithm":     {header(`{"alg":"XS256"}`), diagnosis.AlgUnsupported},
		"HS256 with public key": {header(`{"alg":"HS256"}`), diagnosis.HSTokenNoSecret},
		"RS256 with an EC key":  {header(`{"alg":"RS256"}`), diagnosis.AlgMismatch},
		"unknown kid":           {header(`{"alg":"ES256","kid":"other"}`), diagnosis.KidUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := verifier(t, token.Options{}, key).Verify(t.Context(), tt.raw); idOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("Verify = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSignatureComesFirst(t *testing.T) {
	key := newKey(t, "ES256")
	raw := sign(t, key, "", claims(map[string]any{"exp": now.Unix() - 60}))
	parts := strings.Split(raw, ".")
	other := sign(t, key, "", claims(nil))
	forged := parts[0] + "." + parts[1] + other[strings.LastIndexByte(other, '.'):]
	report := verifier(t, token.Options{}, key).Report(t.Context(), forged)
	if idOf(report.Err()) != diagnosis.SignatureInvalid || report.Claims != nil || report.Token != nil {
		t.Errorf("Report = %+v", report)
	}
	want := []token.Check{{Check: "expiry", Status: token.Failed, Expected: diagnosis.Values{"a time after 2026-11-24T12:00:00Z"}, Got: diagnosis.Values{"2026-11-24T11:59:00Z, 1 m ago"}, ID: diagnosis.Expired, Message: "the token has expired"}}
	if diff := cmp.Diff(want, report.Unverified); diff != "" {
		t.Errorf("Unverified (-want +got):\n%s", diff)
	}
	for _, c := range report.Checks {
		if c.Check == "expiry" && c.Status != token.NotChecked {
			t.Errorf("expiry is %s after a failed signature", c.Status)
		}
	}
}

func TestInspectorReportsWhatWasNotChecked(t *testing.T) {
	key := newKey(t, "EdDSA")
	raw := sign(t, key, "at+jwt", claims(nil))
	for _, tt := range []struct {
		strict bool
		want   token.Status
		err    diagnosis.ID
	}{{false, token.NotChecked, ""}, {true, token.Failed, diagnosis.NotChecked}} {
		i, err := token.NewInspector(issuer, nil, jwks.NewSet(key.Public()), token.Options{Now: func() time.Time { return now }, Strict: tt.strict})
		if err != nil {
			t.Fatal(err)
		}
		report := i.Report(t.Context(), raw)
		if idOf(report.Err()) != tt.err || report.Valid == tt.strict {
			t.Errorf("strict %v: %v", tt.strict, report.Err())
		}
		for _, c := range report.Checks {
			if c.Check == "audience" && c.Status != tt.want {
				t.Errorf("strict %v: audience is %s", tt.strict, c.Status)
			}
		}
	}
}

func TestVerifierNeedsExpectations(t *testing.T) {
	keys := jwks.NewSet()
	for name, make := range map[string]func() (*token.Verifier, error){
		"no issuer":      func() (*token.Verifier, error) { return token.NewVerifier("", []string{"a"}, keys, token.Options{}) },
		"no audience":    func() (*token.Verifier, error) { return token.NewVerifier("i", nil, keys, token.Options{}) },
		"empty audience": func() (*token.Verifier, error) { return token.NewVerifier("i", []string{""}, keys, token.Options{}) },
		"no keys":        func() (*token.Verifier, error) { return token.NewVerifier("i", []string{"a"}, nil, token.Options{}) },
		"skip without client ID": func() (*token.Verifier, error) {
			return token.NewVerifier("i", nil, keys, token.Options{InsecureSkipAudience: true})
		},
		"algorithm none": func() (*token.Verifier, error) {
			return token.NewVerifier("i", []string{"a"}, keys, token.Options{Algorithms: []string{"none"}})
		},
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := token.NewVerifier("i", []string{"a"}, keys, token.Options{}); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

// away is a key set whose server cannot be reached.
type away struct{}

func (away) Keys(context.Context, jwks.Query) (jwks.Candidates, error) {
	return jwks.Candidates{}, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable}
}

func (away) Generation() uint64 { return 0 }

func (away) Former(string) *jwks.Key { return nil }

func TestKeysUnreachable(t *testing.T) {
	v, err := token.NewVerifier(issuer, []string{audience}, away{}, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), sign(t, newKey(t, "ES256"), "", claims(nil)))
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.Kind() != diagnosis.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestAccessors(t *testing.T) {
	key := newKey(t, "ES256")
	got, err := token.Decode(sign(t, key, "at+jwt", claims(map[string]any{
		"scp": []string{"b", "a"}, "permissions": []string{"p"}, "realm_access": map[string]any{"roles": []string{"r"}}, "https://x.example/a.b": 1,
	})))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "items:read"}, got.Scopes()); diff != "" {
		t.Errorf("Scopes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "items:read", "p", "r"}, got.Scopes("permissions", "realm_access.roles")); diff != "" {
		t.Errorf("Scopes by name (-want +got):\n%s", diff)
	}
	if v, ok := got.Claim("https://x.example/a.b"); !ok || v != 1.0 {
		t.Errorf("Claim takes a name whole first: %v, %v", v, ok)
	}
	if _, ok := got.Claim("realm_access.nothing"); ok {
		t.Error("Claim finds what is not there")
	}
	if !got.Expiry().Equal(now.Add(300*time.Second)) || got.Kind() != token.KindAccessToken || got.ClientID() != "app" {
		t.Errorf("%v %v %v", got.Expiry(), got.Kind(), got.ClientID())
	}
	got.Claims()["sub"] = "mallory"
	if got.Subject() != "alice" {
		t.Error("a token can be changed")
	}
}
