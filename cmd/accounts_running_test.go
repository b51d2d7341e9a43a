package cmd_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// otherTerminal returns a copy of the world for another terminal of the same user.
func (w *world) otherTerminal() *world {
	return &world{t: w.t, issuer: w.issuer, api: w.api, home: w.home, browse: w.browse, getenv: map[string]string{}, now: w.now}
}

// changed is an API whose first response makes the client send the request again. Before it responds, a function
// changes something.
type changed struct {
	*httptest.Server
	mu      sync.Mutex
	tokens  []string
	during  func()
	answers func(n int, w http.ResponseWriter)
}

func newChanged(t *testing.T, answers func(n int, w http.ResponseWriter)) *changed {
	t.Helper()
	c := &changed{answers: answers}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.tokens = append(c.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		n, during := len(c.tokens), c.during
		c.mu.Unlock()
		if n == 1 && during != nil {
			during()
		}
		c.answers(n, w)
	}))
	t.Cleanup(c.Close)
	return c
}

// If another terminal selects another profile, changes this one or deletes it while a command runs, the command keeps
// its profile, its API and its session.
func TestRunningCommandKeepsItsProfile(t *testing.T) {
	const page = `[{"id":1}]`
	commands := map[string]struct {
		args    []string
		answers func(n int, w http.ResponseWriter)
	}{
		"--retry": {[]string{"call", "GET", "/x", "--retry", "1"}, func(n int, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}},
		"--paginate": {[]string{"call", "GET", "/x", "--paginate"}, func(n int, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("Link", `</x?page=2>; rel="next"`)
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, page)
		}},
		"the renewal after a 401": {[]string{"call", "GET", "/x"}, func(n int, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		}},
		"--stream": {[]string{"call", "GET", "/x", "--stream", "--reconnect", "--retry", "1"}, func(n int, w http.ResponseWriter) {
			if n > 2 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "retry: 1\nid: %d\ndata: {}\n\n", n)
		}},
	}
	for name, command := range commands {
		for what, change := range map[string]func(w *world, b *changed){
			"another current profile": func(w *world, _ *changed) { w.run("profile", "use", "b") },
			"another API":             func(w *world, b *changed) { w.run("profile", "set", "api="+b.URL, "-p", "a") },
			"another issuer":          func(w *world, b *changed) { w.run("profile", "set", "issuer="+b.URL, "-p", "a") },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				w, other := newWorld(t, devserver.Config{}), newWorld(t, devserver.Config{})
				a, b := newChanged(t, command.answers), newChanged(t, command.answers)
				for profile, login := range map[string][]string{"a": {w.issuer, "--api", a.URL}, "b": {other.issuer, "--api", b.URL}} {
					if code := w.run(append([]string{"login", "--browser", "-p", profile, "--scope", "openid", "--scope", "offline_access"}, login...)...); code != 0 {
						t.Fatalf("login: %d\n%s", code, &w.stderr)
					}
				}
				w.run("profile", "use", "a")
				foreign := sessionSecrets(t, w, "b")["access_token"]
				a.during = func() { change(w.otherTerminal(), b) }
				if code := w.run(append(command.args, "--timeout", "5s")...); code != 0 {
					t.Errorf("%v: %d\n%s", command.args, code, &w.stderr)
				}
				if len(a.tokens) < 2 || len(b.tokens) > 0 {
					t.Errorf("%d requests at its own API and %d at the other", len(a.tokens), len(b.tokens))
				}
				for _, token := range a.tokens {
					if token == foreign || token == "" {
						t.Error("the API got the token of another profile")
					}
				}
			})
		}
	}
}

// After 20 concurrent logins and 20 changes of profiles, all are stored.
func TestParallelLoginsAndChanges(t *testing.T) {
	w := newWorld(t, devserver.Config{AutoApprove: true})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			login := w.otherTerminal()
			login.browse = visitPage
			if code := login.run("login", login.api, "--browser", "-p", fmt.Sprintf("login%d", i)); code != 0 {
				t.Errorf("login: %d\n%s", code, &login.stderr)
			}
		})
		all.Go(func() {
			set := w.otherTerminal()
			if code := set.run("profile", "set", fmt.Sprintf("scope=s%d", i), "-p", fmt.Sprintf("set%d", i)); code != 0 {
				t.Errorf("profile set: %d\n%s", code, &set.stderr)
			}
		})
	}
	all.Wait()
	f, err := profile.Load(filepath.Join(w.home, "config", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Names()); got != 40 {
		t.Errorf("%d profiles, want 40", got)
	}
	for i := range 20 {
		if values, _ := f.Values(fmt.Sprintf("set%d", i)); values[profile.Scope] != fmt.Sprintf("s%d", i) {
			t.Errorf("set%d holds %v", i, values)
		}
		if code := w.run("token", "-p", fmt.Sprintf("login%d", i)); code != 0 {
			t.Errorf("login%d: %d\n%s", i, code, &w.stderr)
		}
	}
}

// visitPage acts as a browser at a server that approves every login automatically.
func visitPage(address string) error {
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(address)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Every command that opens a connection uses the certificates of the flag, the variable and the profile.
func TestCertificatesOfEveryCommand(t *testing.T) {
	server, ca := startTLSDevServer(t)
	commands := [][]string{
		{"login", server, "--browser"},
		{"discover", server},
		{"jwks", "show", server},
		{"verify"},
		{"check", "--scope", "openid"},
		{"token", "--refresh"},
		{"userinfo"},
		{"introspect"},
		{"exchange", "--audience", "x"},
		{"revoke"},
		{"call", "GET", "/.well-known/openid-configuration"},
		{"logout"},
	}
	sources := map[string]func(w *world) []string{
		"the flag":     func(*world) []string { return []string{"--ca-cert", ca} },
		"the variable": func(w *world) []string { w.getenv["OAUTHCTL_CA_CERT"] = ca; return nil },
		"the profile":  func(w *world) []string { w.run("profile", "set", "ca_cert="+ca); return nil },
		"the login":    func(*world) []string { return nil }, // which was given the flag
		"nothing":      nil,
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			for _, command := range commands {
				w := newWorld(t, devserver.Config{})
				w.direct, w.browse = true, insecureVisit
				if code := w.run("login", server, "--browser", "--ca-cert", ca, "--api", server, "--scope", "openid", "--scope", "offline_access"); code != 0 {
					t.Fatalf("login: %d\n%s", code, &w.stderr)
				}
				if name != "the login" {
					w.run("profile", "set", "ca_cert=") // what the login stored
				}
				var flags []string
				if source != nil {
					flags = source(w)
				}
				w.run(append(command, flags...)...)
				if untrusted := strings.Contains(w.stderr.String(), "TLS_UNTRUSTED") || strings.Contains(w.stderr.String(), "certificate"); untrusted != (source == nil) {
					t.Errorf("%v: the server is trusted: %v\n%s", command, !untrusted, &w.stderr)
				}
			}
		})
	}
}

// startTLSDevServer serves a development server over TLS and returns its issuer and the file with its CA certificate.
func startTLSDevServer(t *testing.T) (issuer, ca string) {
	t.Helper()
	var server *devserver.Server
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.AuthorizationServer().ServeHTTP(w, r) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are expected
	s.StartTLS()
	t.Cleanup(s.Close)
	var err error
	if server, err = devserver.New(devserver.Config{Issuer: s.URL, API: s.URL, AutoApprove: true}); err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, ca
}

func insecureVisit(address string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(address)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Every command that changes something reports it in JSON.
func TestChangesInJSON(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	for _, tt := range []struct {
		args    []string
		members []string
	}{
		{[]string{"login", w.api, "--browser"}, []string{"profile", "usable", "issuer", "subject", "scope", "store"}},
		{[]string{"status"}, []string{"profile", "usable", "source", "store"}},
		{[]string{"profile", "set", "scope=x", "-p", "other"}, []string{"name", "settings", "exists"}},
		{[]string{"profile", "use", "other"}, []string{"name", "current"}},
		{[]string{"profile", "delete", "other"}, []string{"name", "exists"}},
		{[]string{"revoke"}, []string{"revoked"}},
		{[]string{"logout"}, []string{"forgotten", "revoked"}},
	} {
		if code := w.run(append(tt.args, "--json")...); code != 0 {
			t.Errorf("%v: %d\n%s", tt.args, code, &w.stderr)
		}
		var got any
		if err := json.Unmarshal(w.stdout.Bytes(), &got); err != nil {
			t.Errorf("%v prints %q: %v", tt.args, &w.stdout, err)
			continue
		}
		if list, ok := got.([]any); ok && len(list) > 0 {
			got = list[0]
		}
		object, _ := got.(map[string]any)
		for _, member := range tt.members {
			if _, ok := object[member]; !ok {
				t.Errorf("%v lacks %s: %s", tt.args, member, &w.stdout)
			}
		}
	}
}

// If a run is configured by variables, the message lists the missing variables, because no one can log in there.
func TestMissingVariables(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	complete := map[string]string{"OAUTHCTL_ISSUER": w.issuer, "OAUTHCTL_CLIENT_ID": "service", "OAUTHCTL_CLIENT_SECRET": "secret", "OAUTHCTL_API": w.api, "CI": "true"}
	for _, missing := range []string{"OAUTHCTL_ISSUER", "OAUTHCTL_CLIENT_ID", "OAUTHCTL_CLIENT_SECRET", ""} {
		w.home = t.TempDir()
		w.getenv = map[string]string{}
		for name, value := range complete {
			if name != missing {
				w.getenv[name] = value
			}
		}
		for _, args := range [][]string{{"token"}, {"call", "GET", "/api/items"}} {
			code := w.run(args...)
			switch {
			case missing == "" && code != 0:
				t.Errorf("%v with every variable: %d\n%s", args, code, &w.stderr)
			case missing != "" && (code != 2 || !strings.Contains(w.stderr.String(), missing+" is not set or empty")):
				t.Errorf("%v without %s: %d\n%s", args, missing, code, &w.stderr)
			}
		}
	}
}

// One line break at the end of a secret is removed, wherever the secret comes from.
func TestSecretsWithALineBreak(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	w.getenv = map[string]string{"OAUTHCTL_ISSUER": w.issuer, "OAUTHCTL_CLIENT_ID": "service", "OAUTHCTL_SCOPE": "items:read", "OTHER": "secret\n"}
	for _, value := range []string{"secret", "secret\n", "secret\r\n"} {
		w.getenv["OAUTHCTL_CLIENT_SECRET"] = value
		if code := w.run("token", "--refresh"); code != 0 {
			t.Errorf("%q: %d\n%s", value, code, &w.stderr)
		}
	}
	delete(w.getenv, "OAUTHCTL_CLIENT_SECRET")
	w.run("profile", "set", "client_secret=env:OTHER")
	if code := w.run("token", "--refresh"); code != 0 {
		t.Errorf("by a reference: %d\n%s", code, &w.stderr)
	}
	w.getenv["OTHER"] = "secret\n\n"
	if code := w.run("token", "--refresh"); code != 2 {
		t.Errorf("two line breaks: %d", code)
	}
}

// A flag of another tool gets a hint, and a secret is never accepted as an argument.
func TestFlagsOfOtherTools(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	for flag, hint := range map[string]string{"--client-secret=x": "--client-secret-file", "--scopes=x": "did you mean --scope?", "--clientid=x": "did you mean --client-id?", "--issuer-url=x": "--help"} {
		if code := w.run("login", flag); code != 2 || !strings.Contains(w.stderr.String(), hint) {
			t.Errorf("%s: %d\n%s", flag, code, &w.stderr)
		}
	}
}

// Without a network, logout reports which tokens remain valid.
func TestLogoutOffline(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("login", w.api, "--browser"); code != 0 {
		t.Fatalf("login: %d\n%s", code, &w.stderr)
	}
	w.network = nil
	w.offline = true
	if code := w.run("logout"); code != 6 || !strings.Contains(w.stderr.String(), "NOT_REVOKED") {
		t.Errorf("logout: %d\n%s", code, &w.stderr)
	}
	if len(w.stored()) > 0 {
		t.Error("the session is still there")
	}
}

// Programs that are started inherit none of the variables with secrets, by any name that the profile has for them.
func TestStartedProgramsInheritNoSecret(t *testing.T) {
	issuer, api, err := startDevServer(deferrer{t}, devserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	note := filepath.Join(home, "inherited")
	run := func(variables []string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "oauthctl", args...)
		c.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
			"OAUTHCTL_STORE=file", "HARMLESS=kept",
		}, variables...)
		output, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, output)
		}
		inherited, err := os.ReadFile(note)
		if err != nil {
			t.Fatalf("%v started nothing: %v\n%s", args, err, output)
		}
		os.Remove(note)
		if !strings.Contains(string(inherited), "HARMLESS=kept") {
			t.Errorf("%v: the rest of the environment is lost", args)
		}
		return string(inherited)
	}
	browser := filepath.Join(home, "browser")
	if err := os.WriteFile(browser, []byte("#!/bin/sh\nenv >"+note+"\nexec xdg-open \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"OAUTHCTL_TOKEN=canary-1", "OAUTHCTL_CLIENT_SECRET=canary-2", "MY_SECRET=canary-3"}
	if got, err := runProcess(t, home, "profile", "set", "client_secret=env:MY_SECRET", "client_id=service", "issuer="+issuer, "scope=items:read", "-p", "named"); err != nil || got.code != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	if got, err := runProcess(t, home, "profile", "set", "client_secret=command:env >"+note+"; echo secret", "client_id=service", "issuer="+issuer, "scope=items:read", "-p", "command"); err != nil || got.code != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	for name, inherited := range map[string]string{
		"the browser":         run([]string{"OAUTHCTL_CLIENT_SECRET=canary-2", "BROWSER=" + browser}, "login", api, "--browser", "-p", "user"),
		"a command":           run([]string{"OAUTHCTL_TOKEN="}, "token", "-p", "command"),
		"exec":                run(secrets[:1], "exec", "--env", "GIVEN", "--", "sh", "-c", "env >"+note),
		"exec, named secret":  run([]string{"MY_SECRET=secret"}, "exec", "--env", "GIVEN", "-p", "named", "--", "sh", "-c", "env >"+note),
		"exec, client secret": run([]string{"OAUTHCTL_ISSUER=" + issuer, "OAUTHCTL_CLIENT_ID=service", "OAUTHCTL_CLIENT_SECRET=secret", "OAUTHCTL_SCOPE=items:read", "OAUTHCTL_PROFILE=ci"}, "exec", "--", "sh", "-c", "env >"+note),
	} {
		for _, variable := range []string{"OAUTHCTL_CLIENT_SECRET=", "MY_SECRET=", "canary-2", "canary-3"} {
			if strings.Contains(inherited, "\n"+variable) || strings.HasPrefix(inherited, variable) {
				t.Errorf("%s inherits %s", name, variable)
			}
		}
		if strings.Contains(inherited, "\nOAUTHCTL_TOKEN=") != (name == "exec, client secret") {
			t.Errorf("%s: OAUTHCTL_TOKEN is inherited", name)
		}
		if strings.HasPrefix(name, "exec") && !strings.Contains(inherited, "GIVEN=") && !strings.Contains(inherited, "OAUTHCTL_TOKEN=") {
			t.Errorf("%s: the token is not there", name)
		}
	}
}
