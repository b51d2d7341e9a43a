package cmd_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// introspectingServer returns an authorization server that sends these responses about tokens to the API's own client.
func introspectingServer(t *testing.T, answers map[string]string) string {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q,"introspection_endpoint":%q}`, s.URL, s.URL+"/token", s.URL+"/introspect")
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		id, password, _ := r.BasicAuth()
		answer, known := answers[r.FormValue("token")]
		switch {
		case id != "orders-api" || password != "s3cret":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
		case !known:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			fmt.Fprint(w, strings.ReplaceAll(answer, "ISSUER", s.URL))
		}
	})
	return s.URL
}

// An API sends requests with its own credentials and without a login. Text, JSON and exit code agree, and the JSON
// always follows its schema.
func TestIntrospect(t *testing.T) {
	issuer := introspectingServer(t, map[string]string{
		"good":      `{"active":true,"iss":"ISSUER","aud":"https://orders.example","scope":"orders:read","sub":"carol","exp":99999999999}`,
		"no-iss":    `{"active":true,"aud":["https://orders.example"],"exp":99999999999}`,
		"inactive":  `{"active":false}`,
		"foreign":   `{"active":true,"iss":"https://other.example","aud":"https://orders.example","exp":99999999999}`,
		"other":     `{"active":true,"iss":"ISSUER","aud":"https://items.example","exp":99999999999}`,
		"future":    `{"active":true,"iss":"ISSUER","aud":"https://orders.example","exp":99999999999,"nbf":99999999998}`,
		"refresh":   `{"active":true,"iss":"ISSUER","aud":"https://orders.example","exp":99999999999,"token_use":"refresh_token"}`,
		"twice":     `{"active":true,"iss":"ISSUER","aud":"https://orders.example","aud":"x","exp":99999999999}`,
		"no-object": `["active"]`,
		"text":      `{"active":"yes"}`,
	})
	w := newWorld(t, devserver.Config{})
	secretFile, empty := writeFile(t, "secret", "s3cret\n"), writeFile(t, "empty", "")
	schema := compiledSchema(t, "../docs/reference/introspect.schema.json")
	as := func(issuer, client, audience, raw string, more ...string) []string {
		return append([]string{raw, "--issuer", issuer, "--client-id", client, "--client-secret-file", secretFile, "--audience", audience}, more...)
	}
	own := func(raw string, more ...string) []string {
		return as(issuer, "orders-api", "https://orders.example", raw, more...)
	}
	for name, tt := range map[string]struct {
		code             int
		id, status, head string
		args             []string
	}{
		"valid":            {0, "", "valid", "valid\n", own("good")},
		"scope":            {0, "", "valid", "valid\n", own("good", "--scope", "orders:read")},
		"no scope":         {4, "SCOPE_MISSING", "denied", "valid, but does not allow this\n", own("good", "--scope", "orders:write")},
		"no iss":           {0, "", "valid", "valid\n", own("no-iss")},
		"inactive":         {3, "REVOKED", "invalid", "not valid\n", own("inactive")},
		"another issuer":   {3, "ISS_MISMATCH", "invalid", "not valid\n", own("foreign")},
		"another audience": {3, "AUD_MISMATCH", "invalid", "not valid\n", own("other")},
		"not yet":          {3, "NOT_YET_VALID", "invalid", "not valid\n", own("future")},
		"refresh token":    {3, "REFRESH_TOKEN_AS_ACCESS", "invalid", "not valid\n", own("refresh")},
		"aud twice":        {3, "DUPLICATE_MEMBER", "invalid", "not valid\n", own("twice")},
		"empty":            {3, "TOKEN_MISSING", "invalid", "not valid\n", own("@" + empty)},
		"no object":        {7, "", "unchecked", "", own("no-object")},
		"active a text":    {7, "", "unchecked", "", own("text")},
		"server error":     {6, "", "unchecked", "", own("unknown")},
		"another client":   {2, "CLIENT_REFUSED", "unchecked", "", as(issuer, "other", "https://orders.example", "good")},
		"no login":         {5, "LOGIN_REQUIRED", "unchecked", "", []string{"good", "--issuer", issuer}},
		"no server":        {6, "", "unchecked", "", as("http://127.0.0.1:1", "orders-api", "https://orders.example", "good")},
		"metadata URL":     {2, "", "unchecked", "", as(issuer+"/.well-known/openid-configuration", "orders-api", "https://orders.example", "good")},
		"an empty flag":    {2, "", "unchecked", "", as(issuer, "orders-api", "", "good")},
		"no such flag":     {2, "", "unchecked", "", []string{"good", "--no-such-flag"}},
		"two inputs":       {2, "", "unchecked", "", []string{"-", "--issuer", issuer, "--client-id", "orders-api", "--client-secret-file", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"introspect"}, tt.args...)
			w.stdin = "good"
			if code := w.run(args...); code != tt.code || !strings.HasPrefix(w.stdout.String(), tt.head) || tt.head == "" && w.stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, &w.stdout, &w.stderr)
			}
			if code := w.run(append(args, "--json")...); code != tt.code {
				t.Errorf("--json: exit code %d, want %d\n%s", code, tt.code, &w.stderr)
			}
			validate(t, schema, w.stdout.Bytes())
			var got struct {
				Status string `json:"status"`
				Error  struct {
					ID string `json:"id"`
				} `json:"error"`
			}
			if err := json.Unmarshal(w.stdout.Bytes(), &got, jsontext.AllowDuplicateNames(true)); err != nil {
				t.Fatal(err)
			}
			if got.Status != tt.status || tt.id != "" && got.Error.ID != tt.id || tt.code == 0 && got.Error.ID != "" {
				t.Errorf("%+v, want %s %s", got, tt.status, tt.id)
			}
		})
	}
	for name, text := range map[string]string{
		"valid and inactive":  `{"status":"valid","valid":true,"active":false,"response":{"active":false},"checks":[{"check":"active","status":"passed"}]}`,
		"no response":         `{"status":"valid","valid":true,"active":true,"checks":[{"check":"active","status":"passed"}]}`,
		"invalid, no error":   `{"status":"invalid","valid":false,"active":false,"response":{"active":false},"checks":[{"check":"active","status":"passed"}]}`,
		"unchecked and valid": `{"status":"unchecked","valid":false,"checks":[],"error":{"message":"x","retryable":false,"exit_code":6}}`,
	} {
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		if err != nil || schema.Validate(instance) == nil {
			t.Errorf("the schema lets %s pass", name)
		}
	}
}

// Variables are enough. If there is a session, its client is used.
func TestIntrospectByTheEnvironment(t *testing.T) {
	issuer := introspectingServer(t, map[string]string{"good": `{"active":true,"aud":"https://orders.example","exp":99999999999}`})
	w := newWorld(t, devserver.Config{})
	w.getenv["OAUTHCTL_ISSUER"], w.getenv["OAUTHCTL_CLIENT_ID"], w.getenv["OAUTHCTL_CLIENT_SECRET"] = issuer, "orders-api", "s3cret"
	if code := w.run("introspect", "good", "--json", "--jq", ".active"); code != 0 || w.stdout.String() != "true\n" {
		t.Errorf("by the variables: %d %s%s", code, &w.stdout, &w.stderr)
	}
	clear(w.getenv)
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	if code := w.run("introspect", "--jq", ".response.client_id"); code != 0 || w.stdout.Len() == 0 {
		t.Errorf("the session's own token: %d %s%s", code, &w.stdout, &w.stderr)
	}
	if code := w.run("introspect", "--config", filepath.Join(w.home, "none.yaml"), "-p", "none", "x"); code == 0 {
		t.Errorf("without client and session: %d %s", code, &w.stdout)
	}
}
