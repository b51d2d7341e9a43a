package cmd_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const auditedIssuer, auditedAudience = "https://auth.example.com", "https://api.example.com"

// auditedAPI is an API whose issuer's key is in a file. Each switch omits the check that it is named after.
type auditedAPI struct {
	url, key string

	mu       sync.Mutex
	switches map[string]bool
	arrived  []string
}

func (a *auditedAPI) set(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.switches, a.arrived = map[string]bool{}, nil
	for _, name := range names {
		a.switches[name] = true
	}
}

func (a *auditedAPI) has(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.switches[name]
}

func newAuditedAPI(t *testing.T) *auditedAPI {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	a := &auditedAPI{key: filepath.Join(t.TempDir(), "key.pem")}
	if err := os.WriteFile(a.key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(auditedIssuer, []string{auditedAudience}, jwks.NewSet(key.Public()), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	items := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `[{"id":1}]`)
	})
	read, write := bearer.Require(verifier, bearer.Scopes("items:read"))(items), bearer.Require(verifier, bearer.Scopes("items:write"))(items)
	unscoped := bearer.Require(verifier)(items)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.arrived = append(a.arrived, r.Method+" "+r.URL.String())
		a.mu.Unlock()
		switch {
		case a.has("down"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case a.has("distrusts"):
			w.WriteHeader(http.StatusUnauthorized)
		case a.has("open") && r.URL.Path == "/items":
			items.ServeHTTP(w, r)
		case r.URL.Path != "/items" && r.URL.Path != "/items/1":
			http.NotFound(w, r)
		case r.Method == http.MethodPost:
			write.ServeHTTP(w, r)
		case a.has("no-scope"):
			unscoped.ServeHTTP(w, r)
		default:
			read.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// args returns the flags that create tokens for the API.
func (a *auditedAPI) args(more ...string) []string {
	return append([]string{a.url, "--key", a.key, "--issuer", auditedIssuer, "--audience", auditedAudience}, more...)
}

const auditedDocument = `openapi: 3.1.0
components: {securitySchemes: {oauth: {type: oauth2, flows: {}}}}
security: [{oauth: [items:read]}]
paths:
  /items:
    get: {}
    post:
      security: [{oauth: [items:write]}]
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [name]}}}}
  /items/{id}:
    get: {parameters: [{name: id, in: path, required: true}]}
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each exit code, with JSON that follows the schema.
func TestAuditExitCodes(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../docs/reference/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	w, api := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	document := writeFile(t, "openapi.yaml", auditedDocument)
	known := writeFile(t, "known.yaml", "- {operation: GET /items, case: missing-scope, id: SCOPE_MISSING, reason: until March}\n- {operation: GET /items, case: scope-other, id: SCOPE_MISSING, reason: until March}\n- {operation: GET /items, case: scope-near, id: SCOPE_MISSING, reason: until March}\n- {operation: GET /items, case: scope-elsewhere, id: SCOPE_CLAIM_NAME, reason: until March}\n")
	get := []string{"--operation", "GET /items=items:read"}
	for name, tt := range map[string]struct {
		code     int
		switches []string
		args     []string
	}{
		"proven":                       {0, nil, api.args(get...)},
		"proven, dry":                  {0, nil, api.args("--openapi", document, "--param", "id=1", "--unsafe", "dry")},
		"an open operation":            {7, []string{"open"}, api.args(get...)},
		"no check of scopes":           {7, []string{"no-scope"}, api.args("--openapi", document, "--param", "id=1")},
		"known":                        {0, []string{"no-scope"}, api.args("--openapi", document, "--operation", "GET /items", "--baseline", known)},
		"known, and one more":          {7, []string{"no-scope"}, api.args("--openapi", document, "--param", "id=1", "--baseline", known)},
		"a stale baseline":             {2, nil, api.args("--openapi", document, "--operation", "GET /items", "--baseline", known)},
		"stale, but filtered":          {0, nil, api.args("--openapi", document, "--operation", "GET /items", "--case", "alg-*", "--baseline", known)},
		"no value for a parameter":     {6, nil, api.args("--openapi", document)},
		"enough is proven":             {0, nil, api.args("--openapi", document, "--min-coverage", "40")},
		"the API fails":                {6, []string{"down"}, api.args(get...)},
		"the API does not trust":       {6, []string{"distrusts"}, api.args(get...)},
		"a kid that is not published":  {6, nil, append(api.args(get...), "--kid", "another")},
		"quick":                        {0, nil, append(api.args(get...), "--quick")},
		"unreachable":                  {6, nil, append([]string{"http://127.0.0.1:1", "--key", api.key, "--issuer", auditedIssuer}, get...)},
		"another host":                 {2, nil, append([]string{"https://api.example.com", "--key", api.key, "--issuer", auditedIssuer}, get...)},
		"a document at another host":   {2, nil, api.args("--openapi", "https://api.example.com/openapi.json")},
		"no operations":                {2, nil, api.args()},
		"an unreadable document":       {2, nil, api.args("--openapi", writeFile(t, "x.yaml", "swagger: '2.0'"))},
		"no such file":                 {2, nil, api.args("--openapi", "no-such-file")},
		"a baseline without a reason":  {2, nil, append(api.args(get...), "--baseline", writeFile(t, "b.yaml", "- {operation: GET /items, case: good, id: X, reason: ''}"))},
		"an unknown parameter":         {2, nil, api.args("--openapi", document, "--param", "no=1")},
		"no such case":                 {2, nil, append(api.args(get...), "--case", "no-such")},
		"two sources of tokens":        {2, nil, append(api.args(get...), "--token", "@x")},
		"a token as an argument":       {2, nil, append([]string{api.url, "--token", "eyJ"}, get...)},
		"SARIF without a file":         {2, nil, append(api.args(get...), "--sarif", "x")},
		"an issuer for other machines": {2, nil, append([]string{api.url, "--issuer-listen", "0.0.0.0:0"}, get...)},
		"no name of a field":           {2, nil, append(api.args(get...), "--header", "[X: 1")},
		"a token in a header":          {2, nil, append(api.args(get...), "--header", "authorization: Bearer x")},
		"an unknown mode":              {2, nil, append(api.args(get...), "--unsafe", "wet")},
	} {
		t.Run(name, func(t *testing.T) {
			api.set(tt.switches...)
			code := w.run(append([]string{"audit", "--json", "-q"}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, &w.stdout, &w.stderr)
			}
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.stdout.Bytes()))
			if err != nil {
				t.Fatalf("%v in %s", err, &w.stdout)
			}
			if err := schema.Validate(instance); err != nil {
				t.Errorf("%v\n%s", err, &w.stdout)
			}
			if code == 2 && !strings.Contains(name, "stale") && len(api.arrived) > 0 {
				t.Errorf("sent %q", api.arrived)
			}
		})
	}
}

// SARIF follows the schema of OASIS and has a place in the document for each result. JUnit is valid XML, and does not
// pass anything undecided.
func TestAuditFiles(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	w, api := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	api.set("no-scope")
	document := writeFile(t, "openapi.yaml", auditedDocument)
	sarif, junit, baseline := filepath.Join(t.TempDir(), "a.sarif"), filepath.Join(t.TempDir(), "a.xml"), filepath.Join(t.TempDir(), "b.yaml")
	code := w.run(append([]string{"audit"}, api.args("--openapi", document, "--sarif", sarif, "--junit", junit, "--write-baseline", baseline)...)...)
	if code != 7 {
		t.Fatalf("%d\n%s%s", code, &w.stdout, &w.stderr)
	}
	text, err := os.ReadFile(sarif)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Errorf("%v", err)
	}
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID    string `json:"ruleId"`
				Locations []struct {
					PhysicalLocation struct {
						Region struct {
							StartLine int `json:"startLine"`
						} `json:"region"`
					} `json:"physicalLocation"`
				} `json:"locations"`
				Fingerprints map[string]string `json:"partialFingerprints"`
			} `json:"results"`
			Invocations []struct {
				Notifications []any `json:"toolExecutionNotifications"`
			} `json:"invocations"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	results := log.Runs[0].Results
	if len(results) != 4 || results[0].RuleID != "SCOPE_MISSING" || results[0].Locations[0].PhysicalLocation.Region.StartLine != 6 || len(results[0].Fingerprints) == 0 {
		t.Errorf("results %+v", results)
	}
	if len(log.Runs[0].Invocations[0].Notifications) < 40 { // the operation without a value
		t.Errorf("%d notifications", len(log.Runs[0].Invocations[0].Notifications))
	}
	checkJUnit(t, junit)
	if code := w.run(append([]string{"audit"}, api.args("--openapi", document, "--baseline", baseline)...)...); code != 2 || !strings.Contains(w.stderr.String(), "reason") {
		t.Errorf("a baseline that no one looked at: %d %s", code, &w.stderr)
	}
}

func checkJUnit(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Skipped  int    `xml:"skipped,attr"`
			Cases    []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Fatal(err)
	}
	if len(suites.Suites) != 2 {
		t.Fatalf("%d suites", len(suites.Suites))
	}
	faulty, undecided := suites.Suites[0], suites.Suites[1]
	if faulty.Name != "GET /items" || faulty.Failures != 3 || faulty.Tests != len(faulty.Cases) {
		t.Errorf("%+v", faulty)
	}
	if undecided.Skipped != undecided.Tests || undecided.Tests < 40 {
		t.Errorf("%s: %d of %d skipped", undecided.Name, undecided.Skipped, undecided.Tests)
	}
}

// The report fits into 80 columns, and is ASCII if the locale supports only that.
func TestAuditScreen(t *testing.T) {
	w, api := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	long := strings.ReplaceAll(auditedDocument, "/items/{id}:", "/a-rather-long-name-of-a-collection/items/{id}:")
	args := append([]string{"audit"}, api.args("--openapi", writeFile(t, "openapi.yaml", long), "--unsafe", "dry")...)
	for _, switches := range [][]string{{"no-scope"}, {"open"}, {"distrusts"}, {"down"}, nil} {
		api.set(switches...)
		for _, locale := range []string{"C", "en_US.UTF-8"} {
			w.getenv = map[string]string{"LANG": locale}
			w.run(args...)
			screen := w.stdout.String() + w.stderr.String()
			for line := range strings.Lines(screen) {
				if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 {
					t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
				}
			}
			if locale == "C" && strings.ContainsAny(w.stdout.String(), "✓✗·") {
				t.Errorf("LANG=C:\n%s", &w.stdout)
			}
		}
	}
}

// No signature of a token is printed, on the screen, in JSON or with -v.
func TestAuditShowsNoToken(t *testing.T) {
	w, api := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	api.set("no-scope")
	for _, more := range []string{"-v", "--json"} {
		w.run(append([]string{"audit", more}, api.args("--operation", "GET /items=items:read")...)...)
		if out := w.stdout.String() + w.stderr.String(); strings.Contains(out, "eyJ") {
			t.Errorf("%s shows a token:\n%s", more, out)
		}
	}
}

// With the real token of a profile, the cases that do not need the issuer's key are proven, and the others are not. The
// token is sent only to its own API.
func TestAuditWithProfile(t *testing.T) {
	w, other := newWorld(t, devserver.Config{}), newAuditedAPI(t)
	get := []string{"--operation", "GET /api/items=items:read", "-p", "mine"}
	if _, code := w.auditFailure(t, append([]string{w.api}, get...)...); code != 2 && code != 5 {
		t.Errorf("without a profile: %d %s", code, &w.stdout)
	}
	if code := w.run("login", w.api, "-p", "mine", "--browser", "--add-scope", "openid"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	report, code := w.auditJSON(t, append([]string{w.api}, get...)...)
	results := map[string]string{}
	for _, cell := range report.Operations[0].Cells {
		results[cell.Case] = cell.Result
	}
	for name, want := range map[string]string{
		"good": "pass", "alg-none": "pass", "alg-confusion": "pass", "foreign-key": "pass", "id-token-as-access-token": "pass", "head": "pass",
		"no-audience": "inconclusive", "in-query": "inconclusive", "missing-scope": "inconclusive",
	} {
		if results[name] != want {
			t.Errorf("%s: %q, want %s", name, results[name], want)
		}
	}
	if code != 6 || len(report.Findings) != 0 {
		t.Errorf("%d\n%s", code, report)
	}
	// With the refresh token, the scopes can be proven too, and the session does not change.
	before := sessionSecrets(t, w, "mine")
	report, _ = w.auditJSON(t, append([]string{w.api, "--allow-refresh", "--operation", "POST /api/items=items:write"}, get...)...)
	for _, operation := range report.Operations {
		for _, cell := range operation.Cells {
			if cell.Case == "scope-other" && cell.Result != "pass" {
				t.Errorf("--allow-refresh: %s is %s", cell.Case, cell.Result)
			}
		}
	}
	after := sessionSecrets(t, w, "mine")
	if after["access_token"] != before["access_token"] || after["refresh_token"] == before["refresh_token"] {
		t.Error("the session did not keep its access token and the rotated refresh token")
	}
	if code := w.run("token", "--refresh", "-p", "mine"); code != 0 {
		t.Errorf("the session after the audit: %d\n%s", code, &w.stderr)
	}
	other.set()
	if id, code := w.auditFailure(t, append([]string{other.url}, get...)...); code != 2 || id != "ORIGIN_REFUSED" || len(other.arrived) > 0 {
		t.Errorf("another API: %d %s, sent %q", code, id, other.arrived)
	}
}

// With a client that can request fewer scopes, the scopes are proven too.
func TestAuditWithClient(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	report, _ := w.auditJSON(t, w.api, "--issuer", w.issuer, "--client-id", "service", "--client-secret-file", writeFile(t, "secret", "secret"),
		"--operation", "GET /api/items=items:read", "--operation", "POST /api/items=items:write")
	results := map[string]string{}
	for _, cell := range report.Operations[0].Cells {
		results[cell.Case] = cell.Result
	}
	for name, want := range map[string]string{"good": "pass", "scope-other": "pass", "alg-confusion": "pass", "no-audience": "inconclusive"} {
		if results[name] != want {
			t.Errorf("%s: %q, want %s", name, results[name], want)
		}
	}
	if len(report.Findings) != 0 {
		t.Errorf("%s", report)
	}
}

// auditFailure runs an audit that fails before its first request.
func (w *world) auditFailure(t *testing.T, args ...string) (id string, code int) {
	t.Helper()
	code = w.run(append([]string{"audit", "--json", "-q"}, args...)...)
	var failure struct{ Error struct{ ID string } }
	if err := json.Unmarshal(w.stdout.Bytes(), &failure, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v\n%s%s", err, &w.stdout, &w.stderr)
	}
	return failure.Error.ID, code
}
