package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const clientsDir = "testdata/clients"

// missingClients returns why the client libraries cannot run, or "".
func missingClients() string {
	if _, err := os.Stat(filepath.Join(clientsDir, "node_modules/openid-client/package.json")); err != nil {
		return "the client libraries are not installed: run `npm ci --prefix cmd/" + clientsDir + "`"
	}
	return missingNode()
}

// devProcess is an `oauthctl dev` process at free ports.
type devProcess struct{ issuer, api string }

// startDevProcess runs `oauthctl dev` with these flags until the test ends.
func startDevProcess(t *testing.T, flags ...string) devProcess {
	t.Helper()
	home := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	c := exec.CommandContext(ctx, "oauthctl", append([]string{"dev", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"}, flags...)...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
	})
	var d devProcess
	for lines := bufio.NewScanner(stderr); d.api == "" && lines.Scan(); {
		if m := regexp.MustCompile(`^(authorization server|demo API) +(\S+)$`).FindStringSubmatch(lines.Text()); m != nil {
			if m[1] == "demo API" {
				d.api = m[2]
			} else {
				d.issuer = m[2]
			}
		}
	}
	if d.api == "" {
		t.Fatal("oauthctl dev printed no address")
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return d
}

// clientOutcome is the result of a client library. Refreshed is nil for a library that does not refresh automatically.
type clientOutcome struct {
	User      string `json:"user"`
	Refreshed *bool  `json:"refreshed"`
	API       int    `json:"api"`
	LoggedOut bool   `json:"loggedOut"`
	Error     string `json:"error"`
}

// runClients runs one of the programs and returns the result of each client.
func runClients(t *testing.T, program string, args ...string) map[string]clientOutcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var stderr bytes.Buffer
	node := exec.CommandContext(ctx, "node", append([]string{filepath.Join(clientsDir, program)}, args...)...)
	node.Env = append(os.Environ(), "NODE_OPTIONS=")
	node.Stderr = &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var outcomes map[string]clientOutcome
	if err := json.Unmarshal(out, &outcomes); err != nil {
		t.Fatalf("%v in %s\n%s", err, out, &stderr)
	}
	return outcomes
}

func wantClients(t *testing.T, outcomes map[string]clientOutcome, refreshes map[string]bool) {
	t.Helper()
	for name, refresh := range refreshes {
		got, ran := outcomes[name]
		switch {
		case !ran:
			t.Errorf("%s did not run", name)
		case got.Error != "":
			t.Errorf("%s: %s", name, got.Error)
		case !strings.HasPrefix(strings.ToLower(got.User), "alice"), got.API != 200, !got.LoggedOut, refresh && (got.Refreshed == nil || !*got.Refreshed):
			t.Errorf("%s: %+v", name, got)
		}
	}
	if len(outcomes) != len(refreshes) {
		t.Errorf("%d clients ran, expected %d", len(outcomes), len(refreshes))
	}
}

// devFlags returns flags with which all of the clients work.
func devFlags() []string {
	return []string{
		"--pkce", "optional", "--refresh-tokens", "always", "--refresh-token-format", "jwt",
		"--client", "web:s3cret,http://127.0.0.1/callback,http://127.0.0.1/auth/callback/dev",
		"--client", "spa,http://127.0.0.1/oidc/,http://127.0.0.1/keycloak/,http://127.0.0.1/msal/",
	}
}

// Client libraries of other authors log in at the development server, refresh if they can, call the API and log out:
// five that run in a server or a program.
func TestServerClients(t *testing.T) {
	need(t, "node", missingClients())
	dev := startDevProcess(t, devFlags()...)
	wantClients(t, runClients(t, "servers.js", dev.issuer, dev.api), map[string]bool{
		"openid-client": true, "Auth.js": false, "express-openid-connect": true, "passport-openidconnect": false, "MCP SDK": true,
	})
}

// Three that run in a browser, one of which requires https.
func TestBrowserClients(t *testing.T) {
	need(t, "node", missingClients())
	need(t, "chromium", missingChromium())
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	dev := startDevProcess(t, devFlags()...)
	secure := startDevProcess(t, append(devFlags(), "--tls", "--tls-ca-file", filepath.Join(t.TempDir(), "ca.pem"))...)
	wantClients(t, runClients(t, "browsers.js", chromium, dev.issuer, dev.api, secure.issuer, secure.api), map[string]bool{
		"oidc-client-ts": true, "keycloak-js": true, "msal-browser": true,
	})
}

// The console in both colour schemes, wide and narrow, with the keyboard only: it shows a login as it happens, switches
// a fault on, and shows the refusal that follows. The pictures are test artefacts.
func TestConsoleInChromium(t *testing.T) {
	need(t, "node", missingClients())
	need(t, "chromium", missingChromium())
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ scheme, width string }{{"light", "1200"}, {"dark", "360"}} {
		t.Run(test.scheme+" "+test.width, func(t *testing.T) {
			dev := startDevProcess(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stderr bytes.Buffer
			node := exec.CommandContext(ctx, "node", filepath.Join(clientsDir, "console.js"), chromium, dev.issuer, dev.api, t.ArtifactDir(), test.scheme, test.width)
			node.Stderr = &stderr
			out, err := node.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &stderr)
			}
			var seen struct {
				Shown       []string `json:"shown"`
				Good        int      `json:"good"`
				Active      string   `json:"active"`
				Bad         int      `json:"bad"`
				ID          string   `json:"id"`
				Explained   string   `json:"explained"`
				ScrollWidth int      `json:"scrollWidth"`
				After       int      `json:"after"`
				Complaints  []string `json:"complaints"`
			}
			if err := json.Unmarshal(out, &seen); err != nil {
				t.Fatal(err)
			}
			want := []string{"Authorization request", "Login", "Consent", "Authorization response", "Token request: authorization_code", "Key set", "API request"}
			if diff := cmp.Diff(want, seen.Shown); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if seen.Good != 200 || seen.Active != "expired" || seen.Bad != 401 || seen.ID != "EXPIRED" || seen.After != 200 {
				t.Errorf("%+v", seen)
			}
			if entry, _ := diagnosis.Lookup(diagnosis.Expired); !strings.Contains(seen.Explained, entry.Meaning) {
				t.Errorf("the refusal is not explained: %s", seen.Explained)
			}
			if width, _ := strconv.Atoi(test.width); seen.ScrollWidth > width || len(seen.Complaints) > 0 {
				t.Errorf("%d pixels wide; the browser complains: %v", seen.ScrollWidth, seen.Complaints)
			}
		})
	}
}
