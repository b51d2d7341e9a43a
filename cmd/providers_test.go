package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/provider"
)

// recipe returns the section of docs/providers.md about a provider, and its command.
func recipe(t *testing.T, title string) (section, command string) {
	t.Helper()
	data, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(data), "\n### "+title+"\n")
	if !found {
		t.Fatalf("docs/providers.md has no recipe for %s", title)
	}
	section, _, _ = strings.Cut(section, "\n##")
	commands := readCommands(section)
	if len(commands) != 1 {
		t.Fatalf("%s: %d commands, want one", title, len(commands))
	}
	return section, commands[0].command
}

// startProvider serves the development server in the form of a provider, and returns its issuer, or its URL if it has
// no metadata.
func startProvider(t *testing.T, name string, config devserver.Config) string {
	t.Helper()
	var handler atomic.Value
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.Load().(http.Handler).ServeHTTP(w, r) }))
	t.Cleanup(site.Close)
	config.Issuer, config.API, config.Provider = site.URL+devserver.ProviderIssuer(name), site.URL, name
	server, err := devserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	as, err := server.As(name)
	if err != nil {
		t.Fatal(err)
	}
	handler.Store(as)
	return config.Issuer
}

// Each recipe of docs/providers.md, at a server that behaves like the provider: the first login, the second one, a
// refresh, and the logout. Without a client the command prints the steps with the redirect URI to register.
func TestProviderRecipes(t *testing.T) {
	presets := provider.Presets()
	for _, preset := range presets {
		t.Run(preset.Name, func(t *testing.T) {
			section, command := recipe(t, preset.Title)
			for _, step := range preset.Instructions("") {
				if plain := strings.ReplaceAll(section, "`", ""); !strings.Contains(plain, step) {
					t.Errorf("the recipe lacks the step %q", step)
				}
			}
			const api = "https://api.example.com"
			redirect, sent := preset.Register, ""
			if preset.ExactPort {
				redirect = strings.Replace(preset.Register, "8976", freePorts(t, "redirect")["redirect"], 1)
				sent = redirect
			}
			client := devserver.Client{ID: "recipe", RedirectURIs: []string{redirect}}
			if redirect == "" {
				client.RedirectURIs = []string{"http://127.0.0.1"}
			}
			if preset.Secret != provider.SecretNone {
				client.Secret = "of-the-recipe"
			}
			issuer := startProvider(t, preset.Name, devserver.Config{
				Clients: []devserver.Client{client}, Resources: []string{api}, RefreshTokens: refreshesOf(preset.Name),
				Scopes: []string{"read:user", "read_user", "api://API/SCOPE", "API/SCOPE"},
			})
			w := newWorld(t, devserver.Config{})
			w.getenv["OAUTHCTL_REDIRECT_URI"] = sent
			secretFile := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secretFile, []byte("of-the-recipe\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := commandArgs(command, map[string]string{
				preset.Issuer: issuer, "ID": "recipe", "FILE": secretFile, "API": api,
			})
			if preset.DefaultIssuer != "" {
				args = append(args, issuer)
			}
			for _, login := range []string{"first", "second"} {
				if code := w.run(append(args, "--browser", "--login-timeout", "5s")...); code != 0 {
					t.Fatalf("%s login: %d\n%s", login, code, &w.stderr)
				}
			}
			if code := w.run("status"); code != 0 {
				t.Errorf("status: %d\n%s", code, &w.stderr)
			}
			if code := w.run("token", "--refresh"); (code == 0) != (refreshesOf(preset.Name) != devserver.RefreshNever) {
				t.Errorf("refresh: %d\n%s", code, &w.stderr)
			}
			if code := w.run("logout"); code != 0 && preset.Endpoints == nil {
				t.Errorf("logout: %d\n%s", code, &w.stderr)
			}
			if code := w.run("login", "--browser", "--login-timeout", "5s"); code != 0 {
				t.Errorf("login after the logout, without a flag: %d\n%s", code, &w.stderr)
			}
			without := newWorld(t, devserver.Config{})
			if code := without.run("login", "--provider", preset.Name, issuer, "--browser"); code != 2 || !strings.Contains(without.stderr.String(), preset.Instructions("")[1]) {
				t.Errorf("without a client: %d, want 2 and the steps\n%s", code, &without.stderr)
			}
		})
	}
}

// refreshesOf returns when a provider issues refresh tokens: Keycloak and others at each login, an OAuth app of GitHub
// never.
func refreshesOf(name string) devserver.RefreshTokens {
	switch name {
	case "keycloak", "gitlab", "cognito":
		return devserver.RefreshAlways
	case "github":
		return devserver.RefreshNever
	}
	return devserver.RefreshWithOfflineAccess
}

// commandArgs splits a documented command and replaces its placeholders with real values.
func commandArgs(command string, values map[string]string) []string {
	var args []string
	for _, part := range strings.Split(command, `"`) {
		if len(args) > 0 && strings.HasSuffix(args[len(args)-1], "\x00") {
			args[len(args)-1] = part
			continue
		}
		args = append(args, strings.Fields(part)...)
		args = append(args, "\x00")
	}
	args = args[1:] // the program
	var filled []string
	for _, arg := range args {
		if value, ok := values[arg]; ok {
			arg = value
		}
		if arg != "\x00" {
			filled = append(filled, arg)
		}
	}
	return filled
}
