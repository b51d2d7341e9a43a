package cmd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// batchIssuer starts an issuer whose metadata and key set are made for its URL.
func batchIssuer(t *testing.T, metadata func(issuer string) string, keys string) string {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/keys" && keys != "":
			fmt.Fprint(rw, keys)
		case r.URL.Path == "/.well-known/oauth-authorization-server":
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, metadata(server.URL))
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// batchResult is the result of verify for one token.
type batchResult struct {
	line, id string
	code     int
}

// The exit code of a batch is the one of its most severe result, in any order, and each token has the result that
// verify gives.
func TestMixedBatch(t *testing.T) {
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jwks.NewSet(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	of := func(issuer string) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":"%s/keys"}`, issuer, issuer) }
	good := batchIssuer(t, of, string(set))
	issuers := []string{
		good,
		batchIssuer(t, func(string) string { return of(good) }, string(set)), // unsafe
		batchIssuer(t, of, ""), // without a key set: the configuration is wrong
		"http://127.0.0.1:1",   // away
	}
	w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{}}
	now := time.Now().Unix()
	sign := func(issuer string, exp int64) string {
		raw, err := token.Sign(key, "at+jwt", map[string]any{"iss": issuer, "aud": "a", "iat": now - 60, "exp": exp})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	lines := []string{sign(good, now+60), sign(good, now-10), sign(issuers[1], now+60), sign(issuers[2], now+60), sign(issuers[3], now+60), "", "9f2c"}
	var flags []string
	for _, issuer := range issuers {
		flags = append(flags, "--issuer", issuer)
	}
	var results []batchResult
	for _, line := range lines {
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, line+"\n", 0o600)
		code := w.run(append([]string{"verify", "@" + file, "--json"}, flags...)...)
		results = append(results, batchResult{line, reportedID(t, w.stdout.Bytes()), code})
	}
	codes := []int{}
	for _, r := range results {
		codes = append(codes, r.code)
	}
	if want := []int{0, 3, 7, 2, 6, 3, 3}; !slices.Equal(codes, want) {
		t.Fatalf("one token each: %v, want %v", codes, want)
	}
	for subset := 1; subset < 1<<len(results); subset++ {
		var chosen []batchResult
		for i, r := range results {
			if subset>>i&1 == 1 {
				chosen = append(chosen, r)
			}
		}
		if subset%2 == 1 {
			slices.Reverse(chosen)
		}
		checkBatch(t, w, flags, chosen)
	}
}

// checkBatch runs a batch of tokens in both forms of output.
func checkBatch(t *testing.T, w *world, flags []string, tokens []batchResult) {
	t.Helper()
	var input, want strings.Builder
	codes, blank := []int{}, true
	for _, one := range tokens {
		codes, blank = append(codes, one.code), blank && one.line == ""
		fmt.Fprintln(&input, one.line)
		id := one.id
		if id == "" {
			id = "valid"
		}
		fmt.Fprintln(&want, id)
	}
	code := 0
	for _, kind := range []int{6, 2, 7, 3} { // from the least severe
		if slices.Contains(codes, kind) {
			code = kind
		}
	}
	if blank {
		code = 2 // the batch is empty
	}
	w.stdin = input.String()
	if got := w.run(append([]string{"verify", "--batch"}, flags...)...); got != code || w.stdout.String() != want.String() {
		t.Errorf("%v: exit %d, want %d\n%swant\n%s%s", codes, got, code, &w.stdout, &want, &w.stderr)
	}
	if got := w.run(append([]string{"verify", "--batch", "--json"}, flags...)...); got != code {
		t.Errorf("%v with --json: exit %d, want %d\n%s", codes, got, code, &w.stderr)
	}
	shown := strings.Split(w.stdout.String(), "\n") // of an empty batch the error follows
	for i, one := range tokens {
		if id := reportedID(t, []byte(shown[i])); id != one.id {
			t.Errorf("%v with --json, line %d: %s, want %s", codes, i+1, id, one.id)
		}
	}
	w.stdin = ""
}

func reportedID(t *testing.T, report []byte) string {
	t.Helper()
	var shown struct {
		Error struct {
			ID string `json:"id"`
		} `json:"error"`
	}
	if err := json.Unmarshal(report, &shown); err != nil {
		t.Fatalf("%v in %s", err, report)
	}
	return shown.Error.ID
}
