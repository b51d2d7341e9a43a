package token_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// An issuer reuses the kid of its key for a new key: tokens of the new key are
// valid as soon as the set is renewed, and the refusal of those of the old key
// explains why. A forged token is still reported as forged.
func TestKeyOfTheSameName(t *testing.T) {
	first, second, stranger := keyNamed(t, "same"), keyNamed(t, "same"), keyNamed(t, "same")
	var published atomic.Pointer[jwks.Set]
	published.Store(jwks.NewSet(first.Public()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		data, err := json.Marshal(published.Load())
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(data)
	}))
	defer server.Close()
	clock := now
	keys := jwks.NewRemote(server.URL, jwks.RemoteOptions{Now: func() time.Time { return clock }})
	defer keys.Close()
	v, err := token.NewVerifier(issuer, []string{audience}, keys, token.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	want := func(key *jwks.PrivateKey, want diagnosis.ID) {
		t.Helper()
		if _, err := v.Verify(t.Context(), sign(t, key, "at+jwt", claims(nil))); idOf(err) != want || want == "" && err != nil {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	want(first, "")
	want(second, diagnosis.SignatureInvalid)
	published.Store(jwks.NewSet(second.Public()))
	clock = clock.Add(time.Hour)
	want(second, "")
	want(first, diagnosis.KidSameKeyChanged)
	want(stranger, diagnosis.SignatureInvalid)
}

// keyNamed returns a key with that kid.
func keyNamed(t *testing.T, kid string) *jwks.PrivateKey {
	t.Helper()
	data, err := newKey(t, "ES256").MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	var member map[string]any
	if err := json.Unmarshal(data, &member); err != nil {
		t.Fatal(err)
	}
	member["kid"] = kid
	if data, err = json.Marshal(member); err != nil {
		t.Fatal(err)
	}
	key, err := jwks.ParsePrivate(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
