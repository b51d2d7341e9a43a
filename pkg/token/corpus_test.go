package token_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// corpusDir contains the corpus: one file for each group of tokens, keys/ with
// the key sets to verify them, private/ with the keys that signed them. All of
// it is written by TestCorpusIsWhatItsTableSays -update.
const corpusDir = "testdata/corpus"

// corpusFile is a group of tokens and what is expected of them.
type corpusFile struct {
	About    string       `json:"about"`
	Now      time.Time    `json:"now"`
	Issuer   string       `json:"issuer"`
	Audience []string     `json:"audience"`
	Cases    []corpusCase `json:"cases"`
}

// corpusCase is one token with the expected result.
type corpusCase struct {
	Name    string        `json:"name"`
	Token   string        `json:"token"`
	Repeat  int           `json:"repeat,omitzero"` // the token is that many times Token
	Keys    string        `json:"keys"`            // a file in keys/
	Options corpusOptions `json:"options,omitzero"`
	Result  string        `json:"result"` // valid or rejected
	ID      diagnosis.ID  `json:"id,omitempty"`
}

type corpusOptions struct {
	Issuer        string   `json:"issuer,omitempty"`
	Audience      []string `json:"audience,omitempty"`
	Algorithms    []string `json:"algorithms,omitempty"`
	Types         []string `json:"types,omitempty"`
	Require       []string `json:"require,omitempty"`
	ClientIDs     []string `json:"client_ids,omitempty"`
	LeewaySeconds int      `json:"leeway_seconds,omitzero"`
	RFC9068       bool     `json:"rfc9068,omitzero"`
	SkipAudience  bool     `json:"skip_audience,omitzero"`
}

func (c corpusCase) raw() string { return strings.Repeat(c.Token, max(1, c.Repeat)) }

// readCorpus returns the groups by the names of their files.
func readCorpus(tb testing.TB) map[string]corpusFile {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(corpusDir, "*.json"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no corpus: %v", err)
	}
	groups := map[string]corpusFile{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		var f corpusFile
		if err := json.Unmarshal(data, &f, json.RejectUnknownMembers(true)); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		groups[filepath.Base(name)] = f
	}
	return groups
}

// corpusKeys reads a key file by its extension: a key set, one key, or a shared
// secret.
func corpusKeys(name string) (*jwks.Set, error) {
	data, err := os.ReadFile(filepath.Join(corpusDir, "keys", name))
	if err != nil {
		return nil, err
	}
	var key *jwks.Key
	switch filepath.Ext(name) {
	case ".json":
		return jwks.Parse(data)
	case ".secret":
		key, err = jwks.SecretKey(bytes.TrimSpace(data))
	default:
		key, err = jwks.ParsePublic(data)
	}
	if err != nil {
		return nil, err
	}
	return jwks.NewSet(key), nil
}

// corpusExpectation returns what is expected of a case's token.
func corpusExpectation(f corpusFile, c corpusCase) (issuer string, audience []string, o token.Options) {
	issuer, audience = f.Issuer, f.Audience
	if c.Options.Issuer != "" {
		issuer = c.Options.Issuer
	}
	if c.Options.Audience != nil {
		audience = c.Options.Audience
	}
	if c.Options.SkipAudience {
		audience = nil
	}
	return issuer, audience, token.Options{
		Algorithms: c.Options.Algorithms, Types: c.Options.Types, Require: c.Options.Require, ClientIDs: c.Options.ClientIDs,
		Leeway: time.Duration(c.Options.LeewaySeconds) * time.Second, RFC9068: c.Options.RFC9068,
		InsecureSkipAudience: c.Options.SkipAudience, Now: func() time.Time { return f.Now },
	}
}

// results returns the result of each function that verifies a token for a case.
func results(tb testing.TB, f corpusFile, c corpusCase) map[string]error {
	tb.Helper()
	keys, err := corpusKeys(c.Keys)
	if errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	if err != nil {
		return map[string]error{"the key file": err}
	}
	issuer, audience, o := corpusExpectation(f, c)
	v, err := token.NewVerifier(issuer, audience, keys, o)
	if err != nil {
		tb.Fatal(err)
	}
	i, err := token.NewInspector(issuer, audience, keys, o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, raw := tb.Context(), c.raw()
	got, err := v.Verify(ctx, raw)
	if (got == nil) == (err == nil) {
		tb.Errorf("Verify returns %v and %v", got, err)
	}
	report, inspected := v.Report(ctx, raw), i.Report(ctx, raw)
	for _, r := range []*token.Report{report, inspected} {
		if r.Valid != (r.Err() == nil) || r.Valid != (r.Token != nil) {
			tb.Errorf("the report contradicts itself: %+v", r)
		}
	}
	return map[string]error{"Verify": err, "Verifier.Report": report.Err(), "Inspector.Report": inspected.Err()}
}

func TestCorpus(t *testing.T) {
	total, valid := 0, 0
	for file, f := range readCorpus(t) {
		for _, c := range f.Cases {
			t.Run(strings.TrimSuffix(file, ".json")+"/"+c.Name, func(t *testing.T) {
				for way, err := range results(t, f, c) {
					if idOf(err) != c.ID || (err == nil) != (c.Result == "valid") {
						t.Errorf("%s says %v, want %s %s", way, err, c.Result, c.ID)
					}
				}
			})
			total++
			if c.Result == "valid" {
				valid++
			}
		}
	}
	if total < 150 || valid < 12 {
		t.Errorf("%d tokens with %d positive controls, want at least 150 with 12", total, valid)
	}
}

// notInCorpus has the ids of pkg/token and pkg/jwks that no token of the corpus
// can cause.
var notInCorpus = map[string]string{
	"NotChecked":        "only an Inspector that was given less than Strict demands fires it: TestInspectorReportsWhatWasNotChecked",
	"Revoked":           "only an introspection response fires it: TestResponsesReadOneWay",
	"KidSameKeyChanged": "only a key set that has changed fires it: TestKeyOfTheSameName",
}

// TestCorpusFiresEveryID searches the packages' source for the ids they use.
func TestCorpusFiresEveryID(t *testing.T) {
	fired := map[diagnosis.ID]bool{}
	for _, f := range readCorpus(t) {
		for _, c := range f.Cases {
			fired[c.ID] = true
		}
	}
	ids := constantsOf(t, "../diagnosis/ids.go")
	named := map[string]bool{}
	for _, dir := range []string{".", "../jwks"} {
		for name := range idsNamedIn(t, dir) {
			named[name] = true
		}
	}
	if len(named) < 30 {
		t.Errorf("found only %d ids in the source", len(named))
	}
	for name := range named {
		entry, ok := diagnosis.Lookup(ids[name])
		if !ok || entry.Kind != diagnosis.Rejected {
			continue
		}
		reason := notInCorpus[name]
		if !fired[entry.ID] && reason == "" {
			t.Errorf("no token of the corpus fires %s", entry.ID)
		}
		if fired[entry.ID] && reason != "" {
			t.Errorf("%s is excepted and yet fired", entry.ID)
		}
	}
}

// constantsOf returns the string constants of a file by name.
func constantsOf(t *testing.T, file string) map[string]diagnosis.ID {
	t.Helper()
	parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]diagnosis.ID{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if value, ok := spec.Values[0].(*ast.BasicLit); ok {
			found[spec.Names[0].Name] = diagnosis.ID(strings.Trim(value.Value, `"`))
		}
		return true
	})
	return found
}

// idsNamedIn returns the names X of every diagnosis.X in a package.
func idsNamedIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if of, ok := selector.X.(*ast.Ident); ok && of.Name == "diagnosis" {
					named[selector.Sel.Name] = true
				}
			}
			return true
		})
	}
	return named
}

// TestTokenCausesNoRequest verifies tokens that refer to a server in every
// possible way, and counts the requests that arrive.
func TestTokenCausesNoRequest(t *testing.T) {
	forger := newKey(t, "ES256")
	published, err := json.Marshal(jwks.NewSet(forger.Public()))
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write(published)
	}))
	defer server.Close()
	jwk, err := json.Marshal(forger.Public())
	if err != nil {
		t.Fatal(err)
	}
	var embedded map[string]any
	if err := json.Unmarshal(jwk, &embedded); err != nil {
		t.Fatal(err)
	}
	forged := claims(map[string]any{"iss": server.URL, "jwks_uri": server.URL, "cnf": map[string]any{"jku": server.URL}})
	own := newKey(t, "ES256")
	v := verifier(t, token.Options{}, own)
	for name, value := range map[string]any{
		"jku": server.URL, "x5u": server.URL, "jwk": embedded, "x5c": []string{server.URL}, "kid": server.URL, "iss": server.URL, "url": server.URL, "typ": server.URL,
	} {
		for _, c := range []map[string]any{forged, claims(nil)} {
			raw, err := token.SignWithHeader(forger, map[string]any{"alg": "ES256", name: value}, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), raw); err == nil {
				t.Errorf("%s supplied trust", name)
			}
			if v.Report(t.Context(), raw).Valid {
				t.Errorf("%s supplied trust to the report", name)
			}
			if _, err := token.Decode(raw); err != nil {
				t.Error(err)
			}
		}
		raw, err := token.SignWithHeader(own, map[string]any{"alg": "ES256", name: value}, claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), raw); name != "kid" && name != "typ" && err != nil {
			t.Errorf("positive control with %s: %v", name, err)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("tokens caused %d requests", n)
	}
	remote := jwks.NewRemote(server.URL, jwks.RemoteOptions{})
	defer remote.Close()
	if _, err := remote.Keys(context.Background(), jwks.Query{KeyID: forger.ID(), Algorithm: "ES256"}); err != nil || requests.Load() == 0 {
		t.Errorf("positive control: the server can be reached: %v", err)
	}
}
