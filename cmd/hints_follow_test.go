package cmd_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// hintFlag matches a flag in a hint.
var hintFlag = regexp.MustCompile(`--[a-z][a-z0-9-]*`)

// The example of RFC 8037, appendix A.4, whose payload is text.
const (
	rfc8037Key   = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfc8037Token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

// Following a hint of verify or check changes the result: with the flags or the command in the hint, and without any
// others. No hint suggests the same command again.
func TestHintsAreFollowed(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	run := func(args ...string) string {
		if code := w.run(args...); code != 0 {
			t.Fatalf("%v: %d %s", args, code, &w.stderr)
		}
		return w.stdout.String()
	}
	keys := write("keys.json", run("jwks", "generate", "--alg", "ES256", "--private-out", file("key.jwk")))
	secret := write("secret", strings.Repeat("secret 7", 5))
	encoded := write("encoded", "c2VjcmV0IDdzZWNyZXQgN3NlY3JldCA3c2VjcmV0IDdzZWNyZXQgNw==")
	none := write("none.json", `{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`)
	token := func(name string, more ...string) string {
		return "@" + write(name, run(append([]string{"sign", "--key", file("key.jwk"), "--claim", "iss=https://as.example", "--claim", "aud=https://api.example"}, more...)...))
	}
	good := token("good", "--claim", "scope=a", "--claim", `roles$(id):=["b"]`, "--claim", "groups:=[]")
	raw := strings.TrimSpace(strings.TrimPrefix(run("sign", "--key", file("key.jwk"), "--typ", "JWT"), "\n"))
	_, afterHeader, _ := strings.Cut(raw, ".")
	withHeader := func(name, header string) string {
		return "@" + write(name, base64.RawURLEncoding.EncodeToString([]byte(header))+"."+afterHeader)
	}
	for name, tt := range map[string]struct {
		id   string
		args []string
		// follow is the command that the hint suggests. It is nil if only the issuer or the operator can fix the fault,
		// so that the hint has no flag and no command.
		follow []string
	}{
		"an algorithm of RFC 7518 that others have": {"ALG_UNSUPPORTED", []string{"verify", withHeader("rs1", `{"alg":"ES256K"}`), "--jwks", keys}, nil},
		"an algorithm that is not listed":           {"ALG_NOT_ALLOWED", []string{"verify", good, "--jwks", keys, "--alg", "RS256"}, []string{"verify", good, "--jwks", keys, "--alg", "RS256", "--alg", "ES256"}},
		"a header of another type":                  {"HEADER_INVALID", []string{"verify", withHeader("typ5", `{"alg":"ES256","typ":5}`), "--jwks", keys}, []string{"decode", "@" + file("typ5")}},
		"crit":                                      {"CRIT_UNSUPPORTED", []string{"verify", withHeader("crit", `{"alg":"ES256","crit":["x"]}`), "--jwks", keys}, []string{"decode", "@" + file("crit")}},
		"a letter too many":                         {"MALFORMED", []string{"verify", "@" + write("pasted", "Bearer "+raw), "--jwks", keys}, []string{"decode", "@" + file("pasted")}},
		"another typ":                               {"TYP_REFUSED", []string{"verify", token("invite", "--typ", "invite+jwt"), "--jwks", keys}, []string{"verify", "@" + file("invite"), "--jwks", keys, "--typ", "invite+jwt"}},
		"a logout token":                            {"TYP_REFUSED", []string{"verify", token("logout", "--typ", "JWT", "--claim", `events:={"http://schemas.openid.net/event/backchannel-logout":{}}`), "--jwks", keys}, []string{"verify", "@" + file("logout"), "--jwks", keys, "--accept", "logout_token"}},
		"an ID token":                               {"ID_TOKEN_AS_ACCESS", []string{"verify", token("id", "--typ", "JWT", "--claim", "at_hash=x"), "--jwks", keys}, []string{"verify", "@" + file("id"), "--jwks", keys, "--accept", "id_token"}},
		"a refresh token":                           {"REFRESH_TOKEN_AS_ACCESS", []string{"verify", token("refresh", "--typ", "JWT", "--claim", "typ=Offline"), "--jwks", keys}, nil},
		"a shared secret":                           {"HS_TOKEN_NO_SECRET", []string{"verify", "@" + write("hs", run("sign", "--secret-file", secret)), "--jwks", keys}, []string{"verify", "@" + file("hs"), "--secret-file", secret}},
		"a secret in base64":                        {"SIGNATURE_INVALID", []string{"verify", "@" + file("hs"), "--secret-file", encoded}, nil},
		"no usable key":                             {"KEY_SET_EMPTY", []string{"verify", good, "--jwks", none}, []string{"jwks", "show", none}},
		"another kid":                               {"KID_UNKNOWN", []string{"verify", token("kid", "--header", "kid=other"), "--jwks", keys}, []string{"jwks", "show", keys}},
		"no key to trust":                           {"TRUST_UNKNOWN", []string{"verify", good}, []string{"verify", good, "--issuer", "https://as.example"}},
		"the audience":                              {"AUD_MISMATCH", []string{"verify", good, "--jwks", keys, "--audience", "https://x.example"}, []string{"verify", good, "--jwks", keys, "--audience", "https://x.example", "--audience", "https://api.example"}},
		"nothing expected":                          {"NOT_CHECKED", []string{"verify", good, "--jwks", keys, "--strict", "--issuer", "https://as.example"}, []string{"verify", good, "--jwks", keys, "--strict", "--issuer", "https://as.example", "--audience", "https://api.example"}},
		"not yet":                                   {"CLOCK_SKEW", []string{"verify", token("ahead", "--claim", "iat:=99999999880", "--claim", "exp:=99999999999"), "--jwks", keys, "--at", "99999999800"}, []string{"verify", "@" + file("ahead"), "--jwks", keys, "--at", "99999999800", "--leeway", "2m"}},
		"a claim":                                   {"CLAIM_MISSING", []string{"verify", good, "--jwks", keys, "--require", "groups"}, []string{"verify", good, "--jwks", keys}},
		"a payload that is text":                    {"PAYLOAD_INVALID", []string{"verify", "@" + write("jws", rfc8037Token), "--key", write("jws.jwk", rfc8037Key)}, []string{"verify", "@" + file("jws"), "--key", file("jws.jwk"), "--jws"}},
		"a scope in another claim":                  {"SCOPE_CLAIM_NAME", []string{"check", good, "--jwks", keys, "--scope", "b"}, []string{"check", good, "--jwks", keys, "--scope", "b", "--scope-claim", "roles$(id)"}},
		"a scope in another form":                   {"SCOPE_FORM", []string{"check", token("commas", "--claim", "scope=c,d:e"), "--jwks", keys, "--scope", "c"}, nil},
		"opaque":                                    {"OPAQUE_TOKEN", []string{"verify", "9f2c31aa", "--issuer", w.issuer}, []string{"introspect", "9f2c31aa", "--issuer", w.issuer, "--client-id", "oauthctl-dev"}},
	} {
		t.Run(name, func(t *testing.T) {
			id, hint := w.outcome(t, tt.args)
			if id != tt.id || hint == "" {
				t.Fatalf("%s, hint %q, want %s", id, hint, tt.id)
			}
			if tt.follow == nil {
				if strings.Contains(hint, "oauthctl ") || hintFlag.MatchString(hint) {
					t.Errorf("the hint names a command or a flag, which has to be tried here: %s", hint)
				}
				return
			}
			if strings.Contains(hint, "oauthctl "+tt.args[0]+" ") && tt.follow[0] != tt.args[0] {
				t.Errorf("the hint names the command that printed it: %s", hint)
			}
			if tt.follow[0] != tt.args[0] && !strings.Contains(hint, tt.follow[0]) {
				t.Errorf("the hint does not name %s: %s", tt.follow[0], hint)
			}
			for _, arg := range tt.follow {
				if strings.HasPrefix(arg, "--") && !slices.Contains(tt.args, arg) && tt.follow[0] == tt.args[0] && !strings.Contains(hint, arg) {
					t.Errorf("the hint does not name %s: %s", arg, hint)
				}
			}
			if after, again := w.outcome(t, tt.follow); after == id && again == hint {
				t.Errorf("following %q changes nothing", hint)
			}
		})
	}
}

// outcome returns the id and the hint of a command, or "" for success.
func (w *world) outcome(t *testing.T, args []string) (id, hint string) {
	t.Helper()
	w.run(append(slices.Clone(args), "--json")...)
	var got struct {
		Error struct {
			ID   string `json:"id"`
			Hint string `json:"hint"`
		} `json:"error"`
	}
	text := w.stdout.Bytes()
	if err := json.Unmarshal(text, &got, jsontext.AllowDuplicateNames(true)); err != nil {
		t.Fatalf("%v: %v in %s%s", args, err, text, &w.stderr)
	}
	return got.Error.ID, got.Error.Hint
}
