package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// missingChromium returns why a real browser cannot run here, or "".
func missingChromium() string {
	if _, err := exec.LookPath("chromium"); err != nil {
		return err.Error()
	}
	if _, err := os.Stat(filepath.Join(interopDir, "node_modules/playwright-core/package.json")); err != nil {
		return "playwright-core is not installed: run `npm ci --prefix cmd/" + interopDir + "`"
	}
	return missingNode()
}

// A login with a real browser, with the keyboard only: the pages of the development server, the redirect, and our page
// at the end. The browser reports no errors. The pictures are test artefacts.
func TestChromium(t *testing.T) {
	need(t, "chromium", missingChromium())
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			w := newWorld(t, devserver.Config{})
			var seen struct {
				Title      string   `json:"title"`
				Text       string   `json:"text"`
				Complaints []string `json:"complaints"`
			}
			finished := make(chan error, 1)
			w.browse = func(address string) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var stderr bytes.Buffer
				browser := exec.CommandContext(ctx, "node", filepath.Join(interopDir, "browser.js"), chromium, address, t.ArtifactDir(), scheme)
				browser.Stderr = &stderr
				out, err := browser.Output()
				if err == nil {
					err = json.Unmarshal(out, &seen)
				}
				if err != nil {
					err = fmt.Errorf("%w\n%s", err, &stderr)
				}
				finished <- err
				return err
			}
			code := w.run("login", w.api, "--browser")
			if err := <-finished; err != nil {
				t.Fatal(err)
			}
			if code != 0 {
				t.Fatalf("login: %d\n%s", code, &w.stderr)
			}
			if !strings.Contains(seen.Title, "oauthctl") || !strings.Contains(seen.Text, "close this window") || len(seen.Complaints) > 0 {
				t.Errorf("the browser ended at %+v", seen)
			}
			if code := w.run("call", "GET", "/api/items"); code != 0 {
				t.Errorf("call: %d\n%s", code, &w.stderr)
			}
		})
	}
}
