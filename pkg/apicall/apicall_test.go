package apicall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "token-canary"

// tokens returns canary-1, canary-2 and so on, a new one after each rejection.
type tokens struct{ n int }

func (s *tokens) Token(_ context.Context, rejected secret.String) (apicall.AccessToken, error) {
	if s.n == 0 || !rejected.IsZero() {
		s.n++
	}
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(fmt.Sprint(canary, "-", s.n))}, nil
}

// receiver counts the requests to a server.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	tokens []string
	bodies []string
}

func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.tokens = append(r.tokens, strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.tokens...)
}

func newClient(t *testing.T, api string) *apicall.Client {
	transport := safehttp.NewTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &apicall.Client{HTTP: &safehttp.Client{Transport: transport}, API: api, Source: &tokens{}}
}

func do(t *testing.T, c *apicall.Client, r apicall.Request) (int, error) {
	t.Helper()
	if r.Method == "" {
		r.Method = "GET"
	}
	res, err := c.Do(t.Context(), r)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res.StatusCode, nil
}

func ok(http.ResponseWriter, *http.Request) {}

func TestURL(t *testing.T) {
	c := &apicall.Client{API: "https://host/v1", Source: &tokens{}, AllowOrigins: []string{"https://other.example/x"}}
	for target, want := range map[string]string{
		"/items":                     "https://host/v1/items",
		"items?x=1":                  "https://host/v1/items?x=1",
		"/a%2Fb":                     "https://host/v1/a%2Fb",
		"https://host/elsewhere":     "https://host/elsewhere",
		"https://HOST:443/elsewhere": "https://HOST:443/elsewhere",
		"https://other.example/y":    "https://other.example/y",
		"//evil.example/x":           "https://host/v1//evil.example/x",
	} {
		u, err := c.URL(target)
		if err != nil || u.String() != want {
			t.Errorf("URL(%q) = %v, %v, want %s", target, u, err, want)
		}
	}
	for _, target := range []string{
		"https://evil.example/", "https://host:444/", "https://host.evil.example/", "https://sub.host/", "http://host/", "ftp://host/",
		"/../admin", "/a/../../admin", "/./x", `/..\admin`, "/%2e%2e/admin", "https://u:p@host/", "/a#b",
	} {
		if u, err := c.URL(target); err == nil {
			t.Errorf("URL(%q) = %v, want an error", target, u)
		}
	}
	var d *diagnosis.Diagnosis
	if _, err := c.URL("https://evil.example/"); !errors.As(err, &d) || d.ID != diagnosis.OriginRefused {
		t.Errorf("another origin: %v", err)
	}
	c.Source = nil
	if _, err := c.URL("https://evil.example/"); err != nil {
		t.Errorf("without a token any origin may be called: %v", err)
	}
}

// The token is sent to the API's origin and nowhere else, for every redirect.
func TestTokenStaysWithItsOrigin(t *testing.T) {
	elsewhere := newReceiver(t, ok)
	var back *receiver
	away := newReceiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, back.URL+"/end", http.StatusFound) })
	back = newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/out":
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusTemporaryRedirect)
		case "/out-and-back":
			http.Redirect(w, r, away.URL+"/y", http.StatusFound)
		case "/within":
			http.Redirect(w, r, "/end", http.StatusMovedPermanently)
		case "/localhost":
			http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+"/x", http.StatusFound)
		}
	})
	tests := []struct {
		path            string
		api, off, round []string
		dropped         int
	}{
		{"/within", []string{canary + "-1", canary + "-1"}, nil, nil, 0},
		{"/out", []string{canary + "-1"}, []string{""}, nil, 1},
		{"/localhost", []string{canary + "-1"}, []string{""}, nil, 1},
		{"/out-and-back", []string{canary + "-1", ""}, nil, []string{""}, 1},
	}
	for _, tt := range tests {
		back.tokens, elsewhere.tokens, away.tokens = nil, nil, nil
		c := newClient(t, back.URL)
		dropped := 0
		c.Dropped = func(_, _ *url.URL) { dropped++ }
		if status, err := do(t, c, apicall.Request{Target: tt.path, Header: http.Header{"Cookie": {canary}}}); err != nil || status != 200 {
			t.Errorf("%s: %d, %v", tt.path, status, err)
		}
		for name, pair := range map[string][2][]string{"API": {tt.api, back.seen()}, "elsewhere": {tt.off, elsewhere.seen()}, "away": {tt.round, away.seen()}} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.path, name, diff)
			}
		}
		if dropped != tt.dropped {
			t.Errorf("%s: told %d times that the token stayed behind", tt.path, dropped)
		}
	}
}

func TestRenewsOnce(t *testing.T) {
	challenge := func(w http.ResponseWriter, code string) {
		w.Header().Set("WWW-Authenticate", `Bearer error="`+code+`"`)
		w.WriteHeader(401)
	}
	accepts := func(token string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				challenge(w, "invalid_token")
			}
		}
	}
	bare := func(challenge string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		r      apicall.Request
		status int
		want   []string
	}{
		"renewed and repeated":    {accepts(canary + "-2"), apicall.Request{}, 200, []string{canary + "-1", canary + "-2"}},
		"at most two requests":    {accepts("never"), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"with its body":           {accepts(canary + "-2"), apicall.Request{Method: "POST", Body: apicall.Text("x")}, 200, []string{canary + "-1", canary + "-2"}},
		"not from a stream":       {accepts(canary + "-2"), apicall.Request{Method: "POST", Body: apicall.Stream(strings.NewReader("x"))}, 401, []string{canary + "-1"}},
		"good at once":            {accepts(canary + "-1"), apicall.Request{}, 200, []string{canary + "-1"}},
		"401 without challenge":   {bare(""), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"401 with Bearer alone":   {bare("Bearer"), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"401 with a realm":        {bare(`Bearer realm="api"`), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"401 with Basic":          {bare(`Basic realm="api"`), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"401 with a scope":        {bare(`Bearer scope="a", resource_metadata="https://x.example/"`), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"unknown error":           {bare(`Bearer error="token_stale"`), apicall.Request{}, 401, []string{canary + "-1", canary + "-2"}},
		"insufficient_scope":      {func(w http.ResponseWriter, _ *http.Request) { challenge(w, "insufficient_scope") }, apicall.Request{}, 401, []string{canary + "-1"}},
		"insufficient user authn": {func(w http.ResponseWriter, _ *http.Request) { challenge(w, "insufficient_user_authentication") }, apicall.Request{}, 401, []string{canary + "-1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			api := newReceiver(t, tt.answer)
			tt.r.Target = "/x"
			status, err := do(t, newClient(t, api.URL), tt.r)
			if err != nil || status != tt.status {
				t.Errorf("%d, %v", status, err)
			}
			if diff := cmp.Diff(tt.want, api.seen()); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusesWhatWouldChangeTheRequest(t *testing.T) {
	api := newReceiver(t, ok)
	for name, header := range map[string]http.Header{
		"own Authorization": {"Authorization": {"Basic x"}}, "in another case": {"authorization": {"Basic x"}},
		"line break": {"X-A": {"a\r\nB: c"}}, "name with space": {"X A": {"a"}},
	} {
		if _, err := do(t, newClient(t, api.URL), apicall.Request{Target: "/x", Header: header}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := len(api.seen()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	c := newClient(t, api.URL)
	c.Source = nil
	if _, err := do(t, c, apicall.Request{Target: "/x", Header: http.Header{"Authorization": {"Basic x"}}}); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]struct {
		status    int
		challenge string
		want      diagnosis.ID
		expected  string
	}{
		"good":                                  {200, "", "", ""},
		"scope":                                 {403, `Basic realm="x", Bearer error="insufficient_scope", scope="a b"`, diagnosis.ScopeMissing, "a b"},
		"403 without reason":                    {403, "", diagnosis.APIForbidden, ""},
		"our own middleware":                    {401, `Bearer error="invalid_token", error_description="REVOKED: the token was revoked"`, diagnosis.Revoked, ""},
		"another's words":                       {401, `Bearer error="invalid_token", error_description="jwt expired"`, diagnosis.APIUnauthorized, ""},
		"no credentials":                        {401, `Bearer realm="x"`, diagnosis.CredentialsMissing, ""},
		"401 alone":                             {401, "", diagnosis.APIUnauthorized, ""},
		"an id of a kind that no API may claim": {401, `Bearer error="invalid_token", error_description="STORE_LOCKED: x"`, diagnosis.APIUnauthorized, ""},
		"step up":                               {401, `Bearer error="insufficient_user_authentication", acr_values="gold", max_age="5"`, diagnosis.StepUpRequired, "acr gold and a login at most 5 s ago"},
		"not found":                             {404, "", diagnosis.APIError, ""},
		"server error":                          {500, "", diagnosis.APIError, ""},
	}
	for name, tt := range tests {
		res := &http.Response{StatusCode: tt.status, Header: http.Header{}}
		if tt.challenge != "" {
			res.Header.Set("WWW-Authenticate", tt.challenge)
		}
		var d *diagnosis.Diagnosis
		if r := apicall.Refused(res); r != nil {
			d = r.Diagnosis
		}
		if d == nil != (tt.want == "") || d != nil && (d.ID != tt.want || d.Expected.String() != tt.expected) {
			t.Errorf("%s: Refused = %+v, want %s", name, d, tt.want)
		}
	}
}
