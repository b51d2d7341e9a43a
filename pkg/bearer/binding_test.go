package bearer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func newProver(t *testing.T) *dpop.Prover {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	p, err := dpop.NewProver(key, dpop.ProverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDPoP sends requests with the scheme DPoP (RFC 9449, section 7) that
// differ from a valid one in one detail.
func TestDPoP(t *testing.T) {
	f := newFixture(t, "ES256")
	mine, other := newProver(t), newProver(t)
	bound := f.token(t, map[string]any{"cnf": map[string]string{"jkt": mine.Thumbprint()}})
	unbound := f.token(t, nil)
	proof := func(p *dpop.Prover, method, path, access string) []string {
		text, err := p.Proof(method, "https://api.example.com/base"+path, secret.New(access))
		if err != nil {
			t.Fatal(err)
		}
		return []string{text}
	}
	once := proof(mine, "GET", "/items", bound)
	tests := map[string]struct {
		authorization string
		proofs        []string
		path          string
		status        int
		code          string
		id            diagnosis.ID
	}{
		"good":                   {"DPoP " + bound, proof(mine, "GET", "/items", bound), "", 200, "", ""},
		"scheme in any case":     {"dpop " + bound, proof(mine, "GET", "/items", bound), "", 200, "", ""},
		"the query is no part":   {"DPoP " + bound, proof(mine, "GET", "/items", bound), "/items?x=1", 200, "", ""},
		"unbound goes as Bearer": {"Bearer " + unbound, nil, "", 200, "", ""},
		"no proof":               {"DPoP " + bound, nil, "", 401, "invalid_dpop_proof", diagnosis.DPoPMissing},
		"two proofs":             {"DPoP " + bound, append(proof(mine, "GET", "/items", bound), proof(mine, "GET", "/items", bound)...), "", 401, "invalid_dpop_proof", diagnosis.DPoPInvalid},
		"another key":            {"DPoP " + bound, proof(other, "GET", "/items", bound), "", 401, "invalid_token", diagnosis.DPoPKey},
		"another method":         {"DPoP " + bound, proof(mine, "POST", "/items", bound), "", 401, "invalid_dpop_proof", diagnosis.DPoPInvalid},
		"another path":           {"DPoP " + bound, proof(mine, "GET", "/users", bound), "", 401, "invalid_dpop_proof", diagnosis.DPoPInvalid},
		"another token":          {"DPoP " + bound, proof(mine, "GET", "/items", unbound), "", 401, "invalid_dpop_proof", diagnosis.DPoPInvalid},
		"unbound with a proof":   {"DPoP " + unbound, proof(mine, "GET", "/items", unbound), "", 401, "invalid_token", diagnosis.DPoPKey},
		"bound as Bearer":        {"Bearer " + bound, proof(mine, "GET", "/items", bound), "", 401, "invalid_token", diagnosis.TokenBound},
		"no token":               {"", nil, "", 401, "", diagnosis.CredentialsMissing},
		"first use":              {"DPoP " + bound, once, "", 200, "", ""},
	}
	h := bearer.Require(f.verifier, bearer.DPoP(&dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{}), Algorithms: []string{"ES256"}}, "https://api.example.com/base/"))(http.HandlerFunc(items))
	ask := func(authorization string, proofs []string, path string) *httptest.ResponseRecorder {
		if path == "" {
			path = "/items"
		}
		r := httptest.NewRequest("GET", path, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		for _, p := range proofs {
			r.Header.Add("DPoP", p)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ask(tt.authorization, tt.proofs, tt.path)
			all := strings.Join(w.Header().Values("WWW-Authenticate"), "\n")
			if w.Code != tt.status || !strings.Contains(w.Body.String(), string(tt.id)) {
				t.Fatalf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.id)
			}
			if tt.code != "" && !strings.Contains(all, `error="`+tt.code+`"`) {
				t.Errorf("challenges %q, want error %s", all, tt.code)
			}
			if tt.status == 401 && !strings.Contains(all, `algs="ES256"`) {
				t.Errorf("challenges %q name no algorithm", all)
			}
		})
	}
	if w := ask("DPoP "+bound, once, ""); w.Code != 401 || !strings.Contains(w.Body.String(), "DPOP_REPLAYED") {
		t.Errorf("second use: %d %s", w.Code, w.Body)
	}
	if got := ask("", nil, "").Header().Values("WWW-Authenticate"); len(got) != 2 || got[0] != `Bearer realm="api"` || got[1] != `DPoP realm="api", algs="ES256"` {
		t.Errorf("without credentials both schemes are offered, got %q", got)
	}
}

func TestDPoPNonce(t *testing.T) {
	f := newFixture(t, "ES256")
	prover := newProver(t)
	bound := f.token(t, map[string]any{"cnf": map[string]string{"jkt": prover.Thumbprint()}})
	v := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{}), Nonce: func(nonce string) bool { return nonce == "n1" }}
	h := bearer.Require(f.verifier, bearer.DPoP(v, audience), bearer.DPoPNonce(func() string { return "n1" }))(http.HandlerFunc(items))
	ask := func() *httptest.ResponseRecorder {
		proof, err := prover.Proof("GET", audience+"/items", secret.New(bound))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/items", nil)
		r.Header.Set("Authorization", "DPoP "+bound)
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := ask()
	if w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="use_dpop_nonce"`) || w.Header().Get("Access-Control-Expose-Headers") != "WWW-Authenticate, DPoP-Nonce" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if !prover.Learn(audience+"/items", w.Header()) {
		t.Fatal("no nonce to learn")
	}
	if w := ask(); w.Code != 200 {
		t.Errorf("with the nonce: %d %s", w.Code, w.Body)
	}
}

// While the replay store cannot be reached, a proof is neither accepted nor
// refused as used.
func TestDPoPReplayUnknown(t *testing.T) {
	f := newFixture(t, "ES256")
	prover := newProver(t)
	bound := f.token(t, map[string]any{"cnf": map[string]string{"jkt": prover.Thumbprint()}})
	full := dpop.NewMemory(dpop.MemoryOptions{Limit: 1})
	if _, err := full.Use(t.Context(), "x", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	h := bearer.Require(f.verifier, bearer.DPoP(&dpop.Verifier{Replay: full}, audience))(http.HandlerFunc(items))
	proof, err := prover.Proof("GET", audience+"/items", secret.New(bound))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/items", nil)
	r.Header.Set("Authorization", "DPoP "+bound)
	r.Header.Set("DPoP", proof)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "REPLAY_UNKNOWN") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestMutualTLS sends requests to a real TLS server with the right client
// certificate, with another one and without one (RFC 8705, section 3).
func TestMutualTLS(t *testing.T) {
	f := newFixture(t, "ES256")
	mine, other := newCertificate(t), newCertificate(t)
	sum := sha256.Sum256(mine.Certificate[0])
	bound := f.token(t, map[string]any{"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	tests := map[string]struct {
		options     []bearer.Option
		certificate *tls.Certificate
		token       string
		status      int
	}{
		"its certificate":        {[]bearer.Option{bearer.MutualTLS()}, &mine, bound, 200},
		"bound to nothing":       {[]bearer.Option{bearer.MutualTLS()}, &mine, f.token(t, nil), 200},
		"another certificate":    {[]bearer.Option{bearer.MutualTLS()}, &other, bound, 401},
		"no certificate":         {[]bearer.Option{bearer.MutualTLS()}, nil, bound, 401},
		"not enabled":            {nil, &mine, bound, 401},
		"bound to a key as well": {[]bearer.Option{bearer.MutualTLS()}, &mine, f.token(t, map[string]any{"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:]), "jkt": "x"}}), 401},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(bearer.Require(f.verifier, tt.options...)(http.HandlerFunc(items)))
			server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			server.StartTLS()
			defer server.Close()
			client := server.Client()
			if tt.certificate != nil {
				client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*tt.certificate}
			}
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+tt.token)
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != tt.status || tt.status == 401 && !strings.Contains(got, "TOKEN_BOUND") {
				t.Errorf("%d %q, want %d", res.StatusCode, got, tt.status)
			}
		})
	}
}

func newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour)}
	der, certErr := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err := errors.Join(err, certErr); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
