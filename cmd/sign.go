package cmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type signOptions struct {
	key        string
	secretFile string
	claims     []string
	headers    []string
	alg        string
	typ        string
	expiresIn  time.Duration
}

func newSign(env *Env) *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use: "sign",
		Long: `Create a signed token for testing. iat is now and exp is iat plus --expires-in,
unless they are given. NAME=VALUE sets a string claim or header; NAME:=JSON sets
any JSON value.

--key FILE holds the private key: PEM, DER, a JWK or a key set with one key, or
- for standard input. A JWK contains its algorithm. For other files, the default
depends on the key: RS256, ES256, ES384, ES512 or EdDSA.
--secret-file signs with HS256, HS384 or HS512: the file holds the secret
itself, or a JWK of type oct.`,
		Example: `  # Sign a token and verify it
  oauthctl jwks generate --alg ES256 --private-out key.pem > jwks.json
  oauthctl sign --key key.pem --claim iss=https://auth.example.com \
    --claim aud=https://api.example.com > token.txt
  oauthctl verify @token.txt --jwks jwks.json \
    --issuer https://auth.example.com --audience https://api.example.com

  # Sign with a shared secret
  oauthctl sign --secret-file secret.txt --claim 'roles:=["a"]'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runSign(env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "private key, a PEM or JWK `FILE`")
	f.StringVar(&o.secretFile, "secret-file", "", "sign with the shared secret in `FILE`, - for standard input")
	f.StringArrayVar(&o.claims, "claim", nil, "add the claim `NAME=VALUE` or NAME:=JSON (repeatable)")
	f.StringArrayVar(&o.headers, "header", nil, "add the header `NAME=VALUE` or NAME:=JSON (repeatable)")
	f.StringVar(&o.alg, "alg", "", "sign with this `ALGORITHM` (default: the key's)")
	f.StringVar(&o.typ, "typ", "at+jwt", "`TYP` header; empty omits it")
	allowEmpty(f.Lookup("typ"))
	f.DurationVar(&o.expiresIn, "expires-in", 5*time.Minute, "lifetime of the token")
	_ = cmd.RegisterFlagCompletionFunc("alg", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return o.algorithms(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// algorithms are those that the key can sign with: all that such a key could
// sign with if it cannot be read here.
func (o *signOptions) algorithms() []string {
	read := func(path string) []byte {
		if path == "-" {
			return nil
		}
		data, _ := readFile(path, maxSecretFile) // without data there is no key
		return data
	}
	if o.secretFile != "" {
		if secret, err := jwks.ParseSecret(read(o.secretFile)); err == nil {
			return secret.Algorithms()
		}
		return slices.DeleteFunc(jwks.Algorithms(), func(alg string) bool { return slices.Contains(jwks.PublicKeyAlgorithms(), alg) })
	}
	if o.key != "" {
		if key, err := jwks.ParsePrivate(read(o.key)); err == nil {
			return key.Public().Algorithms()
		}
	}
	return jwks.PublicKeyAlgorithms()
}

func runSign(env *Env, o signOptions) error {
	now := env.Now()
	claims := map[string]any{"iat": now.Unix(), "exp": now.Add(o.expiresIn).Unix()}
	if err := addMembers(claims, "--claim", o.claims); err != nil {
		return err
	}
	sign, header, err := o.signer(env)
	if err != nil {
		return err
	}
	if o.typ != "" {
		header["typ"] = o.typ
	}
	if err := addMembers(header, "--header", o.headers); err != nil {
		return err
	}
	if alg, ok := header["alg"].(string); !ok {
		return usage("--header: alg is a string; use --alg to choose it")
	} else if _, known := jwks.LookupAlgorithm(alg); !known {
		return usage("--alg: expected one of %s, got %s", strings.Join(jwks.Algorithms(), ", "), diagnosis.Quote(alg))
	}
	raw, err := sign(header, claims)
	if err != nil {
		return usage("%w", err)
	}
	if env.global.wantsJSON() {
		return env.printJSON(map[string]string{"token": raw})
	}
	env.stdout().line("%s", raw)
	return nil
}

// signer returns what signs, and a header with its alg and kid.
func (o signOptions) signer(env *Env) (sign func(header map[string]any, claims any) (string, error), header map[string]any, err error) {
	switch {
	case o.key != "" && o.secretFile != "":
		return nil, nil, usage("--key and --secret-file cannot be combined")
	case o.secretFile != "":
		return o.secretSigner(env)
	case o.key == "":
		return nil, nil, &usageError{what: "no key is given to sign with", hint: "--key FILE; `oauthctl jwks generate` creates one"}
	}
	data, err := env.readInput(o.key, maxSecretFile)
	if err != nil {
		return nil, nil, usage("--key: %w", err)
	}
	key, err := jwks.ParsePrivate(data)
	if err != nil {
		return nil, nil, usage("--key: %s: %w", o.key, err)
	}
	if o.alg != "" {
		if key, err = key.WithAlgorithm(o.alg); err != nil {
			return nil, nil, usage("--alg: %w", err)
		}
	}
	sign = func(header map[string]any, claims any) (string, error) {
		return token.SignWithHeader(key, header, claims)
	}
	return sign, map[string]any{"alg": key.Algorithm(), "kid": key.ID()}, nil
}

func (o signOptions) secretSigner(env *Env) (sign func(header map[string]any, claims any) (string, error), header map[string]any, err error) {
	data, err := env.readInput(o.secretFile, maxSecretFile)
	if err != nil {
		return nil, nil, usage("--secret-file: %w", err)
	}
	secret, err := jwks.ParseSecret(data)
	if err != nil {
		return nil, nil, usage("--secret-file: %w", err)
	}
	header = map[string]any{"alg": secret.Algorithms()[0]}
	if secret.ID() != "" {
		header["kid"] = secret.ID()
	}
	if o.alg != "" {
		header["alg"] = o.alg
	}
	sign = func(header map[string]any, claims any) (string, error) {
		return token.SignWithSecret(secret, header, claims)
	}
	return sign, header, nil
}

// addMembers adds members as a repeatable flag gives them to a JSON object.
func addMembers(to map[string]any, flag string, texts []string) error {
	for _, text := range texts {
		if err := addMember(to, text); err != nil {
			return usage("%s: %w", flag, err)
		}
	}
	return nil
}

// addMember adds NAME=VALUE as a string, NAME:=JSON as the JSON value.
func addMember(to map[string]any, text string) error {
	name, value, ok := strings.Cut(text, "=")
	switch {
	case !ok || name == "" || name == ":":
		return fmt.Errorf("expected NAME=VALUE or NAME:=JSON, got %s", diagnosis.Quote(text))
	case strings.HasSuffix(name, ":"):
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return fmt.Errorf("expected JSON after %s=, got %s", name, diagnosis.Quote(value))
		}
		to[strings.TrimSuffix(name, ":")] = jsontext.Value(value)
	default:
		to[name] = value
	}
	return nil
}
