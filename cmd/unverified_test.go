package cmd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// For a token of another environment, the unverified claims are shown, in text, JSON and batch. A check that could not
// be made is not reported as failed.
func TestVerifyShowsUnverifiedClaims(t *testing.T) {
	production, staging := generate(t), generate(t)
	text, err := json.Marshal(jwks.NewSet(production.Public()))
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	write(t, keys, string(text))
	raw, err := token.Sign(staging, "at+jwt", map[string]any{"iss": "https://staging.example", "aud": "api", "exp": time.Now().Add(time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"--jwks", keys, "--issuer", "https://prod.example", "--audience", "api"}
	const hint = "the token claims to be from https://staging.example (not verified), expected https://prod.example"
	code, stdout, stderr := runOffline(t, "", append([]string{"verify", raw}, flags...)...)
	if code != 3 || !strings.HasPrefix(stdout, "not valid\n") || !strings.Contains(stdout, "the token's claims, not verified:") || !strings.Contains(stderr, "hint: "+hint) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for name, args := range map[string][]string{"one": {"verify", raw, "--json"}, "batch": {"verify", "--batch", "--json"}} {
		_, stdout, _ := runOffline(t, raw+"\n", append(args, flags...)...)
		var shown struct {
			Status     string        `json:"status"`
			Unverified []token.Check `json:"unverified"`
			Error      failure       `json:"error"`
		}
		if err := json.Unmarshal([]byte(stdout), &shown, json.RejectUnknownMembers(false)); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		if shown.Status != statusInvalid || len(shown.Unverified) != 1 || shown.Unverified[0].ID != "ISS_MISMATCH" || shown.Error.Hint != hint {
			t.Errorf("%s: %+v", name, shown)
		}
	}
	code, stdout, _ = runOffline(t, "", "verify", raw, "--jwks", "http://127.0.0.1:1/keys")
	if code != 6 || !strings.HasPrefix(stdout, "could not be checked\n") {
		t.Errorf("keys away: exit %d\n%s", code, stdout)
	}
	good, err := token.Sign(production, "at+jwt", map[string]any{"iss": "https://prod.example", "aud": "api", "scp": "read", "cnf": map[string]string{"jkt": "x"}, "exp": time.Now().Add(time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, _ = runOffline(t, "", append([]string{"check", good, "--scope", "write"}, flags...)...)
	if code != 4 || !strings.HasPrefix(stdout, "valid, but does not allow this\n") {
		t.Errorf("denied: exit %d\n%s", code, stdout)
	}
	code, stdout, _ = runOffline(t, "", append([]string{"check", good, "--scope", "read"}, flags...)...)
	if code != 0 || !strings.Contains(stdout, "read, in scp") || !strings.Contains(stdout, "BOUND_TOKEN") {
		t.Errorf("allowed: exit %d\n%s", code, stdout)
	}
	if code, stdout, stderr := runOffline(t, "", append([]string{"verify", good, "-q"}, flags...)...); code != 0 || stdout+stderr != "" {
		t.Errorf("quiet: exit %d %s%s", code, stdout, stderr)
	}
}
