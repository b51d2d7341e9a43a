package cmd_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

var urlInText = regexp.MustCompile(`https?://[^\s"'(),;]+`)

// repeatedURL returns a URL that a text contains twice in a row, or "".
func repeatedURL(text string) string {
	before := ""
	for _, found := range urlInText.FindAllString(text, -1) {
		found = strings.TrimRight(found, ":.")
		if found == before {
			return found
		}
		before = found
	}
	return ""
}

// failingServer is an authorization server of which each endpoint can fail.
type failingServer struct {
	*httptest.Server
	mu    sync.Mutex
	fails map[string]http.HandlerFunc // by path
	asked map[string]int              // failed requests by path
	moved map[string]string           // members of the metadata
}

func newFailingServer(t *testing.T) *failingServer {
	t.Helper()
	s := &failingServer{asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fail, moved := s.fails[r.URL.Path], maps.Clone(s.moved)
		if fail != nil {
			s.asked[r.URL.Path]++
		}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case fail != nil:
			fail(w, r)
		case r.URL.Path == "/.well-known/oauth-authorization-server":
			metadata := map[string]string{
				"issuer": s.URL, "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks",
				"introspection_endpoint": s.URL + "/introspect", "revocation_endpoint": s.URL + "/revoke",
			}
			maps.Copy(metadata, moved)
			writeHostile(w, metadata)
		case r.URL.Path == "/jwks":
			fmt.Fprint(w, `{"keys":[]}`)
		case r.URL.Path == "/introspect":
			fmt.Fprint(w, `{"active":true}`)
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"access_token":"an-opaque-token","token_type":"Bearer"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A message contains a URL once, whichever request failed and however.
func TestMessagesDoNotRepeatURLs(t *testing.T) {
	s := newFailingServer(t)
	w := newWorld(t, devserver.Config{})
	secret := writeFile(t, "secret", "s3cret\n")
	client := []string{"--client-id", "orders-api", "--client-secret-file", secret}
	key := w.home + "/key.jwk"
	if code := w.run("jwks", "generate", "--alg", "ES256", "--private-out", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	if code := w.run("sign", "--key", key, "--claim", "iss="+s.URL); code != 0 {
		t.Fatal(&w.stderr)
	}
	signed := strings.TrimSpace(w.stdout.String())
	fetches := map[string]struct {
		path, member string // of the endpoint that fails
		args         []string
	}{
		"discover":   {"/.well-known/oauth-authorization-server", "", []string{"discover", s.URL}},
		"key set":    {"/jwks", "jwks_uri", []string{"verify", signed, "--issuer", s.URL}},
		"--jwks":     {"/jwks", "", []string{"verify", signed, "--jwks", s.URL + "/jwks"}},
		"jwks show":  {"/jwks", "", []string{"jwks", "show", s.URL + "/jwks"}},
		"introspect": {"/introspect", "introspection_endpoint", append([]string{"introspect", "x", "--issuer", s.URL}, client...)},
		"token":      {"/token", "token_endpoint", append([]string{"login", s.URL, "--grant-type", "client_credentials"}, client...)},
		"call":       {"/x", "", []string{"call", "GET", s.URL + "/x", "--no-token"}},
		"openapi":    {"/openapi.json", "", []string{"audit", s.URL, "--openapi", s.URL + "/openapi.json", "--key", key, "--issuer", s.URL}},
	}
	type fault struct {
		handler  http.HandlerFunc
		isAnswer bool // to an API's caller it is data
	}
	faults := map[string]fault{
		"cut off": {breakOff, false}, "no response": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false}, "late": {hang, false},
		"500": {answerJSON(500, `{}`), false}, "404": {answerText(404, "text/html", "<html>"), false}, "HTML": {answerText(200, "text/html", "<html>"), true},
		"redirect": {redirectTo(302, "HERE/elsewhere"), true}, "another place": {redirectTo(307, "HERE/jwks"), true}, "too large": {oversized, true},
	}
	const closed = "http://127.0.0.1:1"
	for name, f := range fetches {
		for fault, answer := range faults {
			if answer.isAnswer && name == "call" {
				continue
			}
			s.mu.Lock()
			s.fails, s.moved = map[string]http.HandlerFunc{f.path: answer.handler, "/.well-known/openid-configuration": http.NotFound}, nil
			s.asked = map[string]int{}
			s.mu.Unlock()
			args := f.args
			if fault == "late" {
				args = append(slices.Clone(args), "--timeout", "50ms")
			}
			w.checkURLs(name+", "+fault, args)
			if s.mu.Lock(); s.asked[f.path] == 0 {
				t.Errorf("%s, %s: %s was not requested\n%s", name, fault, f.path, &w.stderr)
			}
			s.mu.Unlock()
		}
		// Nothing listens, and a server that does not speak TLS.
		for _, where := range []string{closed, strings.Replace(s.URL, "http:", "https:", 1)} {
			s.mu.Lock()
			s.fails, s.moved = nil, map[string]string{f.member: where + f.path}
			s.mu.Unlock()
			args := slices.Clone(f.args)
			if f.member == "" {
				for i := range args {
					args[i] = strings.Replace(args[i], s.URL, where, 1)
				}
			}
			w.checkURLs(name+" at "+where, args)
		}
	}
	for text, want := range map[string]string{
		"the keys: http://a.example/k: failed: http://a.example/k: refused": "http://a.example/k", "http://a.example/k and http://a.example/l": "",
		`got "https://a.example", not https://a.example.`: "https://a.example", "http://a.example, http://b.example, http://a.example": "",
	} {
		if got := repeatedURL(text); got != want {
			t.Errorf("positive control: %q in %q, want %q", got, text, want)
		}
	}
}

// checkURLs runs a command that fails, and looks at its message.
func (w *world) checkURLs(name string, args []string) {
	w.t.Helper()
	code := w.run(append(slices.Clone(args), "--json")...)
	var got struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	for _, out := range []string{w.stdout.String(), w.stderr.String()} {
		if err := json.Unmarshal([]byte(out), &got); err == nil && got.Error.Message != "" {
			break
		}
	}
	switch {
	case code == 0 || got.Error.Message == "":
		w.t.Errorf("%s: exit code %d without a message\n%s%s", name, code, &w.stdout, &w.stderr)
	case repeatedURL(got.Error.Message) != "":
		w.t.Errorf("%s: %s", name, got.Error.Message)
	}
}

// oversized sends more than any document may have, with a body that ends.
func oversized(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	block := []byte(strings.Repeat(" ", 1<<20))
	for range 18 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
