//go:build unix

package cmd_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// holding forwards requests to an API, except the last one, which waits until the client gives up. Reached is closed
// when that request arrives.
func holding(t *testing.T, api string, last int64) (address string, reached <-chan struct{}) {
	t.Helper()
	upstream, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of requests that the client cancels
	turns, full := make(chan struct{}, last), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			if int64(len(turns)) < last {
				proxy.ServeHTTP(w, r)
				return
			}
			close(full)
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, full
}

// If audit is interrupted between two requests, it reports the results so far and that they are partial, in every
// format, and does not pass anything that was not sent. Without an interruption the report is complete.
func TestAuditInterrupted(t *testing.T) {
	api := newAuditedAPI(t)
	api.set()
	document := writeFile(t, "openapi.yaml", auditedDocument)
	for name, tt := range map[string]struct {
		signal os.Signal
		last   int64
		json   bool
		code   int
	}{
		"screen":     {os.Interrupt, 20, false, 130},
		"JSON":       {os.Interrupt, 20, true, 130},
		"terminated": {syscall.SIGTERM, 20, true, 143},
		"first":      {os.Interrupt, 1, true, 130},
		"not":        {nil, 100000, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			address, reached := holding(t, api.url, tt.last)
			args := append([]string{"audit", address}, api.args("--openapi", document, "--param", "id=1", "--unsafe", "dry",
				"--sarif", filepath.Join(folder, "a.sarif"), "--junit", filepath.Join(folder, "a.xml"), "--write-baseline", filepath.Join(folder, "b.yaml"))[1:]...)
			if tt.json {
				args = append(args, "--json")
			}
			var stdout, stderr bytes.Buffer
			c := exec.CommandContext(t.Context(), "oauthctl", args...)
			c.Env, c.Stdout, c.Stderr, c.WaitDelay = append(os.Environ(), "HOME="+folder, "LANG=C.UTF-8"), &stdout, &stderr, 5*time.Second
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.signal != nil {
				<-reached
				if err := c.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			var failed *exec.ExitError
			if err := c.Wait(); err != nil && !errors.As(err, &failed) || c.ProcessState.ExitCode() != tt.code {
				t.Errorf("%v, want exit code %d\n%s%s", err, tt.code, &stdout, &stderr)
			}
			isPart := tt.signal != nil
			if !tt.json {
				if !strings.Contains(stdout.String(), "interrupted") || !strings.Contains(stdout.String(), "not sent") {
					t.Errorf("the screen does not say that it shows a part:\n%s%s", &stdout, &stderr)
				}
			} else {
				checkPart(t, stdout.Bytes(), isPart, tt.last > 1)
			}
			sarif, junit := readFile(t, filepath.Join(folder, "a.sarif")), readFile(t, filepath.Join(folder, "a.xml"))
			if strings.Contains(sarif, `"executionSuccessful": false`) != isPart || strings.Contains(sarif, "interrupted") != isPart || strings.Contains(junit, "interrupted") != isPart {
				t.Errorf("a part: %t\n%s\n%s", isPart, sarif, junit)
			}
			if _, err := os.Stat(filepath.Join(folder, "b.yaml")); (err != nil) != isPart {
				t.Errorf("a baseline of a part: %v", err)
			}
			if text := stdout.String() + stderr.String() + sarif + junit; strings.Contains(text, "context canceled") {
				t.Errorf("%s", text)
			}
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkPart checks the JSON of an audit. A partial report has an error, decided and undecided cells, no finding, and no
// proven operation with a case that was not sent.
func checkPart(t *testing.T, text []byte, isPart, hasResults bool) {
	t.Helper()
	validate(t, compiledSchema(t, "../docs/reference/audit.schema.json"), text)
	var report audited
	if err := json.Unmarshal(text, &report, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	decided, open := 0, 0
	for _, operation := range report.Operations {
		for _, cell := range operation.Cells {
			if cell.Result == "inconclusive" {
				open++
			} else {
				decided++
			}
		}
	}
	if (report.Error == "interrupted") != isPart || (open > 0) != isPart || (decided > 0) != (hasResults || !isPart) || len(report.Findings) > 0 {
		t.Errorf("a part: %t; %q, %d decided, %d not\n%s", isPart, report.Error, decided, open, report)
	}
}
