package oauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// binding is a server that requires proofs with a nonce.
type binding struct {
	verifier  dpop.Verifier
	tokenType string
	requests  int
	accepted  int
	bound     string // jkt
	silent    bool   // requires a nonce and sends none
}

func newBinding(nonce string) *binding {
	b := &binding{tokenType: "DPoP", verifier: dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Now: now}), Now: now}}
	if nonce != "" {
		b.verifier.Nonce = func(n string) bool { return n == nonce }
	}
	return b
}

func (b *binding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.requests++
	req := dpop.Request{Method: r.Method, URL: "http://" + r.Host + r.URL.Path, Proofs: r.Header.Values("DPoP")}
	if value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); ok {
		req.AccessToken, req.Thumbprint = secret.New(value), b.bound
	}
	if !b.silent {
		w.Header().Set("DPoP-Nonce", "fresh")
	}
	proof, err := b.verifier.Verify(r.Context(), req)
	switch {
	case id(err) == diagnosis.DPoPNonce && r.URL.Path == "/userinfo":
		w.WriteHeader(http.StatusUnauthorized)
	case id(err) == diagnosis.DPoPNonce:
		http.Error(w, `{"error":"use_dpop_nonce"}`, http.StatusBadRequest)
	case err != nil:
		http.Error(w, fmt.Sprintf(`{"error":"invalid_dpop_proof","error_description":%q}`, err), http.StatusBadRequest)
	case r.URL.Path == "/userinfo":
		b.accepted++
		fmt.Fprint(w, `{"sub":"alice"}`)
	default:
		b.accepted++
		b.bound = proof.Thumbprint
		fmt.Fprintf(w, `{"access_token":"a","token_type":%q}`, b.tokenType)
	}
}

func TestDPoP(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		nonce     string
		tokenType string
		requests  int
		want      diagnosis.ID
	}{
		"no nonce demanded":            {"", "DPoP", 1, ""},
		"a nonce demanded":             {"fresh", "DPoP", 2, ""},
		"a nonce that is never enough": {"other", "DPoP", 2, diagnosis.RequestRefused},
		"a nonce that is not named":    {"silent", "DPoP", 1, diagnosis.RequestRefused},
		"answered with Bearer":         {"", "Bearer", 1, diagnosis.DPoPDowngrade},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := newBinding(tt.nonce)
			server.tokenType, server.silent = tt.tokenType, tt.nonce == "silent"
			c := client(t, server.ServeHTTP)
			if c.DPoP, err = dpop.NewProver(key, dpop.ProverOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			r, sent := authorization(t, c, oauth.AuthorizationParams{})
			if sent.Get("dpop_jkt") != c.DPoP.Thumbprint() {
				t.Errorf("the code is not bound: %v", sent)
			}
			res, err := c.Token(t.Context(), r.TokenRequest(secret.New("code")))
			refused(t, err, tt.want)
			if server.requests != tt.requests {
				t.Errorf("%d requests, want %d", server.requests, tt.requests)
			}
			if err != nil {
				return
			}
			if server.bound != c.DPoP.Thumbprint() {
				t.Error("bound to another key")
			}
			if got, err := c.Userinfo(t.Context(), res.AccessToken, "alice"); err != nil || got.Subject != "alice" {
				t.Errorf("userinfo: %+v, %v", got, err)
			}
			if server.requests != tt.requests+1 {
				t.Errorf("userinfo took %d requests, want 1: the nonce is known", server.requests-tt.requests)
			}
		})
	}
}

func TestUserinfoLearnsTheNonce(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	server := newBinding("fresh")
	c := client(t, server.ServeHTTP)
	if c.DPoP, err = dpop.NewProver(key, dpop.ProverOptions{Now: now}); err != nil {
		t.Fatal(err)
	}
	server.bound = c.DPoP.Thumbprint()
	if _, err := c.Userinfo(t.Context(), secret.New("a"), "alice"); err != nil || server.requests != 2 {
		t.Errorf("%v after %d requests", err, server.requests)
	}
}

// go-jose accepts our signatures.
func TestClientAssertion(t *testing.T) {
	const clientSecret = "a-client-secret-of-32-bytes-or-more"
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change   func(*oauth.Client)
		key      any
		audience string
	}{
		"private_key_jwt":    {func(c *oauth.Client) { c.Key = key }, key.Public().Public(), "https://issuer.example"},
		"client_secret_jwt":  {func(c *oauth.Client) { c.Secret, c.AuthMethod = secret.New(clientSecret), oauth.AuthSecretJWT }, []byte(clientSecret), "https://issuer.example"},
		"another audience":   {func(c *oauth.Client) { c.Key, c.AssertionAudience = key, "https://aud.example" }, key.Public().Public(), "https://aud.example"},
		"no issuer is known": {func(c *oauth.Client) { c.Key, c.Server.Issuer = key, "" }, key.Public().Public(), "TOKEN"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var form url.Values
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				form = r.PostForm
				fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer"}`)
			})
			tt.change(c)
			seen := map[any]bool{}
			for range 2 {
				if _, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil)); err != nil {
					t.Fatal(err)
				}
				if got := form.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") {
					t.Errorf("form %v", form)
				}
				signed, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256, jose.HS256})
				if err != nil {
					t.Fatal(err)
				}
				payload, err := signed.Verify(tt.key)
				if err != nil {
					t.Fatal(err)
				}
				var claims map[string]any
				if err := json.Unmarshal(payload, &claims); err != nil {
					t.Fatal(err)
				}
				want := map[string]any{
					"iss": "app", "sub": "app", "aud": strings.ReplaceAll(tt.audience, "TOKEN", c.Server.TokenEndpoint), "jti": claims["jti"],
					"iat": float64(clock.Unix()), "exp": float64(clock.Add(time.Minute).Unix()),
				}
				if diff := cmp.Diff(want, claims); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if seen[claims["jti"]] {
					t.Error("the jti was used before")
				}
				seen[claims["jti"]] = true
			}
		})
	}
}

func TestReadyAssertion(t *testing.T) {
	var form url.Values
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		http.Error(w, `{"error":"invalid_client","error_description":"assertion `+canary+` is old"}`, http.StatusUnauthorized)
	})
	c.Assertion = secret.New(canary)
	_, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
	if form.Get("client_assertion") != canary {
		t.Errorf("form %v", form)
	}
	refused(t, err, diagnosis.ClientRefused)
}

// golang.org/x/oauth2 encodes a secret for Basic in the same way.
func TestBasicAgreesWithOauth2(t *testing.T) {
	var got []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer"}`)
	})
	c.ID, c.Secret = "a:b c", secret.New("p%w+d/ü&=")
	if _, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
	judge := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret.Reveal(), TokenURL: c.Server.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader}
	if _, err := judge.Token(oauth2Context(t, c)); err != nil {
		t.Fatal(err)
	}
	if got[0] != got[1] || got[0] == "" {
		t.Errorf("ours %q, the judge's %q", got[0], got[1])
	}
}

func TestEndSessionURL(t *testing.T) {
	c := public(nil)
	_, err := c.EndSessionURL()
	refused(t, err, diagnosis.EndpointMissing)
	c.Server.EndSessionEndpoint = "https://issuer.example/logout?x=1"
	if got, err := c.EndSessionURL(); err != nil || got != "https://issuer.example/logout?client_id=app&x=1" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Server.EndSessionEndpoint = "javascript:alert(1)"
	if got, err := c.EndSessionURL(); err == nil {
		t.Errorf("got %q", got)
	}
}
