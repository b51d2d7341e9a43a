package cmd_test

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// A watcher reads the output of a running command. When a line matches, act is called with the submatches.
type watcher struct {
	bytes.Buffer
	mu   sync.Mutex
	when *regexp.Regexp
	act  func(match []string)
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Buffer.Write(p)
	if w.act == nil {
		return len(p), nil
	}
	if match := w.when.FindStringSubmatch(w.String()); match != nil {
		go w.act(match)
		w.act = nil
	}
	return len(p), nil
}

// deviceWatcher enters the code of a login on another device.
func deviceWatcher(t *testing.T, who person) *watcher {
	return &watcher{when: regexp.MustCompile(`with the code in it: (\S+)\n`), act: func(match []string) {
		if _, err := clickThrough(t.Context(), match[1], who); err != nil && !who.Cancel {
			t.Error(err)
		}
	}}
}

func (u *interopUser) file(name, content string) string {
	u.t.Helper()
	path := filepath.Join(u.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// Each method of client authentication, with the commands only, at the certified server; a wrong secret or key is the
// control.
func TestInteropClientCredentialsByCommand(t *testing.T) {
	const api = "http://127.0.0.1:7/api"
	issuer := startOIDCProvider(t, "--api", api)
	keys := getJSON[jose.JSONWebKeySet](t, issuer+"/jwks")
	for _, method := range []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT} {
		t.Run(method, func(t *testing.T) {
			user := &interopUser{t: t, home: t.TempDir()}
			metadata := map[string]any{
				"redirect_uris": []string{}, "response_types": []string{}, "grant_types": []string{"client_credentials"},
				"token_endpoint_auth_method": method,
			}
			if method == oauth.AuthPrivateKeyJWT {
				published := user.want(0, "jwks", "generate", "--alg", "ES256", "--private-out", filepath.Join(user.home, "good")).stdout
				user.want(0, "jwks", "generate", "--alg", "ES256", "--private-out", filepath.Join(user.home, "bad"))
				metadata["jwks"] = jsontext.Value(published)
			}
			id, secret := register(t, issuer, metadata)
			flag := "--client-secret-file"
			if method == oauth.AuthPrivateKeyJWT {
				flag = "--signing-key"
			} else {
				user.file("good", secret)
				user.file("bad", secret+"x")
			}
			login := []string{
				"login", issuer, "--grant-type", "client_credentials", "--client-id", id, "--auth-method", method,
				"--resource", api, "--scope", "items:read", flag,
			}
			refused := user.want(2, append(login, filepath.Join(user.home, "bad"))...)
			if !strings.Contains(refused.stderr, "CLIENT_REFUSED") && !strings.Contains(refused.stderr, "invalid_client") {
				t.Errorf("with a wrong secret or key:\n%s", refused.stderr)
			}
			user.want(0, append(login, filepath.Join(user.home, "good"))...)
			first := strings.TrimSpace(user.want(0, "token").stdout)
			parsed, err := jwt.ParseSigned(first, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			var claims jwt.Claims
			if err := parsed.Claims(keys, &claims); err != nil {
				t.Error(err)
			}
			// The next command needs only the profile.
			if next := strings.TrimSpace(user.want(0, "token", "--refresh").stdout); next == first {
				t.Error("no other token came")
			}
			user.want(0, "verify")
		})
	}
}

// A pushed request whose tokens are bound to a key, with the server's nonce in each proof, with the commands only:
// login, call, userinfo, refresh, introspection, revocation, and the end of the session at the server.
func TestInteropPushedAndBoundByCommand(t *testing.T) {
	issuer := startOIDCProvider(t, "--dpop-nonce", "--require-par")
	user := &interopUser{t: t, home: t.TempDir(), person: person{Login: "alice"}}
	user.want(0, "login", issuer, "--api", issuer, "--browser", "--dpop", "--prompt", "consent", "--scope", "openid offline_access email")
	subject := func(args ...string) {
		t.Helper()
		var told struct {
			Subject string `json:"sub"`
		}
		if err := json.Unmarshal([]byte(user.want(0, args...).stdout), &told); err != nil || told.Subject != "alice" {
			t.Errorf("%v: %v, %+v", args, err, told)
		}
	}
	subject("call", "GET", "/me")
	subject("userinfo")
	first := strings.TrimSpace(user.want(0, "token").stdout)
	if next := strings.TrimSpace(user.want(0, "token", "--refresh").stdout); next == first {
		t.Error("no other token came")
	}
	subject("call", "GET", "/me")
	subject("call", "GET", "/me", "--retry", "1")
	user.want(2, "call", "GET", "/me", "--curl")
	user.want(0, "introspect")
	user.want(0, "revoke")
	user.want(3, "introspect")

	ended := user.want(0, "logout", "--end-session")
	address := regexp.MustCompile(`http://\S+/session/end\?\S+`).FindString(ended.stderr)
	last, err := clickThrough(t.Context(), address, person{Login: "alice"})
	if err != nil || !strings.Contains(last.Body, "Sign-out Success") {
		t.Errorf("%q leads to %v, %+v", address, err, last)
	}
	user.want(5, "token")
}

// The device grant with the commands only: the code is entered while the command waits.
func TestInteropDeviceByCommand(t *testing.T) {
	t.Parallel()
	const api = "http://127.0.0.1:7/api"
	issuer := startOIDCProvider(t, "--api", api)
	for _, tt := range []struct {
		name string
		who  person
		code int
	}{
		{"entered", person{Login: "bob"}, 0},
		{"refused", person{Login: "bob", Cancel: true}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			user := &interopUser{t: t, home: t.TempDir(), person: tt.who}
			user.stderr = deviceWatcher(t, tt.who)
			user.want(tt.code, "login", issuer, "--device", "--resource", api, "--scope", "openid offline_access items:read")
			user.stderr = nil
			if tt.code != 0 {
				user.want(5, "token")
				return
			}
			user.want(0, "token")
			if got := user.want(0, "status", "--json").stdout; !strings.Contains(got, `"bob"`) {
				t.Errorf("status: %s", got)
			}
		})
	}
}

// A public client replaces its refresh token, and every request of a login has the resource.
func TestInteropRegisteredClientIsKept(t *testing.T) {
	const api = "http://127.0.0.1:7/api"
	issuer := startOIDCProvider(t, "--api", api)
	user := &interopUser{t: t, home: t.TempDir(), person: person{Login: "alice"}}
	first := user.want(0, "login", issuer, "--browser", "--resource", api)
	again := user.want(0, "login", "--browser")
	if !strings.Contains(first.stderr, "registered as client") || strings.Contains(again.stderr, "registered as client") {
		t.Errorf("first:\n%s\nagain:\n%s", first.stderr, again.stderr)
	}
	u, err := url.Parse(regexp.MustCompile(`http://\S+/auth\?\S+`).FindString(again.stderr))
	if err != nil || u.Query().Get("resource") != api {
		t.Errorf("%v, the second login asks for %q", err, u)
	}
}
