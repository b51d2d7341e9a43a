package cmd_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The algorithms that completion offers for --alg, that the metadata announces and that are accepted are the same
// lists.
func TestAlgorithmLists(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	offered := func(command ...string) []string {
		t.Helper()
		if code := w.run(append(append([]string{"__complete"}, command...), "--alg", "")...); code != 0 {
			t.Fatalf("%v: %d %s", command, code, &w.stderr)
		}
		lines := strings.Split(strings.TrimSpace(w.stdout.String()), "\n")
		return lines[:len(lines)-1] // the last is a directive to the shell
	}
	none := filepath.Join(t.TempDir(), "none")
	accepts := map[string]func(alg string) bool{
		"verify": func(alg string) bool {
			_, err := token.NewInspector("", nil, jwks.NewSet(), token.Options{Algorithms: []string{alg}})
			return err == nil
		},
		"generate": func(alg string) bool {
			return w.run("jwks", "generate", "--alg", alg, "--private-out", none+alg) == 0
		},
		"proofs": func(alg string) bool {
			key, err := jwks.Generate(alg)
			if err != nil {
				return false
			}
			_, err = dpop.NewProver(key, dpop.ProverOptions{Now: time.Now})
			return err == nil
		},
	}
	known := map[string]bool{} // RSA keys take long to make
	accepted := func(by, alg string) bool {
		if _, ok := known[by+alg]; !ok {
			known[by+alg] = accepts[by](alg)
		}
		return known[by+alg]
	}
	for _, tt := range []struct {
		name, accepts string
		list          []string
	}{
		{"verify --alg", "verify", offered("verify")},
		{"check --alg", "verify", offered("check")},
		{"jwks generate --alg", "generate", offered("jwks", "generate")},
		{"dev --alg", "proofs", offered("dev")},
		{"dpop_signing_alg_values_supported", "proofs", announcedProofs(t, w.issuer)},
	} {
		if len(tt.list) < 11 {
			t.Errorf("%s: only %q", tt.name, tt.list)
		}
		for _, alg := range append(jwks.Algorithms(), "none", "RS1", "rs256", "HS1024") {
			if got, want := slices.Contains(tt.list, alg), accepted(tt.accepts, alg); got != want {
				t.Errorf("%s: %s is listed: %v, accepted: %v", tt.name, alg, got, want)
			}
		}
	}
}

func announcedProofs(t *testing.T, issuer string) []string {
	t.Helper()
	metadata := getJSON[map[string]any](t, issuer+"/.well-known/oauth-authorization-server")
	var list []string
	for _, v := range metadata["dpop_signing_alg_values_supported"].([]any) {
		list = append(list, v.(string))
	}
	return list
}
