package cmd_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// The shell completes profiles and the values of flags.
func TestCompletion(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	w.run("profile", "set", "api=https://api.example.com", "-p", "staging")
	for line, want := range map[string]string{
		"token -p ":             "staging",
		"-p ":                   "staging",
		"call ":                 "DELETE",
		"explain ":              "EXPIRED",
		"token --format ":       "exec-credential",
		"login --store ":        "keyring",
		"login --auth-method ":  "private_key_jwt",
		"login --grant-type ":   "device_code",
		"dev --fault ":          "jwks-hang",
		"jwks generate --alg ":  "ES256",
		"completion ":           "powershell",
		"profile use ":          "staging",
		"ex":                    "exec",
		"call GET / --pag":      "--paginate",
		"login --grant-type cl": "client_credentials",
	} {
		args := strings.Split(line, " ")
		if code := w.run(append([]string{"__complete"}, args...)...); code != 0 || !bytes.Contains(w.stdout.Bytes(), []byte(want)) {
			t.Errorf("%q: %d\n%s%s", line, code, &w.stdout, &w.stderr)
		}
	}
}
