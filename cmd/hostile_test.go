package cmd_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Characters that must not be printed: control characters other than line breaks, and characters that reverse text.
var unsafeOnScreen = regexp.MustCompile("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e\u2066-\u2069]")

const escapes = "\x1b[2J\x1b]0;owned\x07\u202e"

// bomb is 200 MB of blanks, compressed to a few hundred kilobytes.
func bomb(t *testing.T) http.HandlerFunc {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	blank := bytes.Repeat([]byte(" "), 1<<20)
	for range 200 {
		if _, err := z.Write(blank); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
}

func at(path string, h http.HandlerFunc) func(*hostileServer) {
	return func(s *hostileServer) { s.serve = map[string]http.HandlerFunc{path: h} }
}

func claim(name string, value any) func(*hostileServer) {
	return func(s *hostileServer) { s.idToken = func(c map[string]any) { c[name] = value } }
}

func answers(name string, value any) func(*hostileServer) {
	return func(s *hostileServer) { s.answer = func(m map[string]any) { m[name] = value } }
}

func metadata(name string, value any) func(*hostileServer) {
	return func(s *hostileServer) { s.metadata = func(m map[string]any) { m[name] = value } }
}

func redirects(name, value string) func(*hostileServer) {
	return func(s *hostileServer) {
		s.redirect = func(q url.Values) { q.Set(name, strings.ReplaceAll(value, "ISSUER", s.URL)) }
	}
}

func forges(f func(*hostileServer, map[string]any, map[string]any) string) func(*hostileServer) {
	return func(s *hostileServer) { s.forge = f }
}

const (
	metadataPath = "/.well-known/openid-configuration"
	iss          = "authorization_response_iss_parameter_supported"
)

// For each fault of a server, the login ends with its exit code and one line of message, stores nothing, is limited in
// time and memory, and prints no control characters. Exit code 0 marks the positive controls.
func TestHostileServer(t *testing.T) {
	packed := bomb(t)
	later := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name string
		code int
		id   string
		turn func(*hostileServer)
	}{
		{"as it should be", 0, "", nil},

		{"id token: alg none", 7, "ID_TOKEN_INVALID", forges(unsigned)},
		{"id token: alg confusion", 7, "ID_TOKEN_INVALID", forges(confused)},
		{"id token: another key", 7, "ID_TOKEN_INVALID", forges(strange)},
		{"id token: unknown kid", 7, "ID_TOKEN_INVALID", func(s *hostileServer) {
			s.forge = func(s *hostileServer, h, c map[string]any) string { h["kid"] = "other"; return strange(s, h, c) }
		}},
		{"id token: no JWT", 7, "ID_TOKEN_INVALID", answers("id_token", "opaque")},
		{"id token: none", 7, "ID_TOKEN_MISSING", func(s *hostileServer) { s.answer = func(m map[string]any) { delete(m, "id_token") } }},
		{"id token: iss", 7, "ID_TOKEN_INVALID", claim("iss", "https://evil.example")},
		{"id token: no iss", 7, "ID_TOKEN_INVALID", claim("iss", nil)},
		{"id token: aud", 7, "ID_TOKEN_INVALID", claim("aud", "other")},
		{"id token: no aud", 7, "ID_TOKEN_INVALID", claim("aud", nil)},
		{"id token: several aud without azp", 0, "", claim("aud", []string{hostileClient, "other"})},
		{"id token: several aud, azp another", 7, "ID_TOKEN_INVALID", func(s *hostileServer) {
			s.idToken = func(c map[string]any) { c["aud"], c["azp"] = []string{hostileClient, "other"}, "other" }
		}},
		{"id token: several aud of others", 7, "ID_TOKEN_INVALID", claim("aud", []string{"web", "other"})},
		{"id token: sub a list", 7, "ID_TOKEN_INVALID", claim("sub", []string{"alice"})},
		{"id token: sub a number", 7, "ID_TOKEN_INVALID", claim("sub", 7)},
		{"id token: sub empty", 7, "ID_TOKEN_INVALID", claim("sub", "")},
		{"id token: azp", 7, "ID_TOKEN_INVALID", claim("azp", "other")},
		{"id token: several aud with azp", 0, "", func(s *hostileServer) {
			s.idToken = func(c map[string]any) { c["aud"], c["azp"] = []string{hostileClient, "other"}, hostileClient }
		}},
		{"id token: exp", 7, "ID_TOKEN_INVALID", claim("exp", later(-time.Hour))},
		{"id token: no exp", 7, "ID_TOKEN_INVALID", claim("exp", nil)},
		{"id token: iat to come", 7, "ID_TOKEN_INVALID", claim("iat", later(time.Hour))},
		{"id token: no sub", 7, "ID_TOKEN_INVALID", claim("sub", nil)},
		{"id token: nonce", 7, "NONCE_MISMATCH", claim("nonce", "other")},
		{"id token: no nonce", 7, "NONCE_MISMATCH", claim("nonce", nil)},
		{"id token: at_hash", 7, "ID_TOKEN_INVALID", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"id token: no kid, one key", 0, "", func(s *hostileServer) {
			s.forge = func(s *hostileServer, h, c map[string]any) string {
				delete(h, "kid")
				s.forge = nil
				return s.sign(c)
			}
		}},
		{"id token: escapes in the name", 0, "", claim("preferred_username", "al"+escapes+"ice")},

		{"metadata: another issuer", 7, "ISS_DISCOVERY_MISMATCH", metadata("issuer", "https://evil.example")},
		{"metadata: issuer with a slash", 7, "ISS_SLASH", func(s *hostileServer) { s.metadata = func(m map[string]any) { m["issuer"] = s.URL + "/" } }},
		{"metadata: HTML", 2, "METADATA_NOT_FOUND", at(metadataPath, answerText(200, "text/html", "<html>"+escapes))},
		{"metadata: 300 MB", 6, "", at(metadataPath, huge)},
		{"metadata: gzip bomb", 6, "", at(metadataPath, packed)},
		{"metadata: hang", 6, "", at(metadataPath, hang)},
		{"metadata: elsewhere", 7, "REDIRECT_REFUSED", at(metadataPath, redirectTo(302, "https://evil.example/"))},
		{"metadata: javascript:", 7, "METADATA_INVALID", metadata("authorization_endpoint", "javascript:alert(1)")},
		{"metadata: file:", 7, "METADATA_INVALID", metadata("authorization_endpoint", "file:///etc/passwd")},
		{"metadata: token endpoint over http", 7, "INSECURE_ENDPOINT", metadata("token_endpoint", "http://evil.example/token")},
		{"metadata: no token endpoint", 7, "METADATA_INVALID", metadata("token_endpoint", "")},
		{"metadata: token endpoint null", 7, "METADATA_INVALID", metadata("token_endpoint", nil)},
		{"metadata: token endpoint a list", 7, "METADATA_INVALID", metadata("token_endpoint", []string{"x"})},
		{"metadata: an unused endpoint relative", 0, "", metadata("registration_endpoint", "/connect/register")},
		{"metadata: a text for a list", 0, "", metadata("response_types_supported", "code")},
		{"metadata: PKCE in an object", 0, "", metadata("code_challenge_methods_supported", map[string]any{"plain": true})},
		{"metadata: iss promised as a text", 7, "ISS_PARAM", metadata("authorization_response_iss_parameter_supported", "true")},
		{"metadata: keys at a script", 7, "METADATA_INVALID", metadata("jwks_uri", "javascript:alert(1)")},
		{"metadata: PKCE plain only", 7, "PKCE_DOWNGRADE", metadata("code_challenge_methods_supported", []string{"plain"})},
		{"metadata: PKCE not announced", 0, "", func(s *hostileServer) {
			s.metadata = func(m map[string]any) { delete(m, "code_challenge_methods_supported") }
		}},

		{"redirect: another iss", 7, "ISS_PARAM", redirects("iss", "https://evil.example")},
		{"redirect: iss announced and missing", 7, "ISS_PARAM", metadata(iss, true)},
		{"redirect: iss not announced, right", 0, "", redirects("iss", "ISSUER")},
		{"redirect: more parameters", 0, "", redirects("session_state", escapes)},
		{"redirect: another state", 7, "STATE_MISMATCH", redirects("state", "other")},
		{"redirect: denied", 5, "ACCESS_DENIED", redirects("error", "access_denied")},
		{"redirect: denied with escapes", 5, "ACCESS_DENIED", func(s *hostileServer) {
			s.redirect = func(q url.Values) {
				q.Set("error", "access_denied")
				q.Set("error_description", escapes+strings.Repeat("x", 1000))
			}
		}},
		{"redirect: denied by another", 7, "ISS_PARAM", func(s *hostileServer) {
			s.redirect = func(q url.Values) { q.Set("error", "access_denied"); q.Set("iss", "https://evil.example") }
		}},

		{"token: error null", 0, "", answers("error", nil)},
		{"token: error empty", 0, "", answers("error", "")},
		{"token: an error object", 7, "TOKEN_ENDPOINT_SHAPE", answers("error", map[string]any{"a": 1})},
		{"token: its own words, with escapes", 2, "REQUEST_REFUSED", at("/token", answerJSON(400, `{"message":"\u001b[2J"}`))},
		{"token: access_token twice", 7, "TOKEN_ENDPOINT_SHAPE", at("/token", answerJSON(200, `{"access_token":"a","access_token":"b","token_type":"Bearer"}`))},
		{"token: {}", 7, "TOKEN_ENDPOINT_SHAPE", at("/token", answerJSON(200, "{}"))},
		{"token: a list", 7, "TOKEN_ENDPOINT_SHAPE", at("/token", answerJSON(200, "[]"))},
		{"token: HTML", 7, "TOKEN_ENDPOINT_SHAPE", at("/token", answerText(200, "text/html", "<html>"+escapes))},
		{"token: 300 MB", 6, "RESPONSE_TOO_LARGE", at("/token", huge)},
		{"token: gzip bomb", 6, "RESPONSE_TOO_LARGE", at("/token", packed)},
		{"token: hang", 6, "TIMEOUT", at("/token", hang)},
		{"token: a byte a second", 6, "TIMEOUT", at("/token", trickle)},
		{"token: reset", 6, "", at("/token", breakOff)},
		{"token: 302", 7, "REDIRECT_REFUSED", at("/token", redirectTo(302, "HERE/other"))},
		{"token: 307", 7, "REDIRECT_REFUSED", at("/token", redirectTo(307, "HERE/other"))},
		{"token: 308 elsewhere", 7, "REDIRECT_REFUSED", at("/token", redirectTo(308, "https://evil.example/token"))},
		{"token: 500", 6, "SERVER_ERROR", at("/token", answerText(500, "text/plain", escapes))},
		{"token: 429", 6, "RATE_LIMITED", at("/token", answerText(429, "text/plain", ""))},
		{"token: 200 with an error", 5, "GRANT_INVALID", at("/token", answerJSON(200, `{"error":"invalid_grant"}`))},
		{"token: error with escapes", 2, "", at("/token", answerJSON(400, `{"error":"invalid_client","error_description":"\u001b[2J\u202e`+strings.Repeat("x", 1000)+`"}`))},
		{"token: type mac", 7, "", answers("token_type", "mac")},
		{"token: no type", 7, "TOKEN_ENDPOINT_SHAPE", func(s *hostileServer) { s.answer = func(m map[string]any) { delete(m, "token_type") } }},
		{"token: type in capitals", 0, "", answers("token_type", "BEARER")},
		{"token: bound, not asked for", 7, "", answers("token_type", "DPoP")},
		{"token: a number", 7, "TOKEN_ENDPOINT_SHAPE", answers("access_token", 7)},
		{"token: empty", 7, "TOKEN_ENDPOINT_SHAPE", answers("access_token", "")},
		{"token: with a line break", 7, "TOKEN_ENDPOINT_SHAPE", answers("access_token", "a\r\nX-Evil: 1")},
		{"token: in a member", 7, "TOKEN_ENDPOINT_SHAPE", nests("user\x1b[2J", "Bearer")},
		{"token: lives for ever", 0, "", answers("expires_in", 1e300)},
		{"token: no expiry", 0, "", func(s *hostileServer) { s.answer = func(m map[string]any) { delete(m, "expires_in") } }},
		{"token: unknown members", 0, "", answers("x", map[string]any{"y": escapes})},
		{"token: escapes in the scope", 0, "", answers("scope", "openid "+escapes)},

		{"keys: 500", 6, "KEYS_UNAVAILABLE", at("/jwks", answerText(500, "text/plain", ""))},
		{"keys: HTML", 6, "", at("/jwks", answerText(200, "text/html", "<html>"))},
		{"keys: none", 7, "", at("/jwks", answerJSON(200, `{"keys":[]}`))},
		{"keys: 300 MB", 6, "", at("/jwks", huge)},
		{"keys: elsewhere", 6, "", at("/jwks", redirectTo(302, "https://evil.example/jwks"))},

		{"registration: {}", 7, "", registers(answerJSON(201, "{}"))},
		{"registration: refused with escapes", 2, "DCR_REFUSED", registers(answerJSON(400, `{"error":"invalid_client_metadata","error_description":"\u001b[2J"}`))},
		{"registration: a number for the id", 7, "", registers(answerJSON(201, `{"client_id":7}`))},
		{"registration: escapes in the id", 0, "", registers(answerJSON(201, `{"client_id":"app\u001b[2J"}`))},
		{"registration: hang", 6, "TIMEOUT", registers(hang)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hostileLogin(t, startHostileServer(t, tt.turn), tt.code, tt.id)
		})
	}
}

func registers(h http.HandlerFunc) func(*hostileServer) {
	return func(s *hostileServer) {
		s.serve = map[string]http.HandlerFunc{"/register": h}
		s.metadata = func(m map[string]any) { m["registration_endpoint"] = s.URL + "/register" }
		s.idToken = func(c map[string]any) { c["aud"] = "app\x1b[2J" }
	}
}

// nests puts the tokens of a response into a member.
func nests(member, kind string) func(*hostileServer) {
	return func(s *hostileServer) {
		s.answer = func(m map[string]any) {
			inner := maps.Clone(m)
			inner["token_type"] = kind
			clear(m)
			m[member] = inner
		}
	}
}

// A server that nests its tokens and has its own token type can be used with two settings, and the error messages show
// them.
func TestNestedTokens(t *testing.T) {
	s := startHostileServer(t, nests("authed_user", "user"))
	home := t.TempDir()
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, err := runProcess(t, home, args...)
		if err != nil || got.code != code || !strings.Contains(got.stdout+got.stderr, want) || got.stdout == "" && strings.Contains(got.stderr, "c4n4ry") {
			t.Fatalf("%v: %v, exit code %d, want %d and %q\n%s%s", args, err, got.code, code, want, got.stdout, got.stderr)
		}
	}
	login := []string{"login", s.URL, "--browser", "--client-id", hostileClient, "--scope", "openid", "--timeout", "5s"}
	run(7, "oauthctl profile set token_member=authed_user", login...)
	run(0, "", "profile", "set", "issuer="+s.URL, "token_member=authed_user")
	run(7, "oauthctl profile set assume_bearer=true", login...)
	run(0, "", "profile", "set", "assume_bearer=true")
	run(0, "alice", login...)
	run(0, canary("access"), "token")
	run(0, canary("access"), "token", "--refresh")
}

// hostileLogin runs the login in a separate process.
func hostileLogin(t *testing.T, s *hostileServer, code int, id string) {
	t.Helper()
	home := t.TempDir()
	args := []string{"login", s.URL, "--browser", "--scope", "openid", "--login-timeout", "3s", "--timeout", "2s", "-v"}
	if s.serve["/register"] == nil {
		args = append(args, "--client-id", hostileClient)
	}
	got, err := runProcess(t, home, args...)
	if err != nil {
		t.Fatal(err)
	}
	if got.code != code || !strings.Contains(got.stderr, id) {
		t.Errorf("exit code %d, want %d %s\n%s", got.code, code, id, got.stderr)
	}
	stored, err := filepath.Glob(filepath.Join(home, "state", "oauthctl", "*.json"))
	if err != nil || (len(stored) == 1) != (code == 0) {
		t.Errorf("stored %v, %v", stored, err)
	}
	if bad := unsafeOnScreen.FindString(got.stderr); bad != "" || got.stdout != "" {
		t.Errorf("%q on the screen, stdout %q\n%q", bad, got.stdout, got.stderr)
	}
	failures := 0
	for line := range strings.Lines(got.stderr) {
		if rest, ok := strings.CutPrefix(line, "oauthctl: "); ok && !strings.HasPrefix(rest, "hint: ") && !strings.HasPrefix(rest, "see: ") && !strings.HasPrefix(rest, "warning: ") {
			failures++
			if len(line) > 600 {
				t.Errorf("a line of %d bytes: %s", len(line), line)
			}
		}
	}
	if want := min(code, 1); failures != want {
		t.Errorf("%d lines tell of a failure, want %d\n%s", failures, want, got.stderr)
	}
	if id == "ENDPOINT_MISSING" && strings.Contains(got.stderr, "Log in here") {
		t.Error("somebody was sent to a server that could give no token")
	}
	if strings.Contains(got.stderr, "c4n4ry") {
		t.Errorf("a token on the screen:\n%s", got.stderr)
	}
	wantNoCanary(t, home)
	// A code cannot be sent again, so the command waits for its response for half a minute.
	if got.took > 35*time.Second && !raceEnabled {
		t.Errorf("it took %s", got.took)
	}
	if (got.peak > 64<<20 || got.peak == 0 && runtime.GOOS == "linux") && !raceEnabled {
		t.Errorf("peak memory %d MB", got.peak>>20)
	}
}

// A processOutcome is the result of a process.
type processOutcome struct {
	outcome
	took time.Duration
	peak int64 // in bytes; 0 if the system does not report it
}

// readPeak returns the value that a process wrote with notePeak, or 0 if it wrote none or was killed.
func readPeak(file string) int64 {
	text, _ := os.ReadFile(file)
	peak, _ := strconv.ParseInt(string(text), 10, 64)
	return peak
}

// runProcess runs the program in a separate process, with a home directory and nothing else of this environment.
func runProcess(t *testing.T, home string, args ...string) (processOutcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "oauthctl", args...)
	peak := filepath.Join(t.TempDir(), "peak")
	c.Env = []string{
		"TEST_PEAK=" + peak, "PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
	}
	if browser := os.Getenv("BROWSER"); browser != "" {
		c.Env = append(c.Env, "BROWSER="+browser)
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	c.WaitDelay = 5 * time.Second
	start := time.Now()
	err := c.Run()
	if c.ProcessState == nil {
		return processOutcome{}, fmt.Errorf("the process did not start: %w", err)
	}
	return processOutcome{outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}, time.Since(start), readPeak(peak)}, nil
}

// A token endpoint on another host receives no refresh token.
func TestHostileServerMovesTheTokenEndpoint(t *testing.T) {
	s := startHostileServer(t, nil)
	home := t.TempDir()
	run := func(args ...string) processOutcome {
		t.Helper()
		got, err := runProcess(t, home, args...)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := run("login", s.URL, "--browser", "--client-id", hostileClient, "--scope", "openid"); got.code != 0 {
		t.Fatalf("login: %d\n%s", got.code, got.stderr)
	}
	if got := run("token", "--refresh"); got.code != 0 {
		t.Errorf("token: %d\n%s", got.code, got.stderr)
	}
	elsewhere := startHostileServer(t, nil)
	s.turn(metadata("token_endpoint", elsewhere.URL+"/token"))
	if got := run("token", "--refresh"); got.code != 7 || !strings.Contains(got.stderr, "ENDPOINT_MOVED") || elsewhere.granted > 0 {
		t.Errorf("token: %d, %d requests elsewhere\n%s", got.code, elsewhere.granted, got.stderr)
	}
	s.turn(func(s *hostileServer) { s.metadata = nil })
	if got := run("token", "--refresh"); got.code != 0 {
		t.Errorf("the session is gone: %d\n%s", got.code, got.stderr)
	}
}
