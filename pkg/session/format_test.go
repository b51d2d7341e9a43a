package session_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// Each field has a different value, so that mixed-up fields are noticed.
func TestEveryFieldIsStored(t *testing.T) {
	want := &session.Session{
		Profile: "default", Issuer: "https://i.example", API: "https://a.example/v1", ClientID: "client", ClientSecret: secret.New("s1"), AuthMethod: "client_secret_post",
		TokenEndpoint: "https://t.example/token", Origins: []string{"https://t.example:443", "https://r.example:443"}, Grant: "client_credentials",
		Asked:     session.Asked{Scope: []string{"a", "b"}, Audience: []string{"au"}, Resource: []string{"https://re.example"}, Param: url.Values{"tenant": {"blue", "green"}, "x": {""}}},
		TokenType: "DPoP", AccessToken: secret.New("s2"), RefreshToken: secret.New("s3"), IDToken: secret.New("s4"), Scope: []string{"a"}, Resource: []string{"https://rs.example"},
		Subject: "sub", Name: "Name", ExpiresAt: now.Add(time.Hour), ObtainedAt: now.Add(time.Minute), RefreshExpiresAt: now.Add(24 * time.Hour), Revoked: true, DPoPKey: secret.New("s5"),
	}
	each(t, func(t *testing.T, store *session.Store, _ string) {
		save(t, store, want)
		got, err := store.Load("default")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Load (-want +got):\n%s", diff)
		}
	})
}

// versionOne is a session in the first version of the format.
const versionOne = `{"version":1,"profile":"default","issuer":"https://auth.example.com","client_id":"app","token_endpoint":"https://Login.Example.com/oauth2/token",` +
	`"grant_type":"authorization_code","token_type":"Bearer","access_token":"access-1","refresh_token":"refresh-1","id_token":"id-1","scope":["items:read"],` +
	`"resource":["https://api.example.com"],"subject":"alice","name":"Alice","expires_at":"2026-11-24T12:01:00Z","obtained_at":"2026-11-24T12:00:00Z"}`

// sealedAsVersionOne seals text like the first version of the format, as a
// session or as another kind of record.
func sealedAsVersionOne(t *testing.T, kind, text string, keys *ring) []byte {
	t.Helper()
	key := make([]byte, 32)
	key[3] = 7
	const id = "0123456789abcdef0123456789abcdef"
	keys.keys = map[string][]byte{id: key}
	box, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, box.NonceSize())
	nonce[0] = 1
	bound := fmt.Sprintf(`["oauthctl %s",1,"default","https://auth.example.com","app","%s"]`, kind, id)
	sealed, err := json.Marshal(box.Seal(nonce, nonce, []byte(text), []byte(bound)))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"version":1,"profile":"default","issuer":"https://auth.example.com","client_id":"app","key":"%s","sealed":%s}`+"\n", id, sealed)
}

func TestVersionOneIsRead(t *testing.T) {
	want := example()
	want.TokenEndpoint, want.Origins = "https://Login.Example.com/oauth2/token", []string{"https://login.example.com:443"}
	for _, kind := range []session.Kind{session.File, session.Keyring} {
		t.Run(string(kind), func(t *testing.T) {
			keys := &ring{}
			data := []byte(versionOne + "\n")
			if kind == session.Keyring {
				data = sealedAsVersionOne(t, "session", versionOne, keys)
			}
			store, dir := openSealed(t, kind, keys)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "default.json"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := store.Load("default")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
			save(t, store, got)
			if again, err := store.Load("default"); err != nil || !cmp.Equal(want, again) {
				t.Errorf("as version 2: %v", err)
			}
		})
	}
	for name, text := range map[string]string{
		"a token endpoint that is no URL": `{"version":1,"profile":"default","token_endpoint":"%zz","access_token":"a"}`,
		"no token endpoint":               `{"version":1,"profile":"default","access_token":"a"}`,
	} {
		store, dir := openStore(t)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "default.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := store.Load("default"); err != nil || len(s.Origins) != 0 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// Only a revoked session may have no access token.
func TestSessionWithoutAccessToken(t *testing.T) {
	store, _ := openStore(t)
	s := example()
	s.AccessToken = secret.String{}
	save(t, store, s)
	if _, err := store.Load("default"); idOf(err) != diagnosis.StoreUnreadable {
		t.Errorf("not revoked: %v", err)
	}
	s.Revoked = true
	save(t, store, s)
	if got, err := store.Load("default"); err != nil || got.Lives(now, 0) || got.RefreshToken.IsZero() {
		t.Errorf("revoked: %v", err)
	}
}
