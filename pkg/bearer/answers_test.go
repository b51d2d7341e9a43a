package bearer_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// answerTest is one request as the client sends it, and the expected answer.
type answerTest struct {
	target  string   // "" means /items
	fields  []string // header field lines
	body    string
	options []bearer.Option
	keys    token.KeySet // nil: the fixture's
	status  int
	params  []challenge.Param // of the one challenge
	id      diagnosis.ID
}

// wants returns the challenge of the fixture's API with an error.
func wants(code, description, scope string) []challenge.Param {
	all := []challenge.Param{{Name: "realm", Value: "items"}}
	if code != "" {
		all = append(all, challenge.Param{Name: "error", Value: code}, challenge.Param{Name: "error_description", Value: description})
	}
	if scope != "" {
		all = append(all, challenge.Param{Name: "scope", Value: scope})
	}
	return append(all, challenge.Param{Name: "resource_metadata", Value: metadata})
}

func withoutCredentials(fields ...string) answerTest {
	return answerTest{fields: fields, status: 401, params: wants("", "", "items:read"), id: diagnosis.CredentialsMissing}
}

func badRequest(fields ...string) answerTest {
	entry, _ := diagnosis.Lookup(diagnosis.CredentialsInvalid)
	return answerTest{
		fields: fields, status: 400, id: entry.ID,
		params: wants("invalid_request", string(entry.ID)+": "+entry.Summary, ""),
	}
}

func invalidToken(raw string, id diagnosis.ID) answerTest {
	entry, _ := diagnosis.Lookup(id)
	return answerTest{
		fields: []string{"Authorization: Bearer " + raw}, status: 401, id: id,
		params: wants("invalid_token", string(id)+": "+entry.Summary, ""),
	}
}

func (a answerTest) at(target string) answerTest { a.target = target; return a }

func (a answerTest) with(options ...bearer.Option) answerTest { a.options = options; return a }

func good(fields ...string) answerTest { return answerTest{fields: fields, status: 200} }

// goodRequests are the requests of the table that are accepted.
func goodRequests(raw string) map[string]answerTest {
	const field = "Authorization: Bearer "
	return map[string]answerTest{
		"good":                        good(field + raw),
		"scheme in lower case":        good("Authorization: bearer " + raw),
		"scheme in any case":          good("Authorization: bEARER " + raw),
		"name in any case":            good("aUTHORIZATION: Bearer " + raw),
		"several spaces":              good("Authorization: Bearer    " + raw),
		"space around":                good("Authorization: \t Bearer " + raw + " \t"),
		"another parameter":           good(field + raw).at("/items?x=access_token&my_access_token=1"),
		"another checker's good word": good(field + raw).with(bearer.Revocation(never{})),
	}
}

// refusedRequests are the requests of the table that are refused.
func refusedRequests(t *testing.T, f *fixture) map[string]answerTest {
	raw := f.token(t, nil)
	field := "Authorization: Bearer " + raw
	unavailable := answerTest{fields: []string{field}, status: 503}
	revocationAway := unavailable.with(bearer.Revocation(revoked{errors.New("away")}))
	revocationAway.id = diagnosis.RevocationUnknown
	keysAway := unavailable
	keysAway.id, keysAway.keys = diagnosis.KeysUnavailable, away{}
	isRevoked := invalidToken(raw, diagnosis.Revoked).with(bearer.Revocation(revoked{}))
	forbidden := func(id diagnosis.ID, change map[string]any) answerTest {
		entry, _ := diagnosis.Lookup(id)
		return answerTest{
			fields: []string{"Authorization: Bearer " + f.token(t, change)}, status: 403, id: id,
			params: wants("insufficient_scope", string(id)+": "+entry.Summary, "items:read"),
		}
	}
	inBody := withoutCredentials("Content-Type: application/x-www-form-urlencoded")
	inBody.body = "access_token=" + raw
	return map[string]answerTest{
		"no credentials":             withoutCredentials(),
		"another scheme":             withoutCredentials("Authorization: Basic YTpi"),
		"DPoP that is not enabled":   withoutCredentials("Authorization: DPoP " + raw),
		"token in the body":          inBody,
		"two fields":                 badRequest(field, field),
		"two fields, one empty":      badRequest(field, "Authorization:"),
		"two fields in two cases":    badRequest(field, "authorization: Basic YTpi"),
		"token in the query alone":   badRequest().at("/items?access_token=" + raw),
		"token in the query as well": badRequest(field).at("/items?a=b&access_token=" + raw),
		"empty token in the query":   badRequest(field).at("/items?access_token"),
		"encoded name in the query":  badRequest(field).at("/items?%61ccess%5Ftoken=x"),
		"after a semicolon":          badRequest(field).at("/items?a=b;access_token=x"),
		"empty field":                badRequest("Authorization:"),
		"scheme alone":               badRequest("Authorization: Bearer"),
		"scheme and spaces":          badRequest("Authorization: Bearer   "),
		"token alone":                badRequest("Authorization: @" + raw),
		"tab for a space":            badRequest("Authorization: Bearer\t" + raw),
		"two tokens":                 badRequest(field + " " + raw),
		"two in a list":              badRequest(field + ", Bearer " + raw),
		"quoted":                     badRequest(`Authorization: Bearer "` + raw + `"`),
		"a parameter":                badRequest("Authorization: Bearer token=" + raw),
		"scheme twice":               badRequest("Authorization: Bearer Bearer " + raw),
		"letters beyond ASCII":       badRequest("Authorization: Bearer ä" + raw),
		"only padding":               badRequest("Authorization: Bearer =="),
		"opaque":                     invalidToken("abc", diagnosis.OpaqueToken),
		"padded":                     invalidToken(raw+"=", diagnosis.Malformed),
		"expired":                    invalidToken(f.token(t, map[string]any{"exp": 1000}), diagnosis.Expired),
		"another audience":           invalidToken(f.token(t, map[string]any{"aud": "x-" + canary}), diagnosis.AudMismatch),
		"another issuer":             invalidToken(f.token(t, map[string]any{"iss": "x-" + canary}), diagnosis.IssMismatch),
		"another key":                invalidToken(newFixture(t, "ES256").token(t, nil), diagnosis.KidUnknown),
		"bound to a key":             invalidToken(f.token(t, map[string]any{"cnf": map[string]string{"jkt": "x"}}), diagnosis.TokenBound),
		"bound to a certificate":     invalidToken(f.token(t, map[string]any{"cnf": map[string]string{"x5t#S256": "x"}}), diagnosis.TokenBound),
		"bound to nothing known":     invalidToken(f.token(t, map[string]any{"cnf": map[string]string{}}), diagnosis.TokenBound),
		"bound to null":              invalidToken(f.token(t, map[string]any{"cnf": nil}), diagnosis.TokenBound),
		"revoked":                    isRevoked,
		"revocation cannot be told":  revocationAway,
		"keys cannot be had":         keysAway,
		"no scope":                   forbidden(diagnosis.ScopeMissing, map[string]any{"scope": "other-" + canary}),
		"scope in permissions":       forbidden(diagnosis.ScopeClaimName, map[string]any{"scope": "", "permissions": []string{"items:read"}}),
	}
}

// TestAnswers sends each request of the answers table over HTTP, byte by byte
// as a client may send it.
func TestAnswers(t *testing.T) {
	f := newFixture(t, "ES256")
	raw := f.token(t, nil)
	for name, tt := range goodRequests(raw) {
		t.Run(name, func(t *testing.T) {
			res, body, _ := f.exchange(t, tt)
			if res.StatusCode != 200 || body != "alice-"+canary {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	for name, tt := range refusedRequests(t, f) {
		t.Run(name, func(t *testing.T) {
			res, body, o := f.exchange(t, tt)
			if res.StatusCode != tt.status {
				t.Fatalf("status %d %v %s, want %d", res.StatusCode, res.Header, body, tt.status)
			}
			if o.token != (tt.status == 403) {
				t.Errorf("the hook was given the token: %v; it is good: %v", o.token, tt.status == 403)
			}
			checkHeader(t, res, tt)
			checkBody(t, body, tt)
			if o.diagnosis == nil || o.diagnosis.ID != tt.id || !strings.Contains(o.log.String(), "id="+string(tt.id)) {
				t.Errorf("hook and log were told %v, %s, want %s", o.diagnosis, o.log.String(), tt.id)
			}
			shown := body + strings.Join(res.Header.Values("WWW-Authenticate"), "")
			if strings.Contains(shown, canary) {
				t.Errorf("the answer shows a value of the token: %s", shown)
			}
			// The last part is enough to recognize the token.
			signature := raw[strings.LastIndex(raw, ".")+1:]
			if all := shown + o.log.String(); strings.Contains(all, signature) {
				t.Errorf("the token itself is shown: %s", all)
			}
		})
	}
}

func checkHeader(t *testing.T, res *http.Response, tt answerTest) {
	t.Helper()
	if got := res.Header.Get("Content-Type") + " " + res.Header.Get("Cache-Control"); got != "application/problem+json no-store" {
		t.Errorf("header %q", got)
	}
	exposed := res.Header.Get("Access-Control-Expose-Headers")
	fields := res.Header.Values("WWW-Authenticate")
	if tt.status == 503 {
		if len(fields) > 0 || res.Header.Get("Retry-After") == "" || exposed != "Retry-After" {
			t.Errorf("a 503 carries Retry-After and no challenge: %v", res.Header)
		}
		return
	}
	got, err := challenge.Parse(fields)
	if err != nil {
		t.Errorf("challenge %q: %v", fields, err)
	}
	if diff := cmp.Diff([]challenge.Challenge{{Scheme: "Bearer", Params: tt.params}}, got); diff != "" || exposed != "WWW-Authenticate" {
		t.Errorf("exposed %q; challenge (-want +got):\n%s", exposed, diff)
	}
}

func checkBody(t *testing.T, body string, tt answerTest) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("body %s: %v", body, err)
	}
	entry, _ := diagnosis.Lookup(tt.id)
	want := map[string]any{"title": http.StatusText(tt.status), "status": float64(tt.status), "detail": entry.Summary, "id": string(tt.id)}
	for _, p := range tt.params {
		if p.Name == "error" || p.Name == "scope" {
			want[p.Name] = p.Value
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// exchange sends a request over a connection of its own. The handler behind the
// middleware fails the test if it is called for a request that must be refused.
func (f *fixture) exchange(t *testing.T, tt answerTest) (*http.Response, string, *told) {
	t.Helper()
	verifier := f.verifier
	if tt.keys != nil {
		verifier = newVerifier(t, tt.keys)
	}
	o := &told{}
	options := append(o.options(), bearer.Scopes("items:read"), bearer.Realm("items"), bearer.ResourceMetadata(metadata))
	guarded := bearer.Require(verifier, append(options, tt.options...)...)(http.HandlerFunc(items))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &watched{ReadCloser: r.Body}
		r.Body = body
		guarded.ServeHTTP(w, r)
		if body.read {
			t.Error("the body was read")
		}
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	target := tt.target
	if target == "" {
		target = "/items"
	}
	lines := append([]string{"POST " + target + " HTTP/1.1", "Host: api.example.com"}, tt.fields...)
	lines = append(lines, "Content-Length: "+strconv.Itoa(len(tt.body)), "Connection: close", "", tt.body)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	// The server's handler has returned, so what it logged can be read.
	server.Close()
	return res, string(body), o
}
