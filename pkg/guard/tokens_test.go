package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client, \"quoted\";"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A token that is bound to a certificate is accepted with the certificate that
// a trusted proxy sends, and from no other client.
func TestCertificateFromIngress(t *testing.T) {
	mine, other := certificate(t), certificate(t)
	sum := sha256.Sum256(mine)
	bound := map[string]any{"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}}
	rfc := func(der []byte) string { return ":" + base64.StdEncoding.EncodeToString(der) + ":" }
	envoy := func(der []byte) string {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		return `By=spiffe://a;Hash=00;Subject="CN=a;Cert=no,b";Cert="` + strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20") + `"`
	}
	here, elsewhere := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	for name, tt := range map[string]struct {
		field   string
		trusted netip.Prefix
		fields  []string
		claims  map[string]any
		status  int
	}{
		"RFC 9440":         {"Client-Cert", here, []string{"Client-Cert: " + rfc(mine)}, bound, 200},
		"another":          {"Client-Cert", here, []string{"Client-Cert: " + rfc(other)}, bound, 401},
		"none":             {"Client-Cert", here, nil, bound, 401},
		"two":              {"Client-Cert", here, []string{"Client-Cert: " + rfc(mine), "Client-Cert: " + rfc(mine)}, bound, 401},
		"not a sequence":   {"Client-Cert", here, []string{"Client-Cert: " + strings.Trim(rfc(mine), ":")}, bound, 401},
		"not trusted":      {"Client-Cert", elsewhere, []string{"Client-Cert: " + rfc(mine)}, bound, 401},
		"other spelling":   {"Client-Cert", here, []string{"Client_Cert: " + rfc(mine)}, bound, 401},
		"not bound":        {"Client-Cert", here, nil, nil, 401},
		"Envoy":            {"X-Forwarded-Client-Cert", here, []string{"X-Forwarded-Client-Cert: " + envoy(mine)}, bound, 200},
		"Envoy, another":   {"X-Forwarded-Client-Cert", here, []string{"X-Forwarded-Client-Cert: " + envoy(other)}, bound, 401},
		"Envoy, forged":    {"X-Forwarded-Client-Cert", here, []string{"X-Forwarded-Client-Cert: " + envoy(mine) + "," + envoy(other)}, bound, 401},
		"Envoy, appended":  {"X-Forwarded-Client-Cert", here, []string{"X-Forwarded-Client-Cert: " + envoy(other) + "," + envoy(mine)}, bound, 200},
		"Envoy, only hash": {"X-Forwarded-Client-Cert", here, []string{"X-Forwarded-Client-Cert: Hash=00"}, bound, 401},
	} {
		f := newFixture(t, echo, func(c *guard.Config) {
			c.TrustedProxies = []netip.Prefix{tt.trusted}
			c.Bearer = []bearer.Option{bearer.ClientCertificate(guard.ClientCertificate(tt.field, c.TrustedProxies)), bearer.RequireBound()}
		})
		res, body := f.send("GET /files/a", append(tt.fields, "Authorization: Bearer "+f.token(tt.claims))...)
		if res.StatusCode != tt.status || strings.Contains(strings.ToLower(body), "client-cert: :") {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, tt.status)
		}
	}
}

// Opaque tokens are accepted if the issuer reports them as active. The request
// is sent with the API's own client.
func TestOpaqueTokens(t *testing.T) {
	exp := time.Now().Unix() + 60
	answers := map[string]string{
		"good":     fmt.Sprintf(`{"active":true,"aud":%q,"sub":"carol","client_id":"app","scope":"items:read","exp":%d}`, audience, exp),
		"issuer":   fmt.Sprintf(`{"active":true,"iss":%q,"aud":[%q],"sub":"carol","scope":"items:read","exp":%d}`, issuer, audience, exp),
		"inactive": `{"active":false}`,
		"other":    fmt.Sprintf(`{"active":true,"aud":"https://other.example","sub":"carol","exp":%d}`, exp),
		"foreign":  fmt.Sprintf(`{"active":true,"iss":"https://evil.example","aud":%q,"sub":"carol","exp":%d}`, audience, exp),
		"no aud":   fmt.Sprintf(`{"active":true,"sub":"carol","exp":%d}`, exp),
		"no sub":   fmt.Sprintf(`{"active":true,"aud":%q,"scope":"items:read","exp":%d}`, audience, exp),
		"expired":  fmt.Sprintf(`{"active":true,"aud":%q,"sub":"carol","exp":%d}`, audience, exp-100),
		"refresh":  fmt.Sprintf(`{"active":true,"token_type":"refresh_token","aud":%q,"sub":"carol","exp":%d}`, audience, exp),
		"doubled":  fmt.Sprintf(`{"active":true,"aud":%q,"sub":"carol","sub":"root","exp":%d}`, audience, exp),
	}
	asked := 0
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		id, password, _ := r.BasicAuth()
		answer, known := answers[r.FormValue("token")]
		if id != "api" || password != "s3cret" || !known {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}))
	defer as.Close()
	client := &oauth.Client{ID: "api", Secret: secret.New("s3cret"), Server: &discovery.Server{Issuer: as.URL, IntrospectionEndpoint: as.URL + "/introspect"}}
	responses, err := token.NewResponseVerifier(issuer, []string{audience}, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opaque, err := revocation.NewOpaque(func(context.Context) (*oauth.Client, error) { return client, nil }, responses, revocation.IntrospectionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	onPolicy := func(p *policy.Policy) error {
		next, err := p.ResponseVerifier(token.Options{})
		if err == nil {
			opaque.SetVerifier(next)
		}
		return err
	}
	f := newFixture(t, echo, func(c *guard.Config) { c.Opaque, c.OnPolicy = opaque, onPolicy })
	for raw, want := range map[string]int{
		"good": 200, "issuer": 200, "inactive": 401, "other": 401, "foreign": 401, "no-aud": 503, "expired": 401, "refresh": 401, "doubled": 401, "unknown": 503,
	} {
		res, body := f.send("GET /api/items", "Authorization: Bearer "+raw)
		if res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", raw, res.StatusCode, body, want)
		}
		if want == 200 && (!strings.Contains(body, "X-Auth-Subject: carol") || !strings.Contains(body, "X-Auth-Issuer: "+issuer) || !strings.Contains(body, "X-Auth-Scope: items:read")) {
			t.Errorf("%s: the API saw %s", raw, body)
		}
	}
	before := asked
	for range 5 {
		f.send("GET /api/items", "Authorization: Bearer good")
	}
	if asked != before {
		t.Errorf("%d questions about a token that is known", asked-before)
	}
	if res, _ := f.send("GET /api/items", "Authorization: Bearer "+f.token(nil)); res.StatusCode != 200 || asked != before {
		t.Errorf("a JWT: %d, %d questions", res.StatusCode, asked-before)
	}
	// A policy for another API refuses it, although its response is cached.
	if err := f.handler.SetPolicy(load(t, strings.Replace(routes, audience, "https://new.example", 1))); err != nil {
		t.Fatal(err)
	}
	if res, body := f.send("GET /api/items", "Authorization: Bearer good"); res.StatusCode != 401 || !strings.Contains(body, "AUD_MISMATCH") {
		t.Errorf("a token for the audience of before: %d %s", res.StatusCode, body)
	}
	plain := newFixture(t, echo, nil)
	if res, _ := plain.send("GET /api/items", "Authorization: Bearer good"); res.StatusCode != 401 {
		t.Errorf("without introspection: %d", res.StatusCode)
	}
}

// A token in another place is moved to Authorization and removed from that
// place.
func TestCarriers(t *testing.T) {
	all := guard.Carriers{Header: "X-Api-Token", Cookie: "session", Subprotocol: true}
	f := newFixture(t, echo, func(c *guard.Config) { c.Carriers = all })
	off := newFixture(t, echo, nil)
	raw := f.token(nil)
	for name, tt := range map[string]struct {
		fields []string
		status int
		seen   string // what the API must receive
	}{
		"header":          {[]string{"X-Api-Token: " + raw}, 200, "X-Auth-Subject: alice"},
		"cookie":          {[]string{"Cookie: a=b; session=" + raw + "; c=d"}, 200, "Cookie: a=b; c=d"},
		"cookie alone":    {[]string{"Cookie: session=" + raw}, 200, "X-Auth-Subject: alice"},
		"subprotocol":     {[]string{"Sec-WebSocket-Protocol: chat, bearer, " + raw}, 200, "Sec-Websocket-Protocol: chat"},
		"Authorization":   {[]string{"Authorization: Bearer " + raw}, 200, "X-Auth-Subject: alice"},
		"two places":      {[]string{"X-Api-Token: " + raw, "Authorization: Bearer " + raw}, 400, ""},
		"two cookies":     {[]string{"Cookie: session=" + raw + "; session=" + raw}, 400, ""},
		"another cookie":  {[]string{"Cookie: xsession=" + raw}, 401, ""},
		"bearer, nothing": {[]string{"Sec-WebSocket-Protocol: bearer"}, 401, ""},
		"in the query":    {nil, 400, ""},
	} {
		line := "GET /api/items"
		if name == "in the query" {
			line += "?access_token=" + raw
		}
		res, body := f.send(line, tt.fields...)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.seen) || strings.Contains(body, raw) {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, tt.status)
		}
		if name == "Authorization" {
			continue
		}
		if res, _ := off.send(line, tt.fields...); res.StatusCode == 200 {
			t.Errorf("%s: accepted without being asked for", name)
		}
	}
}

// Policy keys beyond scopes: optional credentials and step-up.
func TestPolicyKeys(t *testing.T) {
	f := newFixture(t, echo, func(c *guard.Config) {
		c.Policy = load(t, "issuer: "+issuer+"\naudience: "+audience+`
routes:
  "GET /feed": {optional: true}
  "GET /pay": {acr: [gold, platinum], max_age: 5m}
  "GET /transfers": {authorization_details: [{type: transfer, actions: [initiate]}]}
  "GET /roles": {claims: {role: [admin, owner]}}
`)
	})
	now := time.Now().Unix()
	bearer := func(claims map[string]any) []string { return []string{"Authorization: Bearer " + f.token(claims)} }
	for name, tt := range map[string]struct {
		path      string
		fields    []string
		status    int
		body      string
		challenge string
	}{
		"optional, none":       {"/feed", nil, 200, "GET /feed", ""},
		"optional, forged":     {"/feed", []string{"X-Auth-Subject: root"}, 200, "GET /feed", ""},
		"optional, valid":      {"/feed", bearer(nil), 200, "X-Auth-Subject: alice", ""},
		"optional, bad":        {"/feed", []string{"Authorization: Bearer x.y.z"}, 401, "", "invalid_token"},
		"optional, scheme":     {"/feed", []string{"Authorization: Basic YTpi"}, 401, "", "Bearer"},
		"strong and fresh":     {"/pay", bearer(map[string]any{"acr": "gold", "auth_time": now - 10}), 200, "", ""},
		"weak":                 {"/pay", bearer(map[string]any{"acr": "silver", "auth_time": now - 10}), 401, "STEP_UP_REQUIRED", `error="insufficient_user_authentication"`},
		"weak, what would do":  {"/pay", bearer(map[string]any{"auth_time": now - 10}), 401, "STEP_UP_REQUIRED", `acr_values="gold platinum", max_age="300"`},
		"old":                  {"/pay", bearer(map[string]any{"acr": "gold", "auth_time": now - 600}), 401, "STEP_UP_REQUIRED", `max_age="300"`},
		"no auth_time":         {"/pay", bearer(map[string]any{"acr": "gold"}), 401, "STEP_UP_REQUIRED", `max_age="300"`},
		"auth_time is no time": {"/pay", bearer(map[string]any{"acr": "gold", "auth_time": "now"}), 401, "", ""},
		"details":              {"/transfers", bearer(map[string]any{"authorization_details": []any{map[string]any{"type": "transfer", "actions": []any{"read", "initiate"}}}}), 200, "", ""},
		"other details":        {"/transfers", bearer(map[string]any{"authorization_details": []any{map[string]any{"type": "transfer", "actions": []any{"read"}}}}), 403, "DETAILS_MISSING", ""},
		"no details":           {"/transfers", bearer(nil), 403, "DETAILS_MISSING", ""},
		"one of the values":    {"/roles", bearer(map[string]any{"role": "owner"}), 200, "", ""},
		"none of the values":   {"/roles", bearer(map[string]any{"role": "notadmin"}), 403, "CLAIM_MISMATCH", ""},
	} {
		res, body := f.send("GET "+tt.path, tt.fields...)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.body) || !strings.Contains(strings.Join(res.Header["Www-Authenticate"], ", "), tt.challenge) || strings.Contains(body, "root") {
			t.Errorf("%s: %d %s %v, want %d %s %s", name, res.StatusCode, body, res.Header["Www-Authenticate"], tt.status, tt.body, tt.challenge)
		}
	}
}

// The age of a login is measured with the clock of the verifier, also after the
// policy was loaded again.
func TestLoginAgeByTheVerifiersClock(t *testing.T) {
	then := time.Date(2040, 5, 1, 12, 0, 0, 0, time.UTC)
	text := "issuer: " + issuer + "\naudience: " + audience + "\nroutes:\n  \"GET /pay\": {max_age: 5m}\n"
	f := newFixture(t, echo, func(c *guard.Config) {
		c.Policy, c.Verifier.Now = load(t, text), func() time.Time { return then }
	})
	at := func(login time.Time) string {
		return "Authorization: Bearer " + f.token(map[string]any{"iat": then.Unix(), "exp": then.Unix() + 300, "auth_time": login.Unix()})
	}
	for range 2 {
		for login, want := range map[time.Time]int{then.Add(-4 * time.Minute): 200, then.Add(-6 * time.Minute): 401, time.Now(): 401} {
			if res, body := f.send("GET /pay", at(login)); res.StatusCode != want {
				t.Errorf("a login at %s: %d %s, want %d", login, res.StatusCode, body, want)
			}
		}
		if err := f.handler.SetPolicy(load(t, text)); err != nil {
			t.Fatal(err)
		}
	}
}
