package cmd

import (
	"strings"
	"testing"
)

// No message shows a token that was given in the wrong place.
func TestNoMessageShowsAToken(t *testing.T) {
	const jwt = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhbGljZSIsImlzcyI6Imh0dHBzOi8vYXMuZXhhbXBsZSJ9.c2lnbmF0dXJlLWlzLWhlcmU"
	const opaque = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	const random = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for name, args := range map[string][]string{
		"two arguments":   {"decode", "token", "TOKEN"},
		"the word Bearer": {"verify", "Bearer", "TOKEN"},
		"a command":       {"TOKEN"},
		"explain":         {"explain", "TOKEN"},
		"a header":        {"call", "GET", "/x", "-H", "Authorization Bearer TOKEN"},
		"a claim":         {"check", "x", "--claim", "TOKEN"},
		"an operation":    {"check", "x", "--policy", "p.yaml", "--operation", "TOKEN"},
		"an algorithm":    {"verify", "x", "--alg", "TOKEN"},
		"a kind":          {"verify", "x", "--accept", "TOKEN"},
		"a time":          {"verify", "x", "--at", "TOKEN"},
		"a flag":          {"verify", "--TOKEN"},
		"a profile":       {"verify", "-p", "TOKEN"},
		"a file":          {"verify", "x", "--jwks", "TOKEN"},
		"JSON":            {"decode", "token", "TOKEN", "--json"},
		"jwks":            {"jwks", "TOKEN"},
	} {
		for _, token := range []string{jwt, opaque, random} {
			if token == random && name != "two arguments" && name != "a command" && name != "jwks" {
				continue // the name does not show that this is a secret
			}
			given := make([]string, len(args))
			for i, arg := range args {
				given[i] = strings.ReplaceAll(arg, "TOKEN", token)
			}
			code, stdout, stderr := runOffline(t, "", given...)
			if code == 0 || code == 1 {
				t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
			}
			if all := stdout + stderr; strings.Contains(all, token[len(token)-12:]) || strings.Contains(all, token[8:24]) {
				t.Errorf("%s shows the token:\n%s", name, all)
			}
		}
	}
	for text, want := range map[string]string{
		"got " + jwt + ", x": "got eyJh… (a token), x", "a normal message about eyJ": "a normal message about eyJ", "kid ghp_1": "kid ghp_1",
	} {
		if got := maskTokens(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	_, _, stderr := runOffline(t, "", "verify", "Bearer", jwt)
	if !strings.Contains(stderr, "leave out the word") {
		t.Error(stderr)
	}
}
