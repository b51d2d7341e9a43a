package apicall_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type bound struct {
	n      int
	prover *dpop.Prover
}

func (b *bound) Token(_ context.Context, rejected secret.String) (apicall.AccessToken, error) {
	if !rejected.IsZero() {
		b.n++
	}
	return apicall.AccessToken{Type: "DPoP", Value: secret.New(canary), Prover: b.prover}, nil
}

// A bound token is sent with a proof that the API's verifier accepts, with the
// server's nonce.
func TestDPoP(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	prover, err := dpop.NewProver(key, dpop.ProverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	verifier := &dpop.Verifier{Replay: dpop.NewMemory(dpop.MemoryOptions{Limit: 100}), Nonce: func(n string) bool { return n == "fresh" }}
	requests := 0
	var api *receiver
	api = newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		_, err := verifier.Verify(r.Context(), dpop.Request{
			Method: r.Method, URL: api.URL + r.URL.Path, Proofs: r.Header.Values("DPoP"),
			AccessToken: secret.New(canary), Thumbprint: prover.Thumbprint(),
		})
		if err == nil && r.Header.Get("Authorization") == "DPoP "+canary {
			return
		}
		w.Header().Set("DPoP-Nonce", "fresh")
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	source := &bound{prover: prover}
	c := newClient(t, api.URL)
	c.Source = source
	for i, want := range []int{2, 3} { // the nonce is known the second time
		if status, err := do(t, c, apicall.Request{Method: "POST", Target: "/x?q=1", Body: apicall.Text("x")}); err != nil || status != http.StatusOK || requests != want {
			t.Errorf("call %d: %d, %v, %d requests", i, status, err, requests)
		}
	}
	if source.n != 0 {
		t.Error("a missing nonce renewed the token")
	}
	source.prover = nil
	if _, err := do(t, c, apicall.Request{Target: "/x"}); err == nil || requests != 3 {
		t.Errorf("without its key a bound token was sent: %v", err)
	}
}
