package bearer_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// corpusDir has the tokens of the tests of pkg/token, which describe the
// format.
const corpusDir = "../token/testdata/corpus"

// corpusFile is a group of tokens.
type corpusFile struct {
	About    string       `json:"about"`
	Now      time.Time    `json:"now"`
	Issuer   string       `json:"issuer"`
	Audience []string     `json:"audience"`
	Cases    []corpusCase `json:"cases"`
}

// corpusCase is one token with the expected result.
type corpusCase struct {
	Name    string       `json:"name"`
	Token   string       `json:"token"`
	Repeat  int          `json:"repeat"`
	Keys    string       `json:"keys"`
	Result  string       `json:"result"`
	ID      diagnosis.ID `json:"id"`
	Options struct {
		Issuer        string   `json:"issuer"`
		Audience      []string `json:"audience"`
		Algorithms    []string `json:"algorithms"`
		Types         []string `json:"types"`
		Require       []string `json:"require"`
		ClientIDs     []string `json:"client_ids"`
		LeewaySeconds int      `json:"leeway_seconds"`
		RFC9068       bool     `json:"rfc9068"`
		SkipAudience  bool     `json:"skip_audience"`
	} `json:"options"`
}

func readCorpus(t *testing.T) map[string]corpusFile {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(corpusDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]corpusFile{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var f corpusFile
		// An option that this test does not know must not be ignored.
		if err := json.Unmarshal(data, &f, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		groups[strings.TrimSuffix(filepath.Base(name), ".json")] = f
	}
	return groups
}

// verifier returns the case's verifier, or the error of its key file.
func (c corpusCase) verifier(t *testing.T, f corpusFile) (*token.Verifier, error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpusDir, "keys", c.Keys))
	if err != nil {
		t.Fatal(err)
	}
	set, key := (*jwks.Set)(nil), (*jwks.Key)(nil)
	switch filepath.Ext(c.Keys) {
	case ".json":
		set, err = jwks.Parse(data)
	case ".secret":
		key, err = jwks.SecretKey(bytes.TrimSpace(data))
	default:
		key, err = jwks.ParsePublic(data)
	}
	if err != nil {
		return nil, err
	}
	if set == nil {
		set = jwks.NewSet(key)
	}
	o := c.Options
	issuer, audience := f.Issuer, f.Audience
	if o.Issuer != "" {
		issuer = o.Issuer
	}
	if o.Audience != nil {
		audience = o.Audience
	}
	v, err := token.NewVerifier(issuer, audience, set, token.Options{
		Algorithms: o.Algorithms, Types: o.Types, Require: o.Require, ClientIDs: o.ClientIDs, InsecureSkipAudience: o.SkipAudience,
		Leeway: time.Duration(o.LeewaySeconds) * time.Second, RFC9068: o.RFC9068, Now: func() time.Time { return f.Now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, nil
}

// token68 is the syntax of what follows a scheme (RFC 9110, section 11.2); HTTP
// does not allow anything else in a token there.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// answer returns the answer to a request with the token. White space around a
// token is removed by HTTP before the token is read.
func (c corpusCase) answer(good map[string]bool) (status int, id diagnosis.ID) {
	raw := strings.Repeat(c.Token, max(1, c.Repeat))
	bare := strings.Trim(raw, " \t")
	switch {
	case c.Result == "valid", bare != raw && good[bare]:
		return http.StatusOK, ""
	case !token68.MatchString(bare):
		return http.StatusBadRequest, diagnosis.CredentialsInvalid
	}
	return http.StatusUnauthorized, c.ID
}

// TestCorpus sends each token of the corpus to an API.
func TestCorpus(t *testing.T) {
	var current atomic.Pointer[http.Handler]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*current.Load()).ServeHTTP(w, r) }))
	// The largest token of the corpus must reach the middleware.
	server.Config.MaxHeaderBytes = 2 << 20
	server.Start()
	defer server.Close()
	total, statuses := 0, map[int]int{}
	for file, f := range readCorpus(t) {
		good := map[string]bool{}
		for _, c := range f.Cases {
			good[c.Token] = c.Result == "valid"
		}
		for _, c := range f.Cases {
			v, err := c.verifier(t, f)
			if err != nil {
				// Without a key no middleware can be made.
				if idOfError(err) != c.ID {
					t.Errorf("%s/%s: %v", file, c.Name, err)
				}
				continue
			}
			h := bearer.Require(v)(http.HandlerFunc(items))
			current.Store(&h)
			raw := strings.Repeat(c.Token, max(1, c.Repeat))
			wantStatus, wantID := c.answer(good)
			status, id := send(t, server, h, raw)
			if status != wantStatus || id != wantID {
				t.Errorf("%s/%s: %d %s, want %d %s", file, c.Name, status, id, wantStatus, wantID)
			}
			total++
			statuses[status]++
		}
	}
	t.Logf("%d tokens: %v", total, statuses)
	if total < 150 || statuses[200] < 12 || statuses[401] < 100 {
		t.Errorf("%d tokens: %v", total, statuses)
	}
}

// send sends a token over a connection, or calls the middleware directly if no
// client or server would transport the token.
func send(t *testing.T, server *httptest.Server, h http.Handler, raw string) (int, diagnosis.ID) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/items", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	if strings.ContainsFunc(raw, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, problemID(t, w.Body.Bytes())
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, ""
	}
	return res.StatusCode, problemID(t, body)
}

func problemID(t *testing.T, body []byte) diagnosis.ID {
	t.Helper()
	var problem struct {
		ID diagnosis.ID `json:"id"`
	}
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Errorf("body %.200q: %v", body, err)
	}
	return problem.ID
}

func idOfError(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}
