package cmd

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type signOptions struct {
	key       string
	claims    []string
	alg       string
	typ       string
	expiresIn time.Duration
}

func newSign(env *Env) *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use: "sign",
		Long: `Mint a token for tests. iat is now and exp is iat plus --expires-in, unless they
are named. A claim NAME=VALUE is a text, NAME:=JSON any JSON value.`,
		Example: `  oauthctl jwks generate --alg ES256 --private-out key.pem > jwks.json
  oauthctl sign --key key.pem --claim iss=https://auth.example.com --claim aud=https://api.example.com |
    oauthctl verify - --jwks jwks.json --issuer https://auth.example.com --audience https://api.example.com`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runSign(env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "the private key, a PEM or JWK `FILE`")
	f.StringArrayVar(&o.claims, "claim", nil, "a claim, `NAME=VALUE` or NAME:=JSON (repeatable)")
	f.StringVar(&o.alg, "alg", "", "sign with this algorithm (default: the key's)")
	f.StringVar(&o.typ, "typ", "at+jwt", "the typ header; empty leaves it out")
	f.DurationVar(&o.expiresIn, "expires-in", 5*time.Minute, "how long the token lives")
	return cmd
}

func runSign(env *Env, o signOptions) error {
	if o.key == "" {
		return &usageError{what: "nothing says which key signs", hint: "give --key FILE; `oauthctl jwks generate` makes one"}
	}
	data, err := env.readInput(o.key, maxSecretFile)
	if err != nil {
		return usage("--key: %w", err)
	}
	key, err := jwks.ParsePrivate(data)
	if err != nil {
		return usage("--key: %s: %w", o.key, err)
	}
	now := env.Now()
	claims := map[string]any{"iat": now.Unix(), "exp": now.Add(o.expiresIn).Unix()}
	for _, text := range o.claims {
		if err := addClaim(claims, text); err != nil {
			return err
		}
	}
	header := map[string]any{"alg": key.Algorithm(), "kid": key.ID()}
	if o.alg != "" {
		header["alg"] = o.alg
	}
	if o.typ != "" {
		header["typ"] = o.typ
	}
	raw, err := token.SignWithHeader(key, header, claims)
	if err != nil {
		return usage("%w", err)
	}
	env.stdout().line("%s", raw)
	return nil
}

func addClaim(claims map[string]any, text string) error {
	name, value, ok := strings.Cut(text, "=")
	switch {
	case !ok || name == "" || name == ":":
		return usage("--claim: expected NAME=VALUE or NAME:=JSON, got %q", text)
	case strings.HasSuffix(name, ":"):
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return usage("--claim: expected JSON behind :=, got %q", value)
		}
		claims[strings.TrimSuffix(name, ":")] = jsontext.Value(value)
	default:
		claims[name] = value
	}
	return nil
}
