package token_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The profile of RFC 9068 requires claims that are not empty.
func TestRFC9068RequiresEachClaim(t *testing.T) {
	key := newKey(t, "ES256")
	in, err := token.NewInspector("", nil, jwks.NewSet(key.Public()), token.Options{RFC9068: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if r := in.Report(t.Context(), sign(t, key, "at+jwt", claims(nil))); !r.Valid {
		t.Fatalf("positive control: %v", r.Err())
	}
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		for what, value := range map[string]any{"missing": nil, "empty": ""} {
			raw := sign(t, key, "at+jwt", claims(map[string]any{name: value}))
			if in.Report(t.Context(), raw).Valid {
				t.Errorf("%s %s is valid", name, what)
			}
		}
	}
	for _, name := range []string{"iss", "sub", "client_id", "jti"} {
		for _, value := range []any{42, true, []string{"x"}, map[string]any{"a": 1}} {
			if err := in.Check(t.Context(), sign(t, key, "at+jwt", claims(map[string]any{name: value}))); idOf(err) != diagnosis.ClaimInvalid {
				t.Errorf("%s is %v: %v", name, value, err)
			}
		}
	}
}

func TestRequiredClaimsAreNotEmpty(t *testing.T) {
	key := newKey(t, "ES256")
	v := verifier(t, token.Options{Require: []string{"x"}}, key)
	for want, values := range map[diagnosis.ID][]any{
		diagnosis.ClaimMissing: {nil, "", []string{}, []any{}},
		"":                     {"a", " ", false, 0, []string{""}, map[string]any{}, 1.5},
	} {
		for _, value := range values {
			raw := sign(t, key, "at+jwt", claims(map[string]any{"x": value}))
			if _, err := v.Verify(t.Context(), raw); idOf(err) != want {
				t.Errorf("%#v: %v, want %q", value, err, want)
			}
		}
	}
}

// In every failed check the texts of expected and found differ, and neither is
// empty.
func TestExpectedAndFoundDiffer(t *testing.T) {
	key := newKey(t, "ES256")
	at := func(d time.Duration) float64 { return float64(now.Add(d).UnixNano()) / 1e9 }
	for name, tt := range map[string]struct {
		change map[string]any
		id     diagnosis.ID
		got    string
	}{
		"no aud":                  {map[string]any{"aud": nil}, diagnosis.AudMissing, "none"},
		"aud []":                  {map[string]any{"aud": []string{}}, diagnosis.AudMissing, "[]"},
		`aud ""`:                  {map[string]any{"aud": ""}, diagnosis.AudMismatch, `""`},
		`aud [""]`:                {map[string]any{"aud": []string{""}}, diagnosis.AudMismatch, `""`},
		"aud with none":           {map[string]any{"aud": "none"}, diagnosis.AudMismatch, `"none"`},
		"aud with a space":        {map[string]any{"aud": "https://api.example.com x"}, diagnosis.AudMismatch, "https://api.example.com x"},
		"nbf 100 s ahead":         {map[string]any{"nbf": at(100 * time.Second)}, diagnosis.ClockSkew, "in 1 m 40 s"},
		"nbf just beyond":         {map[string]any{"nbf": at(60*time.Second + 100*time.Millisecond)}, diagnosis.ClockSkew, "in 1 m"},
		"exp 1 h 59 min ago":      {map[string]any{"exp": at(-119 * time.Minute)}, diagnosis.Expired, "1 h 59 m ago"},
		"exp this moment":         {map[string]any{"exp": at(0)}, diagnosis.Expired, "0 s ago"},
		"exp a little ago":        {map[string]any{"exp": at(-100 * time.Millisecond)}, diagnosis.Expired, "0 s ago"},
		"milliseconds":            {map[string]any{"exp": 1795521600000}, diagnosis.TimeInMS, "2026-11-24T12:00:00Z in milliseconds"},
		"milliseconds since 2001": {map[string]any{"exp": 1000000000000}, diagnosis.TimeInMS, "2001-09-09"},
	} {
		_, err := verifier(t, token.Options{}, key).Verify(t.Context(), sign(t, key, "at+jwt", claims(tt.change)))
		d, _ := err.(*diagnosis.Diagnosis)
		if idOf(err) != tt.id || !strings.Contains(d.Got.String(), tt.got) {
			t.Errorf("%s: %v, want %s with %s", name, err, tt.id, tt.got)
			continue
		}
		if expected := d.Expected.Or(); expected == "" || d.Got.String() == "" || strings.Contains(d.Got.String(), strings.TrimPrefix(expected, "a time after ")+",") && name != "exp this moment" {
			t.Errorf("%s: expected and got read alike: %v", name, err)
		}
	}
	for _, exp := range []int64{9999999999, 253402300799, 999999999999} {
		v := verifier(t, token.Options{}, key)
		r := v.Report(t.Context(), sign(t, key, "at+jwt", claims(map[string]any{"exp": exp})))
		if !r.Valid || len(r.Warnings) != 1 || r.Warnings[0].ID != diagnosis.LongLived {
			t.Errorf("exp %d: %v, %v", exp, r.Err(), r.Warnings)
		}
	}
	_, err := verifier(t, token.Options{}, key).Verify(t.Context(), sign(t, key, "at+jwt", claims(map[string]any{"exp": at(-5 * time.Second)})))
	if !strings.Contains(err.Error(), "clock") {
		t.Errorf("a token that expired a moment ago: %v", err)
	}
}

// Verify, Report and Check give the same result, with every option, with and
// without a cache.
func TestEveryFormGivesTheSameResult(t *testing.T) {
	key := newKey(t, "ES256")
	set := jwks.NewSet(key.Public())
	tokens := map[string]string{"good": sign(t, key, "at+jwt", claims(nil)), "malformed": "a.b"}
	for name, change := range map[string]map[string]any{
		"expired": {"exp": now.Unix() - 9}, "other audience": {"aud": "x"}, "no audience": {"aud": nil}, "other issuer": {"iss": "https://x.example"}, "other client": {"client_id": "x"},
		"ID token": {"at_hash": "x"}, "bound": {"cnf": map[string]any{"jkt": "x"}}, "Keycloak": {"iss": "https://id.example/realms/a", "aud": "account"},
	} {
		tokens[name] = sign(t, key, "JWT", claims(change))
	}
	for name, o := range map[string]token.Options{
		"none": {}, "strict": {Strict: true}, "clients": {ClientIDs: []string{"app"}}, "rfc9068": {RFC9068: true}, "leeway": {Leeway: time.Minute}, "types": {Types: []string{"JWT"}},
		"skip": {InsecureSkipAudience: true, ClientIDs: []string{"app"}}, "require": {Require: []string{"tenant"}}, "accept": {Accept: []token.Kind{token.KindIDToken}}, "alg": {Algorithms: []string{"RS256"}},
	} {
		o.Now = func() time.Time { return now }
		for _, cached := range []int{0, 100} {
			o.CacheTokens = cached
			v, err := token.NewVerifier(issuer, []string{audience}, set, o)
			if err != nil {
				t.Fatal(err)
			}
			in, err := token.NewInspector(issuer, []string{audience}, set, o)
			if err != nil {
				t.Fatal(err)
			}
			for of, raw := range tokens {
				for range 2 {
					_, err := v.Verify(t.Context(), raw)
					report := v.Report(t.Context(), raw)
					if idOf(err) != idOf(report.Err()) || report.Valid != (err == nil) {
						t.Errorf("%s, %s: Verify says %v, Report %v", name, of, err, report.Err())
					}
					// If the audience is skipped, an inspector reports it as
					// not checked, so the results are not compared.
					if got := in.Check(context.Background(), raw); !o.InsecureSkipAudience && idOf(got) != idOf(err) {
						t.Errorf("%s, %s: Verify says %v, Check %v", name, of, err, got)
					}
				}
			}
		}
	}
	if _, err := token.NewVerifier(issuer, nil, set, token.Options{Strict: true, InsecureSkipAudience: true, ClientIDs: []string{"app"}}); err == nil {
		t.Error("strict without an audience")
	}
}

// One failure has one id, also if it is typical of a provider.
func TestProviderCasesAreInTheReport(t *testing.T) {
	key, other := newKey(t, "ES256"), newKey(t, "ES256")
	for name, tt := range map[string]struct {
		issuer string
		key    *jwks.PrivateKey
		change map[string]any
		want   diagnosis.ID
		check  string
	}{
		"Cognito":    {"https://cognito-idp.eu-west-1.amazonaws.com/p", key, map[string]any{"aud": nil}, diagnosis.CognitoNoAud, "audience"},
		"Keycloak":   {"https://id.example/realms/a", key, map[string]any{"aud": []string{"account", "broker"}}, diagnosis.KCAudAccount, "audience"},
		"Entra's v1": {"https://login.microsoftonline.com/t/v2.0", key, map[string]any{"iss": "https://sts.windows.net/t/"}, diagnosis.EntraV1Token, "issuer"},
		"Okta's own": {"https://acme.okta.com", other, nil, diagnosis.OktaOrgAS, "key"},
	} {
		change := map[string]any{"iss": tt.issuer}
		for n, v := range tt.change {
			change[n] = v
		}
		raw := sign(t, tt.key, "at+jwt", claims(change))
		v, err := token.NewVerifier(tt.issuer, []string{audience, "https://second.example"}, jwks.NewSet(key.Public()), token.Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		_, failure := v.Verify(t.Context(), raw)
		report := v.Report(t.Context(), raw)
		if idOf(failure) != tt.want || idOf(report.Err()) != tt.want {
			t.Errorf("%s: %v, %v, want %s", name, failure, report.Err(), tt.want)
		}
		for _, c := range report.Checks {
			if c.Status == token.Failed && c.Check == tt.check && c.ID != tt.want {
				t.Errorf("%s: the check says %s", name, c.ID)
			}
		}
	}
}

// A token's claims are reported even if no key confirms them.
func TestUnverifiedClaimsAreReported(t *testing.T) {
	key, staging := newKey(t, "ES256"), newKey(t, "ES256")
	raw := sign(t, staging, "at+jwt", claims(map[string]any{"iss": "https://staging.example"}))
	report := verifier(t, token.Options{}, key).Report(t.Context(), raw)
	if idOf(report.Err()) != diagnosis.KidUnknown || len(report.Unverified) != 1 || report.Unverified[0].ID != diagnosis.IssMismatch || report.Unverified[0].Got.String() != "https://staging.example" {
		t.Errorf("%v, %+v", report.Err(), report.Unverified)
	}
	if report.Read == nil || report.Read.Issuer() != "https://staging.example" || report.Token != nil || report.Claims != nil {
		t.Error("the token that was read is not carried, or taken for a verified one")
	}
	good := verifier(t, token.Options{}, key).Report(t.Context(), sign(t, key, "at+jwt", claims(nil)))
	if !good.Valid || good.Read == nil || good.Unverified != nil || good.Warnings != nil {
		t.Errorf("positive control: %+v", good)
	}
}
