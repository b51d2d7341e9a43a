package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// The folder of the certified authorization server. `npm ci` in this folder installs what it needs, as .ci/run does.
const interopDir = "testdata/interop"

// need skips the test if something other than Go is missing, with the reason. It fails the test if
// OAUTHCTL_TEST_REQUIRE (comma separated) lists it, as in CI.
func need(t testing.TB, what string, missing string) {
	t.Helper()
	switch {
	case missing == "":
	case slices.Contains(strings.Split(os.Getenv("OAUTHCTL_TEST_REQUIRE"), ","), what):
		t.Fatalf("%s is required by OAUTHCTL_TEST_REQUIRE: %s", what, missing)
	default:
		t.Skipf("needs %s: %s", what, missing)
	}
}

// missingProgram returns why a program cannot be run, or "".
func missingProgram(name string) string {
	if _, err := exec.LookPath(name); err != nil {
		return err.Error()
	}
	return ""
}

// missingNode returns why the servers of testdata/interop cannot run here, or "".
func missingNode() string {
	if _, err := exec.LookPath("node"); err != nil {
		return err.Error()
	}
	// Reading these files also makes `go test` ignore its cached result after they change.
	for _, name := range []string{"server.js", "better-auth.mjs", "workers.mjs"} {
		if _, err := os.Stat(filepath.Join(interopDir, name)); err != nil {
			return err.Error()
		}
	}
	data, err := os.ReadFile(filepath.Join(interopDir, "package.json"))
	var needed struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err == nil {
		err = json.Unmarshal(data, &needed)
	}
	for name, version := range needed.Dependencies {
		var installed struct {
			Version string `json:"version"`
		}
		if data, err = os.ReadFile(filepath.Join(interopDir, "node_modules", name, "package.json")); err == nil {
			err = json.Unmarshal(data, &installed)
		}
		if err != nil || installed.Version != version {
			return fmt.Sprintf("%s %s is not installed: run `npm ci --ignore-scripts --prefix cmd/%s`", name, version, interopDir)
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// startOIDCProvider runs the certified authorization server until the test ends, and returns its issuer.
// The flags are those of testdata/interop/server.js.
func startOIDCProvider(t *testing.T, flags ...string) string {
	t.Helper()
	need(t, "node", missingNode())
	server := exec.Command("node", append([]string{filepath.Join(interopDir, "server.js")}, flags...)...)
	started, _ := startProgram[struct {
		Issuer string `json:"issuer"`
	}](t, server)
	return started.Issuer
}

// startProgram runs a program that prints a line of JSON when it serves, and that ends with its stdin, which is closed
// when the test ends. It returns the line and the stdin.
func startProgram[T any](t *testing.T, server *exec.Cmd) (started T, stdin io.WriteCloser) {
	t.Helper()
	name := filepath.Base(server.Args[len(server.Args)-1])
	var stderr bytes.Buffer
	server.Stderr, server.WaitDelay = &stderr, 5*time.Second
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { _ = server.Process.Kill() })
	t.Cleanup(func() {
		_ = stdin.Close()
		err := server.Wait()
		kill.Stop()
		if err != nil || t.Failed() {
			t.Logf("%s ended: %v\n%s", name, err, stderr.String())
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &started)
	}
	if err != nil {
		t.Fatalf("%s printed %q: %v", name, line, err)
	}
	return started, stdin
}

// getJSON reads a JSON document of the certified server into a value of type T.
func getJSON[T any](t *testing.T, address string) T {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return readJSON[T](t, response)
}

func readJSON[T any](t *testing.T, response *http.Response) T {
	t.Helper()
	var value T
	if err := json.UnmarshalRead(response.Body, &value); err != nil || response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s: %s, %v", response.Request.URL.Path, response.Status, err)
	}
	return value
}

// register registers a client at the certified server (RFC 7591).
func register(t *testing.T, issuer string, metadata map[string]any) (clientID, clientSecret string) {
	t.Helper()
	body, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(issuer+"/reg", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	registered := readJSON[struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}](t, response)
	return registered.ClientID, registered.ClientSecret
}

// The certified server and the scripted browser are tested with other libraries: x/oauth2 runs the code flow, and
// go-jose verifies the tokens.
func TestInteropFixture(t *testing.T) {
	const api = "http://127.0.0.1:7/api"
	issuer := startOIDCProvider(t, "--api", api)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	callback := make(chan url.Values, 1)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		callback <- r.URL.Query()
	}))
	defer client.Close()
	redirectURI := client.URL + "/callback"
	clientID, _ := register(t, issuer, map[string]any{
		"application_type": "native", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token", deviceCode},
	})
	config := oauth2.Config{
		ClientID: clientID, RedirectURL: redirectURI, Scopes: []string{"openid", "offline_access", "items:read"},
		Endpoint: oauth2.Endpoint{
			AuthURL: issuer + "/auth", TokenURL: issuer + "/token", DeviceAuthURL: issuer + "/device/auth",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	resource := oauth2.SetAuthURLParam("resource", api)

	authorize := func(t *testing.T, verifier string) string {
		t.Helper()
		address := config.AuthCodeURL("S", resource, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent"))
		if _, err := clickThrough(ctx, address, person{Login: "alice"}); err != nil {
			t.Fatal(err)
		}
		got := <-callback
		code := got.Get("code")
		got.Del("code")
		if diff := cmp.Diff(url.Values{"state": {"S"}, "iss": {issuer}}, got); diff != "" || code == "" {
			t.Fatalf("authorization response (-want +got), code %q:\n%s", code, diff)
		}
		return code
	}

	t.Run("code flow", func(t *testing.T) {
		verifier := oauth2.GenerateVerifier()
		answer, err := config.Exchange(ctx, authorize(t, verifier), oauth2.VerifierOption(verifier), resource)
		if err != nil {
			t.Fatal(err)
		}
		wantAccessToken(t, issuer, answer.AccessToken, clientID, api)
		renewed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: answer.RefreshToken}).Token()
		if err != nil {
			t.Fatal(err)
		}
		if renewed.AccessToken == answer.AccessToken || renewed.RefreshToken == answer.RefreshToken {
			t.Error("the refresh of a public client rotated nothing")
		}
	})
	t.Run("device flow", func(t *testing.T) {
		device, err := config.DeviceAuth(ctx, resource)
		if err != nil {
			t.Fatal(err)
		}
		last, err := clickThrough(ctx, device.VerificationURIComplete, person{Login: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		// One request, because x/oauth2 would wait for the interval first.
		response, err := http.PostForm(issuer+"/token", url.Values{
			"grant_type": {deviceCode}, "device_code": {device.DeviceCode}, "client_id": {clientID}, "resource": {api},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("token response is %s after the page %q", response.Status, plainText(last.Body))
		}
		answer := readJSON[map[string]any](t, response)
		raw, _ := answer["access_token"].(string)
		wantAccessToken(t, issuer, raw, clientID, api)
	})
	t.Run("wrong verifier", func(t *testing.T) {
		code := authorize(t, oauth2.GenerateVerifier())
		_, err := config.Exchange(ctx, code, oauth2.VerifierOption(oauth2.GenerateVerifier()), resource)
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("exchange with another verifier = %v, want invalid_grant", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		address := config.AuthCodeURL("S", resource, oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
		if _, err := clickThrough(ctx, address, person{Cancel: true}); err != nil {
			t.Fatal(err)
		}
		if got := <-callback; got.Get("error") != "access_denied" || got.Get("state") != "S" {
			t.Errorf("authorization response = %v, want access_denied", got)
		}
	})
}

// wantAccessToken checks an access token of alice with the scope items:read by RFC 9068, with go-jose.
func wantAccessToken(t *testing.T, issuer, raw, clientID, audience string) {
	t.Helper()
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("access token: %v", err)
	}
	claims := map[string]any{}
	if err := parsed.Claims(getJSON[jose.JSONWebKeySet](t, issuer+"/jwks"), &claims); err != nil {
		t.Fatalf("access token: %v", err)
	}
	if got := parsed.Headers[0].ExtraHeaders["typ"]; got != "at+jwt" {
		t.Errorf("typ = %v, want at+jwt", got)
	}
	for _, name := range []string{"exp", "iat", "jti"} {
		if claims[name] == nil {
			t.Errorf("access token has no %s", name)
		}
		delete(claims, name)
	}
	want := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "client_id": clientID, "scope": "items:read"}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("access token's claims (-want +got):\n%s", diff)
	}
}
