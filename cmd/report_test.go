package cmd_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// secrets returns the secrets that must not be in a report: those of the requests, and the tokens that the login
// printed.
func (w *world) secrets(printed string) []string {
	all := regexp.MustCompile(`"[a-z_]*token": ?"([^"]{8,})"`).FindAllStringSubmatch(printed, -1)
	w.network.mu.Lock()
	defer w.network.mu.Unlock()
	for _, sent := range w.network.sent {
		all = append(all, regexp.MustCompile(`(?:Authorization: \w+ |Dpop: |\bcode=|code_verifier=|state=|nonce=)([^\s&]{8,})`).FindAllStringSubmatch(sent.String(), -1)...)
	}
	var secrets []string
	for _, match := range all {
		secrets = append(secrets, match[1], base64.StdEncoding.EncodeToString([]byte(match[1])))
	}
	return secrets
}

// The report of a login or a call has no secret, has equal labels for equal secrets, and can be read only by its owner.
func TestReport(t *testing.T) {
	for name, flags := range map[string][]string{"bearer": nil, "DPoP": {"--dpop"}, "PAR": {"--par"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devserver.Config{RefreshTokens: devserver.RefreshAlways})
			w.network = newLedger()
			file := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			w.mustRun(append([]string{"login", w.api, "--browser", "--print", "response", "--report", file}, flags...)...)
			printed := w.stdout.String()
			secrets := func() []string { return w.secrets(printed) }
			checkReport(t, file, secrets(), "token-1", "code-1")
			w.mustRun("call", "GET", "/api/items", "--report", file)
			checkReport(t, file, secrets(), "token-1")
			if code := w.run("call", "GET", "/nothing", "--report", file); code != 9 {
				t.Errorf("exit code %d", code)
			}
			checkReport(t, file, secrets(), "API_ERROR")
			if len(secrets()) < 12 {
				t.Errorf("the test saw %d secrets", len(secrets()))
			}
			w.mustRun("doctor", "--from", file, "--json")
			validate(t, compiledSchema(t, "../docs/reference/doctor.schema.json"), w.stdout.Bytes())
			w.mustRun("doctor", "--from", file)
			for _, want := range []string{"oauthctl call", "GET " + w.api + "/nothing", "404", "API_ERROR"} {
				if !strings.Contains(w.stdout.String(), want) {
					t.Errorf("doctor --from lacks %q:\n%s", want, &w.stdout)
				}
			}
		})
	}
}

func checkReport(t *testing.T, file string, secrets []string, wants ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("the report holds %.12s…", secret)
		}
	}
	for _, want := range wants {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %s:\n%s", want, text)
		}
	}
	var archive struct {
		Log struct {
			Version string
			Entries []map[string]any
		} `json:"log"`
	}
	if err := json.Unmarshal(text, &archive, json.MatchCaseInsensitiveNames(true)); err != nil || archive.Log.Version != "1.2" || len(archive.Log.Entries) == 0 {
		t.Errorf("no archive: %v\n%s", err, text)
	}
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestReportRefuses(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, []byte(`{"log":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range [][]string{
		{"login", w.api, "--report", "x.json", "--show-secrets", "-v"},
		{"login", w.api, "--report", "/nonexistent/x.json"},
		{"doctor", "--from", other},
		{"doctor", "--from", filepath.Join(t.TempDir(), "missing")},
		{"doctor", w.api, "--from", other},
	} {
		if code := w.run(tt...); code != 2 {
			t.Errorf("%q: exit code %d\n%s", tt, code, &w.stderr)
		}
	}
	if got := w.stored(); len(got) != 0 && !slices.Contains(got, "") {
		t.Errorf("a login went on: %q", got)
	}
}
