package cmd_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A login at another server uses none of the first server's credentials there, and keeps the settings of this machine.
func TestLoginAtAnotherServer(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	set := []string{
		"profile", "set", "issuer=https://first.example.com", "token_endpoint=https://first.example.com/token", "client_id=at-first",
		"client_assertion=@first.jwt", "client_secret=env:FIRST", "scope=first", "store=file",
	}
	if code := w.run(set...); code != 0 {
		t.Fatalf("exit %d: %s", code, &w.stderr)
	}
	if code := w.run("profile", "show", "--json"); code != 0 || strings.Count(w.stdout.String(), "first") < 5 {
		t.Fatalf("positive control failed: exit %d, %s", code, &w.stdout)
	}
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("exit %d: %s", code, &w.stderr)
	}
	w.run("profile", "show", "--json")
	shown := w.stdout.String()
	if strings.Contains(shown, "first") || strings.Contains(shown, "FIRST") || !strings.Contains(shown, w.issuer) || !strings.Contains(shown, `"file"`) {
		t.Errorf("the profile is now %s", shown)
	}
}
