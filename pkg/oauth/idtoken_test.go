package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The issuer's keys, created once, because generating an RSA key is slow.
var issuerKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	foreign, _ := rsa.GenerateKey(rand.Reader, 2048)
	return map[string]crypto.Signer{"RS256": rsaKey, "PS256": rsaKey, "ES256": ecKey, "EdDSA": edKey, "foreign": foreign}
})

// published returns the issuer's key set, encoded by go-jose.
func published(t *testing.T) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: issuerKeys()[alg].Public(), KeyID: alg, Use: "sig"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// idToken is an ID token to be signed, with its key. go-jose signs it.
type idToken struct {
	alg    string
	kid    string
	typ    string
	key    any
	claims map[string]any
	raw    string // instead of all the fields above
}

func goodIDToken() idToken {
	return idToken{alg: "RS256", kid: "RS256", key: issuerKeys()["RS256"], claims: map[string]any{
		"iss": "https://issuer.example", "sub": "alice", "aud": "app", "exp": clock.Add(time.Hour).Unix(), "iat": clock.Unix(), "nonce": "the-nonce",
	}}
}

func (i idToken) sign(t *testing.T) secret.String {
	t.Helper()
	if i.raw != "" {
		return secret.New(i.raw)
	}
	options := (&jose.SignerOptions{}).WithHeader("kid", i.kid)
	if i.typ != "" {
		options = options.WithType(jose.ContentType(i.typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(i.alg), Key: i.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(i.claims)
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
	return secret.New(raw)
}

func half(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// verifying returns a client that fetches keys from its server's jwks_uri.
func verifying(t *testing.T) *oauth.Client {
	keys := published(t)
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keys)
	})
	c.Server.JWKSURI = strings.TrimSuffix(c.Server.TokenEndpoint, "/token") + "/jwks"
	return c
}

func TestVerifyIDToken(t *testing.T) {
	const clientSecret = "a-client-secret-of-32-bytes-or-more"
	minute := time.Minute
	claim := func(name string, value any) func(*idToken) {
		return func(i *idToken) { i.claims[name] = value }
	}
	without := func(name string) func(*idToken) { return func(i *idToken) { delete(i.claims, name) } }
	signedBy := func(alg string) func(*idToken) {
		return func(i *idToken) { i.alg, i.kid, i.key = alg, alg, issuerKeys()[alg] }
	}
	part := base64.RawURLEncoding.EncodeToString
	ago := func(d time.Duration) int64 { return clock.Add(-d).Unix() }
	tests := map[string]struct {
		change  func(*idToken)
		expect  func(*oauth.IDTokenExpectation)
		client  func(*oauth.Client)
		want    diagnosis.ID
		beneath diagnosis.ID
	}{
		"RS256":                 {},
		"ES256":                 {change: signedBy("ES256")},
		"EdDSA":                 {change: signedBy("EdDSA")},
		"PS256":                 {change: func(i *idToken) { signedBy("PS256")(i); i.kid = "RS256" }},
		"typ JWT":               {change: func(i *idToken) { i.typ = "JWT" }},
		"two audiences and azp": {change: func(i *idToken) { i.claims["aud"] = []string{"app", "other"}; i.claims["azp"] = "app" }},
		"two audiences, no azp": {change: claim("aud", []string{"app", "other"})},
		"a sister app's azp":    {change: claim("azp", "web"), client: func(c *oauth.Client) { c.AuthorizedParties = []string{"web"} }},
		"Google's older issuer": {change: claim("iss", "accounts.google.com"), client: func(c *oauth.Client) { c.Server.Issuer = "https://accounts.google.com" }},
		"at_hash":               {change: claim("at_hash", half(canary))},
		"no nonce was sent":     {change: without("nonce"), expect: func(e *oauth.IDTokenExpectation) { e.Nonce = secret.String{} }},
		"auth_time in time":     {change: claim("auth_time", ago(minute)), expect: func(e *oauth.IDTokenExpectation) { e.MaxAge = &minute }},
		"acr as asked":          {change: claim("acr", "mfa"), expect: func(e *oauth.IDTokenExpectation) { e.ACRValues = []string{"x", "mfa"} }},
		"announced algorithm":   {client: func(c *oauth.Client) { c.Server.IDTokenSigningAlgValuesSupported = []string{"none", "RS256", "ES256K"} }},
		"HS256 announced and secret": {change: func(i *idToken) { i.alg, i.key = "HS256", []byte(clientSecret) }, client: func(c *oauth.Client) {
			c.Secret, c.Server.IDTokenSigningAlgValuesSupported = secret.New(clientSecret), []string{"HS256", "RS256"}
		}},

		"none at all": {change: func(i *idToken) { i.raw = " " }, want: diagnosis.IDTokenInvalid},
		"alg none": {change: func(i *idToken) {
			payload, _ := json.Marshal(i.claims)
			i.raw = part([]byte(`{"alg":"none"}`)) + "." + part(payload) + "."
		}, want: diagnosis.IDTokenInvalid},
		"alg none in disguise": {change: func(i *idToken) {
			payload, _ := json.Marshal(i.claims)
			i.raw = part([]byte(`{"alg":"nOnE","kid":"RS256"}`)) + "." + part(payload) + "."
		}, client: func(c *oauth.Client) { c.Server.IDTokenSigningAlgValuesSupported = []string{"none"} }, want: diagnosis.IDTokenInvalid},
		"bad signature":         {change: func(i *idToken) { i.key = issuerKeys()["foreign"] }, want: diagnosis.IDTokenInvalid, beneath: diagnosis.SignatureInvalid},
		"unknown kid":           {change: func(i *idToken) { i.kid = "x"; i.key = issuerKeys()["foreign"] }, want: diagnosis.IDTokenInvalid, beneath: diagnosis.KidUnknown},
		"unannounced alg":       {change: signedBy("ES256"), client: func(c *oauth.Client) { c.Server.IDTokenSigningAlgValuesSupported = []string{"RS256"} }, want: diagnosis.IDTokenInvalid, beneath: diagnosis.AlgNotAllowed},
		"HS256 announced alone": {client: func(c *oauth.Client) { c.Server.IDTokenSigningAlgValuesSupported = []string{"HS256"} }, want: diagnosis.IDTokenInvalid, beneath: diagnosis.AlgNotAllowed},
		"HS256 unannounced":     {change: func(i *idToken) { i.alg, i.key = "HS256", []byte(clientSecret) }, client: func(c *oauth.Client) { c.Secret = secret.New(clientSecret) }, want: diagnosis.IDTokenInvalid},
		"HS256 with the public key": {change: func(i *idToken) {
			der, _ := x509.MarshalPKIXPublicKey(issuerKeys()["RS256"].Public())
			i.alg, i.key = "HS256", der
		}, client: func(c *oauth.Client) { c.Server.IDTokenSigningAlgValuesSupported = []string{"HS256"} }, want: diagnosis.IDTokenInvalid},
		"another issuer":               {change: claim("iss", "https://evil.example"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.IssMismatch},
		"issuer with a slash":          {change: claim("iss", "https://issuer.example/"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.IssSlash},
		"no issuer":                    {change: without("iss"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.IssMissing},
		"another audience":             {change: claim("aud", "other"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.AudMismatch},
		"no audience":                  {change: without("aud"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.AudMissing},
		"two audiences of others":      {change: claim("aud", []string{"web", "other"}), want: diagnosis.IDTokenInvalid, beneath: diagnosis.AudMismatch},
		"two audiences, azp another":   {change: func(i *idToken) { i.claims["aud"] = []string{"app", "other"}; i.claims["azp"] = "other" }, want: diagnosis.IDTokenInvalid},
		"azp a list of another":        {change: claim("azp", []string{"other"}), client: func(c *oauth.Client) { c.AuthorizedParties = []string{"other"} }, want: diagnosis.IDTokenInvalid},
		"azp empty":                    {change: claim("azp", ""), want: diagnosis.IDTokenInvalid},
		"sub a list":                   {change: claim("sub", []string{"alice"}), want: diagnosis.IDTokenInvalid},
		"sub an object":                {change: claim("sub", map[string]any{"id": 7}), want: diagnosis.IDTokenInvalid},
		"sub a number":                 {change: claim("sub", 7), want: diagnosis.IDTokenInvalid},
		"sub true":                     {change: claim("sub", true), want: diagnosis.IDTokenInvalid},
		"sub null":                     {change: claim("sub", nil), want: diagnosis.IDTokenInvalid},
		"sub empty":                    {change: claim("sub", ""), want: diagnosis.IDTokenInvalid},
		"iss a list":                   {change: claim("iss", []string{"https://issuer.example"}), want: diagnosis.IDTokenInvalid},
		"iss without a scheme":         {change: claim("iss", "issuer.example"), want: diagnosis.IDTokenInvalid},
		"azp of another":               {change: claim("azp", "other"), want: diagnosis.IDTokenInvalid},
		"azp a list":                   {change: claim("azp", []string{"app"}), want: diagnosis.IDTokenInvalid},
		"expired":                      {change: claim("exp", ago(time.Minute)), want: diagnosis.IDTokenInvalid, beneath: diagnosis.Expired},
		"no exp":                       {change: without("exp"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.ExpMissing},
		"no iat":                       {change: without("iat"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.ClaimMissing},
		"no sub":                       {change: without("sub"), want: diagnosis.IDTokenInvalid, beneath: diagnosis.ClaimMissing},
		"iat far ahead":                {change: claim("iat", ago(-time.Hour)), want: diagnosis.IDTokenInvalid},
		"another nonce":                {change: claim("nonce", "x"), want: diagnosis.NonceMismatch},
		"no nonce":                     {change: without("nonce"), want: diagnosis.NonceMismatch},
		"nonce a number":               {change: claim("nonce", 7), want: diagnosis.IDTokenInvalid},
		"at_hash of another token":     {change: claim("at_hash", half("other")), want: diagnosis.IDTokenInvalid},
		"at_hash a number":             {change: claim("at_hash", 7), want: diagnosis.IDTokenInvalid},
		"auth_time too old":            {change: claim("auth_time", ago(time.Hour)), expect: func(e *oauth.IDTokenExpectation) { e.MaxAge = &minute }, want: diagnosis.IDTokenInvalid},
		"auth_time ahead":              {change: claim("auth_time", ago(-time.Hour)), expect: func(e *oauth.IDTokenExpectation) { e.MaxAge = &minute }, want: diagnosis.IDTokenInvalid},
		"auth_time missing":            {expect: func(e *oauth.IDTokenExpectation) { e.MaxAge = &minute }, want: diagnosis.IDTokenInvalid},
		"auth_time text":               {change: claim("auth_time", "now"), expect: func(e *oauth.IDTokenExpectation) { e.MaxAge = &minute }, want: diagnosis.IDTokenInvalid},
		"another acr":                  {change: claim("acr", "pwd"), expect: func(e *oauth.IDTokenExpectation) { e.ACRValues = []string{"mfa"} }, want: diagnosis.IDTokenInvalid},
		"no acr":                       {expect: func(e *oauth.IDTokenExpectation) { e.ACRValues = []string{"mfa"} }, want: diagnosis.IDTokenInvalid},
		"an access token":              {change: func(i *idToken) { i.typ = "at+jwt" }, want: diagnosis.IDTokenInvalid},
		"a logout token":               {change: func(i *idToken) { i.typ = "logout+jwt" }, want: diagnosis.IDTokenInvalid, beneath: diagnosis.TypRefused},
		"keys away":                    {client: func(c *oauth.Client) { c.Server.JWKSURI = "http://127.0.0.1:1/jwks" }, want: diagnosis.KeysUnavailable},
		"no keys named":                {client: func(c *oauth.Client) { c.Server.JWKSURI = "" }, want: diagnosis.MetadataInvalid},
		"the issuer is not even known": {client: func(c *oauth.Client) { c.Server.Issuer = "" }, want: diagnosis.IDTokenInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := verifying(t)
			if tt.client != nil {
				tt.client(c)
			}
			i := goodIDToken()
			if tt.change != nil {
				tt.change(&i)
			}
			want := oauth.IDTokenExpectation{Nonce: secret.New("the-nonce")}
			if tt.expect != nil {
				tt.expect(&want)
			}
			got, err := c.VerifyIDToken(t.Context(), &oauth.TokenResponse{AccessToken: secret.New(canary), IDToken: i.sign(t)}, want)
			refused(t, err, tt.want)
			if tt.beneath != "" && !errors.Is(err, &diagnosis.Diagnosis{ID: tt.beneath}) && !contains(err, tt.beneath) {
				t.Errorf("%v is not %s underneath", err, tt.beneath)
			}
			if (err == nil) != (got != nil) || err == nil && got.Subject() != "alice" {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	_, err := verifying(t).VerifyIDToken(t.Context(), &oauth.TokenResponse{AccessToken: secret.New("a")}, oauth.IDTokenExpectation{})
	refused(t, err, diagnosis.IDTokenMissing)
}

// contains reports whether err wraps a Diagnosis with this id.
func contains(err error, want diagnosis.ID) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if d, ok := err.(*diagnosis.Diagnosis); ok && d.ID == want {
			return true
		}
	}
	return false
}

func TestVerifyIDTokenAfterRefresh(t *testing.T) {
	login := goodIDToken()
	login.claims["auth_time"] = clock.Unix()
	before, err := token.Decode(login.sign(t).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(claims map[string]any)
		want   diagnosis.ID
	}{
		"the same":            {func(map[string]any) {}, ""},
		"without the nonce":   {func(c map[string]any) { delete(c, "nonce") }, ""},
		"newer":               {func(c map[string]any) { c["iat"] = clock.Unix() - 1; c["jti"] = "new" }, ""},
		"no auth_time":        {func(c map[string]any) { delete(c, "auth_time") }, ""},
		"another subject":     {func(c map[string]any) { c["sub"] = "bob" }, diagnosis.SubjectChanged},
		"one more audience":   {func(c map[string]any) { c["aud"] = []string{"app", "x"}; c["azp"] = "app" }, diagnosis.SubjectChanged},
		"another nonce":       {func(c map[string]any) { c["nonce"] = "x" }, diagnosis.NonceMismatch},
		"auth_time an object": {func(c map[string]any) { c["auth_time"] = map[string]any{} }, diagnosis.IDTokenInvalid},
		"another auth_time":   {func(c map[string]any) { c["auth_time"] = clock.Unix() - 5 }, diagnosis.IDTokenInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := login
			i.claims = maps.Clone(login.claims)
			tt.change(i.claims)
			_, err := verifying(t).VerifyIDToken(t.Context(), &oauth.TokenResponse{AccessToken: secret.New("a"), IDToken: i.sign(t)}, oauth.IDTokenExpectation{Previous: before})
			refused(t, err, tt.want)
		})
	}
}

// A login from the first request to the verified ID token.
func TestLogin(t *testing.T) {
	var nonce, challenge string
	keys := published(t)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			_, _ = w.Write(keys)
			return
		}
		_ = r.ParseForm()
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if r.PostForm.Get("code") != "c" || base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		i := goodIDToken()
		i.claims["nonce"], i.claims["at_hash"] = nonce, half("access")
		fmt.Fprintf(w, `{"access_token":"access","token_type":"Bearer","id_token":%q}`, i.sign(t).Reveal())
	})
	c.Server.JWKSURI = strings.TrimSuffix(c.Server.TokenEndpoint, "/token") + "/jwks"
	r, sent := authorization(t, c, oauth.AuthorizationParams{Scope: []string{"openid"}})
	nonce, challenge = sent.Get("nonce"), sent.Get("code_challenge")
	code, err := r.Code(map[string][]string{"state": sent["state"], "code": {"c"}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Token(t.Context(), r.TokenRequest(code))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.VerifyIDToken(t.Context(), res, r.IDTokenExpectation())
	if err != nil || got.Subject() != "alice" {
		t.Errorf("got %v, %v", got, err)
	}
}
