package cmd

import (
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// A command has one exit code for one input, with --json, with --quiet and
// without, and --quiet prints nothing where only the result was wanted.
func TestExitCodeIsThatOfTheInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	key := generate(t)
	_, keys := writeKeySet(t, dir, key)
	tokens := agreementTokens(t, key, generate(t))
	for name, tt := range map[string]struct {
		code int
		args []string
	}{
		"no usable key":    {3, []string{"jwks", "show", file("x25519.json", `{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"}]}`)}},
		"an empty key set": {3, []string{"jwks", "show", file("none.json", `{"keys":[]}`)}},
		"no key set":       {2, []string{"jwks", "show", file("text", `hello`)}},
		"a usable key":     {0, []string{"jwks", "show", keys}},
		"valid":            {0, []string{"verify", tokens["good"], "--jwks", keys}},
		"expired":          {3, []string{"verify", tokens["expired"], "--jwks", keys}},
		"keys away":        {6, []string{"verify", tokens["good"], "--jwks", "http://127.0.0.1:1/"}},
		"a scope missing":  {4, []string{"check", tokens["good"], "--jwks", keys, "--scope", "write"}},
		"opaque":           {3, []string{"verify", tokens["opaque"], "--jwks", keys}},
		"decoded":          {0, []string{"decode", tokens["malformed"]}},
		"no token":         {3, []string{"decode", "@" + file("nothing", "")}},
		"explained":        {0, []string{"explain", "EXPIRED"}},
		"not explained":    {2, []string{"explain", "EXPRED"}},
		"not logged in":    {5, []string{"status"}},
		"introspect":       {6, []string{"introspect", tokens["good"], "--issuer", "http://127.0.0.1:1", "--client-id", "a"}},
		"discover":         {6, []string{"discover", "http://127.0.0.1:1"}},
	} {
		for _, form := range []string{"", "--json", "--quiet"} {
			args := tt.args
			if form != "" {
				args = append(append([]string{}, args...), form)
			}
			code, stdout, stderr := runOffline(t, "", args...)
			if code != tt.code {
				t.Errorf("%s %s: exit %d, want %d\n%s%s", name, form, code, tt.code, stdout, stderr)
			}
			isResult := args[0] == "verify" || args[0] == "check"
			if form == "--quiet" && isResult && stdout+stderr != "" {
				t.Errorf("%s --quiet prints %q", name, stdout+stderr)
			}
			if form != "--quiet" && stdout+stderr == "" {
				t.Errorf("%s %s prints nothing", name, form)
			}
		}
	}
}

// The URL of an issuer's metadata is no issuer, and the hint has the issuer.
func TestIssuerIsNotItsMetadata(t *testing.T) {
	for given, want := range map[string]string{
		"https://as.example/.well-known/openid-configuration":                    "https://as.example",
		"https://as.example/.well-known/oauth-authorization-server":              "https://as.example",
		"https://as.example/.well-known/oauth-authorization-server/tenant/1":     "https://as.example/tenant/1",
		"https://as.example/realms/r/.well-known/openid-configuration":           "https://as.example/realms/r",
		"http://127.0.0.1:1/.well-known/oauth-authorization-server":              "http://127.0.0.1:1",
		"https://as.example/.well-known/openid-configuration/a path with spaces": "'https://as.example/a path with spaces'",
	} {
		code, _, stderr := runOffline(t, "", "verify", "a.b.c", "--issuer", given)
		if code != 2 || !strings.Contains(stderr, "is the URL of the metadata") || !strings.HasSuffix(strings.TrimSpace(stderr), "probably "+want) {
			t.Errorf("%s: exit %d %s", given, code, stderr)
		}
	}
	if code, _, stderr := runOffline(t, "", "verify", "a.b.c", "--issuer", "https://as.example/well-known/x"); code != 3 || strings.Contains(stderr, "metadata") {
		t.Errorf("another path: exit %d %s", code, stderr)
	}
}

// A secret that is stored in another form than the issuer uses it is not
// accepted, and the form is named. The secret itself is never shown.
func TestSecretInAnotherForm(t *testing.T) {
	secret := "0123456789abcdef-shared-\x01\xfe-0123456789"
	key, err := jwks.SecretKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.SignWithSecret(key, map[string]any{"alg": "HS256"}, map[string]any{"iss": "https://as.example", "exp": 4102444800})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		code int
		form string
	}{
		"as it is":    {secret, 0, ""},
		"a JWK":       {`{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(secret)) + `"}`, 0, ""},
		"base64":      {base64.StdEncoding.EncodeToString([]byte(secret)), 3, "base64"},
		"base64url":   {base64.RawURLEncoding.EncodeToString([]byte(secret)) + "\n", 3, "base64"},
		"hexadecimal": {hex.EncodeToString([]byte(secret)), 3, "hex"},
		"another":     {strings.Repeat("x", 40), 3, ""},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, tt.text)
		code, stdout, stderr := runOffline(t, "", "verify", raw, "--secret-file", file)
		named := strings.Contains(stderr, "decoded from "+tt.form) && tt.form != ""
		if code != tt.code || named != (tt.form != "") || strings.Contains(stdout+stderr, strings.TrimSpace(tt.text)) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", name, code, tt.code, tt.form, stderr)
		}
	}
}
