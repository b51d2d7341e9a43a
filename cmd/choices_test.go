package cmd_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A value that a setting cannot have is refused before anything is sent, whether
// it is in a flag, a variable or a profile; a value that it can have is used.
func TestSettingsAreCheckedBeforeTheNetwork(t *testing.T) {
	commands := map[string][]string{
		"login":      {"login", "--client-id", "x", "--no-browser"},
		"verify":     {"verify", "eyJhbGciOiJFUzI1NiJ9.e30.AA"},
		"introspect": {"introspect", "9f2c", "--client-id", "x"},
		"token":      {"token"},
		"userinfo":   {"userinfo"},
	}
	for _, tt := range []struct{ key, right, wrong string }{
		{"auth_method", "client_secret_post", "client_secret_header"},
		{"auth_method", "none", "None"},
		{"grant_type", "client_credentials", "password"},
		{"store", "memory", "disk"},
	} {
		for name, args := range commands {
			for _, from := range []string{"variable", "profile", "flag"} {
				flag := "--" + strings.ReplaceAll(tt.key, "_", "-")
				if from == "flag" && name != "login" && (name != "introspect" || tt.key != "auth_method") {
					continue
				}
				for _, value := range []string{tt.right, tt.wrong} {
					network := newLedger()
					w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{}, network: network}
					w.getenv["OAUTHCTL_ISSUER"] = "http://127.0.0.1:1"
					w.getenv["OAUTHCTL_CLIENT_ID"], w.getenv["OAUTHCTL_CLIENT_SECRET"] = "x", "env:SECRET"
					w.getenv["SECRET"] = "s3cret-of-the-client"
					line := args
					switch from {
					case "variable":
						w.getenv["OAUTHCTL_"+strings.ToUpper(tt.key)] = value
					case "profile":
						config := filepath.Join(w.home, "profiles.yaml")
						write(t, config, fmt.Sprintf("profiles:\n  default:\n    %s: %s\n", tt.key, value), 0o600)
						line = append(append([]string{}, args...), "--config", config)
					case "flag":
						line = append(append([]string{}, args...), flag, value)
					}
					code := w.run(line...)
					said := w.stderr.String()
					switch {
					case value == tt.wrong && (code != 2 || len(network.sent) != 0 || !strings.Contains(said, tt.right)):
						t.Errorf("%s, %s %s=%s: exit %d, requests to %d servers, want 2, none and the values\n%s", name, from, tt.key, value, code, len(network.sent), said)
					case value == tt.right && name != "userinfo" && len(network.sent) == 0:
						t.Errorf("%s, %s %s=%s: exit %d, no request\n%s", name, from, tt.key, value, code, said)
					}
				}
			}
		}
		w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{}}
		if code := w.run("profile", "set", tt.key+"="+tt.wrong); code != 2 || !strings.Contains(w.stderr.String(), tt.right) {
			t.Errorf("profile set %s=%s: exit %d %s", tt.key, tt.wrong, code, &w.stderr)
		}
		if code := w.run("profile", "set", tt.key+"="+tt.right); code != 0 {
			t.Errorf("profile set %s=%s: exit %d %s", tt.key, tt.right, code, &w.stderr)
		}
	}
}
