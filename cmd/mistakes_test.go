package cmd_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// For a mistake on the command line, in a file or in a setting, the commands that verify never exit with 1, which
// suggests a bug. TOKEN, DIR and NONE are a valid token, a directory and a file that does not exist; the other names
// are files.
func TestNoMistakeExitsWithOne(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	key := w.home + "/key.jwk"
	if code := w.run("jwks", "generate", "--alg", "ES256", "--private-out", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	keys := writeFile(t, "keys.json", w.stdout.String())
	if code := w.run("sign", "--key", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	words := strings.NewReplacer(
		"TOKEN", strings.TrimSpace(w.stdout.String()), "DIR", t.TempDir(), "NONE", w.home+"/none", "KEYS", keys, "KEY", key,
		"TEXT", writeFile(t, "text", "hello\n"), "EMPTY", writeFile(t, "empty", ""), "BINARY", writeFile(t, "binary", "\x9f\x00\xff"),
		"POLICY", writeFile(t, "policy.yaml", "issuer: https://as.example\naudience: a\nroutes: {\"GET /x\": {}}\n"),
		"BROKEN", writeFile(t, "broken.yaml", "issuer: [\n"),
		"CLOSED", "http://127.0.0.1:1",
	)
	const lines = `verify | verify @DIR | verify @NONE | verify @EMPTY | verify @BINARY | verify TOKEN --jwks DIR | verify TOKEN --jwks NONE | verify TOKEN --jwks TEXT
		verify TOKEN --jwks BINARY | verify TOKEN --jwks ftp://x/y | verify TOKEN --jwks http://as.example/ | verify TOKEN --key DIR | verify TOKEN --key TEXT
		verify TOKEN --key EMPTY | verify TOKEN --key KEYS --jwks KEYS | verify TOKEN --secret-file DIR | verify TOKEN --secret-file NONE | verify TOKEN --secret-file EMPTY
		verify TOKEN --secret-file KEY | verify --batch=DIR | verify --batch=NONE | verify --batch=EMPTY | verify --batch=BINARY --jwks KEYS | verify TOKEN --at yesterday
		verify TOKEN --accept nonsense | verify TOKEN --alg nonsense | verify TOKEN --leeway x | verify TOKEN --leeway -1s | verify TOKEN --issuer nourl
		verify TOKEN --issuer http://as.example | verify TOKEN --issuer https://a.example --issuer https://a.example | verify TOKEN --config DIR | verify TOKEN -p none
		verify TOKEN --jwks https://127.0.0.1:1 --ca-cert NONE | verify TOKEN --jwks https://127.0.0.1:1 --ca-cert TEXT | verify TOKEN --jq .[ | verify TOKEN --nonsense
		check TOKEN | check TOKEN --claim x | check TOKEN --claim a~[ | check TOKEN --operation x | check TOKEN --policy DIR --operation x | check TOKEN --policy NONE --operation x
		check TOKEN --policy BROKEN --operation x | check TOKEN --policy KEYS --operation x | check TOKEN --policy POLICY --operation x | check TOKEN --policy POLICY
		check TOKEN --policy POLICY --cases NONE | check --policy POLICY --cases BROKEN | check --policy POLICY --cases DIR
		decode | decode @DIR | decode @EMPTY | decode @BINARY | decode @TEXT | decode a b | explain | explain nonsense
		jwks show | jwks show DIR | jwks show NONE | jwks show TEXT | jwks show BINARY | jwks show CLOSED | jwks show ftp://x | jwks thumbprint DIR | jwks thumbprint TEXT
		jwks convert KEY | jwks convert --to nonsense KEY | jwks convert --to pem TEXT | jwks generate --alg nonsense | jwks generate --alg RS256 --bits 3
		jwks generate --alg ES256 --bits 2048 | jwks generate --alg ES256 --private-out NONE/x
		sign | sign --key NONE | sign --key DIR | sign --key TEXT | sign --key KEY --claim x | sign --key KEY --claim x:=} | sign --key KEY --alg RS256 | sign --secret-file TEXT
		sign --key KEY --header alg=none | sign --key KEY --expires-in x
		introspect x | introspect x --issuer nourl | introspect x --issuer CLOSED --client-id a | introspect x --issuer CLOSED --client-id a --client-secret-file NONE
		introspect x --issuer CLOSED --client-id a --signing-key TEXT | introspect x --issuer CLOSED --client-id a --auth-method nonsense
		introspect x --issuer CLOSED --client-id a --client-assertion ci:nonsense
		guard --upstream x --policy POLICY | guard --upstream CLOSED --policy NONE | guard --upstream CLOSED --policy BROKEN | guard --upstream CLOSED --policy DIR`
	n, schema := 0, verifySchema(t)
	for line := range strings.SplitSeq(strings.ReplaceAll(lines, "\n", "|"), "|") {
		n++
		if code := w.run(strings.Fields(words.Replace(line))...); code <= 1 {
			t.Errorf("%s: exit code %d\n%s%s", strings.TrimSpace(line), code, &w.stdout, &w.stderr)
		}
		// With --json each of them is a report too, whatever was wrong.
		words := strings.Fields(words.Replace(line))
		isReport := words[0] == "verify" && !strings.Contains(line, "--batch") || words[0] == "check" && !strings.Contains(line, "--cases")
		if isReport && !strings.Contains(line, "--jq") {
			w.run(append(words, "--json")...)
			validate(t, schema, w.stdout.Bytes())
		}
	}
	if n < 90 {
		t.Errorf("only %d mistakes", n)
	}
	if code := w.run("verify", words.Replace("TOKEN"), "--jwks", keys); code != 0 {
		t.Errorf("positive control: %d %s", code, &w.stderr)
	}
}
