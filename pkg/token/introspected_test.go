package token_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func responseVerifier(t *testing.T, o token.Options) *token.ResponseVerifier {
	t.Helper()
	o.Now = func() time.Time { return now }
	v, err := token.NewResponseVerifier(issuer, []string{audience}, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func responseInspector(t *testing.T, issuer string, audience []string, o token.Options) *token.ResponseInspector {
	t.Helper()
	o.Now = func() time.Time { return now }
	i, err := token.NewResponseInspector(issuer, audience, o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// The same is expected of a response of an authorization server as of the
// claims of a JWT, with the same ids.
func TestResponsesAreVerifiedAsClaims(t *testing.T) {
	type change = map[string]any
	seconds := func(d time.Duration) int64 { return now.Add(d).Unix() }
	idTokens := token.Options{Accept: []token.Kind{token.KindIDToken}}
	client := token.Options{InsecureSkipAudience: true, ClientIDs: []string{"app"}}
	key := newKey(t, "ES256")
	for name, tt := range map[string]struct {
		change  change
		options token.Options
		want    diagnosis.ID
	}{
		"valid":                  {nil, token.Options{}, ""},
		"one of two audiences":   {change{"aud": []string{"x", audience}}, token.Options{}, ""},
		"another issuer":         {change{"iss": "https://other.example"}, token.Options{}, diagnosis.IssMismatch},
		"the issuer and a slash": {change{"iss": issuer + "/"}, token.Options{}, diagnosis.IssSlash},
		"issuer a number":        {change{"iss": 7}, token.Options{}, diagnosis.ClaimInvalid},
		"another audience":       {change{"aud": "https://orders.example"}, token.Options{}, diagnosis.AudMismatch},
		"audience with a slash":  {change{"aud": []string{audience + "/"}}, token.Options{}, diagnosis.AudSlash},
		"no audience":            {change{"aud": nil}, token.Options{}, diagnosis.AudMissing},
		"an empty list":          {change{"aud": []string{}}, token.Options{}, diagnosis.AudMissing},
		"audience an object":     {change{"aud": change{"a": 1}}, token.Options{}, diagnosis.AudInvalid},
		"no expiry":              {change{"exp": nil}, token.Options{}, diagnosis.ExpMissing},
		"expiry a text":          {change{"exp": "tomorrow"}, token.Options{}, diagnosis.TimeInvalid},
		"expiry in milliseconds": {change{"exp": now.Add(time.Hour).UnixMilli()}, token.Options{}, diagnosis.TimeInMS},
		"expired":                {change{"exp": seconds(-time.Second)}, token.Options{}, diagnosis.Expired},
		"expired within leeway":  {change{"exp": seconds(-time.Second)}, token.Options{Leeway: 5 * time.Second}, ""},
		"not yet":                {change{"nbf": seconds(time.Hour)}, token.Options{}, diagnosis.NotYetValid},
		"not yet by a little":    {change{"nbf": seconds(90 * time.Second)}, token.Options{}, diagnosis.ClockSkew},
		"issued tomorrow":        {change{"iat": seconds(24 * time.Hour)}, token.Options{}, diagnosis.IatInFuture},
		"subject a number":       {change{"sub": 42}, token.Options{}, diagnosis.ClaimInvalid},
		"an ID token":            {change{"at_hash": "x"}, token.Options{}, diagnosis.IDTokenAsAccess},
		"an ID token, accepted":  {change{"at_hash": "x"}, idTokens, ""},
		"an ID token by its use": {change{"token_use": "id_token"}, token.Options{}, diagnosis.IDTokenAsAccess},
		"a refresh token":        {change{"token_type": "refresh_token"}, token.Options{}, diagnosis.RefreshTokenAsAccess},
		"Hydra's refresh token":  {change{"token_use": "refresh_token", "token_type": "Bearer"}, token.Options{}, diagnosis.RefreshTokenAsAccess},
		"Keycloak's refresh":     {change{"typ": "Offline", "token_type": "Bearer"}, token.Options{}, diagnosis.RefreshTokenAsAccess},
		"a logout token":         {change{"events": change{"http://schemas.openid.net/event/backchannel-logout": change{}}}, token.Options{}, diagnosis.TypRefused},
		"a security event":       {change{"events": change{"https://x.example": change{}}}, token.Options{}, diagnosis.TypRefused},
		"bound to a key":         {change{"token_type": "DPoP", "cnf": change{"jkt": "x"}}, token.Options{}, ""},
		"a claim is missing":     {nil, token.Options{Require: []string{"groups"}}, diagnosis.ClaimMissing},
		"a claim is empty":       {change{"groups": []string{}}, token.Options{Require: []string{"groups"}}, diagnosis.ClaimMissing},
		"a claim is there":       {change{"groups": []string{"a"}}, token.Options{Require: []string{"groups"}}, ""},
		"the client":             {change{"aud": nil}, client, ""},
		"another client":         {change{"client_id": "other"}, client, diagnosis.ClaimInvalid},
	} {
		all := claims(tt.change)
		jwt := sign(t, key, "", all)
		all["active"] = true
		response, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		verified, byResponse := responseVerifier(t, tt.options).Verify(secret.New("opaque"), response)
		report := responseInspector(t, issuer, []string{audience}, tt.options).Report(secret.New("opaque"), response)
		_, bySignature := verifier(t, tt.options, key).Verify(t.Context(), jwt)
		if idOf(byResponse) != tt.want || idOf(bySignature) != tt.want || idOf(report.Err()) != tt.want || report.Valid != (tt.want == "") {
			t.Errorf("%s: response %v, report %v, JWT %v, want %s", name, byResponse, report.Err(), bySignature, tt.want)
		}
		if byResponse == nil && (verified.Subject() != "alice" || !verified.HasScope("items:read") || verified.Raw().Reveal() != "opaque") {
			t.Errorf("%s: token %v", name, verified.Claims())
		}
	}
}

// A response that two programs could read differently is refused, and a token
// is active only if the response says so.
func TestResponsesReadOneWay(t *testing.T) {
	const rest = `,"aud":"` + audience + `","sub":"alice","exp":99999999999}`
	for name, tt := range map[string]struct {
		token, response string
		want            diagnosis.ID
	}{
		"active":                {"t", `{"active":true` + rest, ""},
		"inactive":              {"t", `{"active":false}`, diagnosis.Revoked},
		"inactive with all":     {"t", `{"active":false` + rest, diagnosis.Revoked},
		"active a text":         {"t", `{"active":"true"` + rest, diagnosis.Revoked},
		"active a number":       {"t", `{"active":1` + rest, diagnosis.Revoked},
		"active is missing":     {"t", `{"username":"alice"` + rest, diagnosis.Revoked},
		"active twice":          {"t", `{"active":false,"active":true` + rest, diagnosis.DuplicateMember},
		"audience twice":        {"t", `{"active":true,"aud":"x"` + rest, diagnosis.DuplicateMember},
		"another spelling":      {"t", `{"active":true,"ISS":"x"` + rest, diagnosis.MemberCase},
		"a list":                {"t", `[]`, diagnosis.PayloadInvalid},
		"nothing":               {"t", ``, diagnosis.PayloadInvalid},
		"two objects":           {"t", `{"active":true` + rest + `{}`, diagnosis.PayloadInvalid},
		"no token":              {"", `{"active":true` + rest, diagnosis.TokenMissing},
		"a token of a megabyte": {strings.Repeat("a", 1<<20), `{"active":true` + rest, diagnosis.TokenTooLarge},
	} {
		got, err := responseVerifier(t, token.Options{}).Verify(secret.New(tt.token), []byte(tt.response))
		if idOf(err) != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if err == nil && (got.Issuer() != issuer || !json.Valid(got.ClaimsJSON())) {
			t.Errorf("%s: claims %s", name, got.ClaimsJSON())
		}
	}
}

// A report has each check once; a claim that the response does not contain is
// reported as not checked.
func TestResponseReport(t *testing.T) {
	statuses := func(r *token.Report) map[string]token.Status {
		all := map[string]token.Status{}
		for _, c := range r.Checks {
			all[c.Check] = c.Status
		}
		return all
	}
	const response = ` { "active": true, "aud": "` + audience + `", "exp": 99999999999 } `
	all := map[string]token.Status{
		"active": token.Passed, "type": token.Passed, "issuer": token.NotChecked, "audience": token.Passed,
		"expiry": token.Passed, "not_before": token.Passed, "issued_at": token.Passed,
	}
	r := responseInspector(t, issuer, []string{audience}, token.Options{}).Report(secret.New("t"), []byte(response))
	if got := statuses(r); !maps.Equal(got, all) || !r.Valid || r.Token.Issuer() != issuer {
		t.Errorf("%v, valid %v", got, r.Valid)
	}
	all["audience"] = token.NotChecked
	r = responseInspector(t, "", nil, token.Options{}).Report(secret.New("t"), []byte(response))
	if got := statuses(r); !maps.Equal(got, all) || !r.Valid {
		t.Errorf("no expectation: %v, valid %v", got, r.Valid)
	}
	r = responseInspector(t, issuer, []string{audience}, token.Options{Strict: true}).Report(secret.New("t"), []byte(response))
	if r.Valid || idOf(r.Err()) != diagnosis.NotChecked {
		t.Errorf("strict: %v", r.Err())
	}
	r = responseInspector(t, issuer, []string{"x"}, token.Options{}).Report(secret.New("t"), []byte(`{"active":true,"aud":"y","exp":1,"token_use":"refresh_token"}`))
	if got := statuses(r); got["type"] != token.Failed || got["audience"] != token.Failed || got["expiry"] != token.Failed || r.Token != nil {
		t.Errorf("several faults: %v", got)
	}
	for name, wrong := range map[string]struct {
		issuer   string
		audience []string
		options  token.Options
	}{
		"no issuer":          {"", []string{"a"}, token.Options{}},
		"no audience":        {"i", nil, token.Options{}},
		"an empty audience":  {"i", []string{""}, token.Options{}},
		"any client":         {"i", nil, token.Options{InsecureSkipAudience: true}},
		"a negative leeway":  {"i", []string{"a"}, token.Options{Leeway: -1}},
		"an opaque payload":  {"i", []string{"a"}, token.Options{OpaquePayload: true}},
		"strict, and no aud": {"i", nil, token.Options{InsecureSkipAudience: true, ClientIDs: []string{"c"}, Strict: true}},
	} {
		if _, err := token.NewResponseVerifier(wrong.issuer, wrong.audience, wrong.options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
