package cmd_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A command that reads a token from a terminal says so on stderr; without a terminal it prints nothing. If no token is
// given and none is stored, the hint mentions that a token can be given.
func TestTokenFromATerminal(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("jwks", "generate", "--alg", "EdDSA", "--private-out", w.home+"/key.jwk"); code != 0 {
		t.Fatal(&w.stderr)
	}
	keys := writeFile(t, "keys.json", w.stdout.String())
	if code := w.run("sign", "--key", w.home+"/key.jwk", "--claim", "scope=a"); code != 0 {
		t.Fatal(&w.stderr)
	}
	raw := w.stdout.String()
	for _, args := range [][]string{
		{"decode", "-"}, {"verify", "-", "--jwks", keys}, {"check", "-", "--jwks", keys, "--scope", "a"},
	} {
		w.terminal, w.stdin = strings.NewReader(raw), ""
		if code := w.run(args...); code != 0 || !strings.Contains(w.stderr.String(), "Paste a token") {
			t.Errorf("%v on a terminal: %d, %s", args, code, &w.stderr)
		}
		w.terminal, w.stdin = nil, raw
		if code := w.run(args...); code != 0 || w.stderr.Len() > 0 {
			t.Errorf("%v from a pipe: %d, %s", args, code, &w.stderr)
		}
	}
	w.terminal = strings.NewReader(raw)
	if code := w.run("verify", "--batch", "--jwks", keys); code != 0 || !strings.Contains(w.stderr.String(), "one token per line") {
		t.Errorf("a batch on a terminal: %d, %s", code, &w.stderr)
	}
	w.terminal = nil
	for _, verb := range []string{"decode", "verify", "introspect"} {
		if code := w.run(verb); code != 5 || !strings.Contains(w.stderr.String(), "@FILE") {
			t.Errorf("%s without a token: %d, %s", verb, code, &w.stderr)
		}
	}
}
