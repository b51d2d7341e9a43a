package bearer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// counting is a replay store that counts its calls.
type counting struct{ used int }

func (c *counting) Use(context.Context, string, time.Time) (bool, error) {
	c.used++
	return true, nil
}

type revokes bool

func (r revokes) Revoked(context.Context, *token.Token) (bool, error) { return bool(r), nil }

// The proof of a revoked token is not stored in the replay store.
func TestRevokedBeforeProof(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	proofKey, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	prover, err := dpop.NewProver(proofKey, dpop.ProverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	raw, err := token.Sign(key, "at+jwt", map[string]any{
		"iss": "https://as.example", "aud": "https://api.example", "sub": "a", "exp": now + 60, "cnf": map[string]any{"jkt": prover.Thumbprint()},
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier("https://as.example", []string{"https://api.example"}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for revoked, want := range map[bool]struct{ status, used int }{false: {200, 1}, true: {401, 0}} {
		store := &counting{}
		h := bearer.Require(v, bearer.DPoP(&dpop.Verifier{Replay: store}, "https://api.example"), bearer.Revocation(revokes(revoked)))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest("GET", "https://api.example/x", nil)
		proof, err := prover.Proof("GET", "https://api.example/x", secret.New(raw))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "DPoP "+raw)
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want.status || store.used != want.used {
			t.Errorf("revoked %v: %d %s, %d proofs noted, want %+v", revoked, w.Code, w.Body, store.used, want)
		}
	}
}
