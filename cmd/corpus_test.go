package cmd_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// corpusDir has the tokens of the tests of pkg/token, which describe the format.
const corpusDir = "../pkg/token/testdata/corpus"

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

// args returns the command line that verifies the token of the case.
func (c corpusCase) args(issuer string, audience []string, at time.Time) []string {
	o := c.Options
	if o.Issuer != "" {
		issuer = o.Issuer
	}
	if o.Audience != nil {
		audience = o.Audience
	}
	args := []string{"verify", "-", "--json", "--issuer", issuer, "--at", at.Format(time.RFC3339)}
	key := map[string]string{".json": "--jwks", ".secret": "--secret-file"}[filepath.Ext(c.Keys)]
	if key == "" {
		key = "--key"
	}
	args = append(args, key, filepath.Join(corpusDir, "keys", c.Keys))
	for flag, values := range map[string][]string{"--audience": audience, "--alg": o.Algorithms, "--typ": o.Types, "--require": o.Require} {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	if o.LeewaySeconds > 0 {
		args = append(args, "--leeway", strconv.Itoa(o.LeewaySeconds)+"s")
	}
	if o.RFC9068 {
		args = append(args, "--rfc9068")
	}
	return args
}

// TestCorpus verifies each token of the corpus with the command. An unusable key file is a usage error there. Options
// for which the command has no flag are skipped.
func TestCorpus(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(corpusDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	codes, schema := map[int]int{}, verifySchema(t)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var group struct {
			About    string       `json:"about"`
			Now      time.Time    `json:"now"`
			Issuer   string       `json:"issuer"`
			Audience []string     `json:"audience"`
			Cases    []corpusCase `json:"cases"`
		}
		// An option that this test does not know must not be ignored.
		if err := json.Unmarshal(data, &group, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range group.Cases {
			raw := strings.Repeat(c.Token, max(1, c.Repeat))
			if c.Options.SkipAudience || c.Options.ClientIDs != nil || strings.HasSuffix(raw, "\n") {
				continue
			}
			code, id := judgeByCommand(t, schema, raw, c.args(group.Issuer, group.Audience, group.Now))
			want, wantID := 3, c.ID
			switch {
			case c.Result == "valid":
				want = 0
			case c.ID == diagnosis.KeyRefused && filepath.Ext(c.Keys) != ".json": // the file itself
				want = 2
			}
			if code != want || id != wantID {
				t.Errorf("%s/%s: exit %d %s, want %d %s", filepath.Base(name), c.Name, code, id, want, wantID)
			}
			codes[code]++
		}
	}
	t.Logf("exit codes: %v", codes)
	if codes[0] < 12 || codes[3] < 150 {
		t.Errorf("exit codes: %v", codes)
	}
}

func judgeByCommand(t *testing.T, schema *jsonschema.Schema, raw string, args []string) (int, diagnosis.ID) {
	t.Helper()
	var stdout, stderr strings.Builder
	env := &cmd.Env{
		Stdin: strings.NewReader(raw), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(string) string { return "" }, Now: time.Now,
		ConfigDir: t.TempDir(), StateDir: t.TempDir(), IsTerminal: func(any) bool { return false },
	}
	code := cmd.Run(t.Context(), env, args)
	validate(t, schema, []byte(stdout.String()))
	var shown struct {
		Valid  bool `json:"valid"`
		Checks []struct {
			Status token.Status `json:"status"`
			ID     diagnosis.ID `json:"id"`
		} `json:"checks"`
		Error struct {
			ID diagnosis.ID `json:"id"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(stdout.String()), &shown); err != nil {
		t.Errorf("stdout %.200q: %v", stdout.String(), err)
	}
	if shown.Valid != (code == 0) {
		t.Errorf("valid is %v with exit %d", shown.Valid, code)
	}
	for _, c := range shown.Checks {
		if c.Status == token.Failed {
			if c.ID != shown.Error.ID { // one fault has one id
				t.Errorf("the check says %s, the error %s", c.ID, shown.Error.ID)
			}
			return code, c.ID
		}
	}
	return code, shown.Error.ID
}
