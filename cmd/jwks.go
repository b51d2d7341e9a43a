package cmd

import (
	"errors"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

func newJWKS(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:  "jwks",
		Long: `Show key sets; generate and convert keys.`,
		Example: `  # Show the keys of an issuer
  oauthctl jwks show https://auth.example.com`,
		Args:        noArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Annotations: map[string]string{onlyParent: "yes"},
	}
	cmd.AddCommand(newJWKSShow(env), newJWKSGenerate(env), newJWKSThumbprint(env), newJWKSConvert(env))
	return cmd
}

func newJWKSGenerate(env *Env) *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Generate a key pair",
		Long: `Generate a key pair. The public key set is printed to stdout, ready to be
published. The private key is written to a new file with mode 0600, as a JWK if
the file's name ends in .json or .jwk, otherwise as PEM. A PEM file does not
contain the algorithm: if it is not the default of the key, sign needs it as
--alg.

RSA keys have 3072 bits by default. A Go program takes about 6 times as long to
verify a signature of 3072 bits as one of 2048 bits, and 11 times as long for
4096 bits. ES256 and EdDSA keys are small and just as secure.`,
		Example: `  # Generate a key for ES256
  oauthctl jwks generate --private-out key.pem > jwks.json

  # Generate an RSA key as a JWK
  oauthctl jwks generate --alg PS256 --private-out key.jwk > rsa.json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runJWKSGenerate(env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.alg, "alg", "ES256", "the `ALGORITHM`, such as RS256, PS256, ES256 or EdDSA")
	f.IntVar(&o.bits, "bits", 0, "size of an RSA key in `BITS`, 2048 to 8192 (default 3072)")
	f.StringVar(&o.privateOut, "private-out", "", "write the private key to the new `FILE`")
	return cmd
}

type generateOptions struct {
	alg        string
	bits       int
	privateOut string
}

func runJWKSGenerate(env *Env, o generateOptions) error {
	if o.privateOut == "" {
		return &usageError{what: "--private-out is missing: the private key needs a file", hint: "--private-out key.pem"}
	}
	key, err := o.generate()
	if err != nil {
		return err
	}
	marshal, isJWK := key.MarshalPEM, false
	if strings.HasSuffix(o.privateOut, ".json") || strings.HasSuffix(o.privateOut, ".jwk") {
		marshal, isJWK = key.MarshalJWK, true
	}
	data, err := marshal()
	if err != nil {
		return err
	}
	if err := writeNew(o.privateOut, append(data, '\n')); err != nil {
		return usage("--private-out: %w", err)
	}
	env.say("the private key is in %s", clean(o.privateOut))
	if read, err := jwks.ParsePrivate(data); err == nil && !isJWK && read.Algorithm() != key.Algorithm() {
		env.say("PEM does not hold the algorithm; sign with: oauthctl sign --key %s --alg %s", clean(shellQuote(o.privateOut)), key.Algorithm())
	}
	return env.printKeys(key.Public())
}

func (o generateOptions) generate() (*jwks.PrivateKey, error) {
	var (
		key *jwks.PrivateKey
		err error
	)
	if o.bits == 0 {
		key, err = jwks.Generate(o.alg)
	} else {
		key, err = jwks.GenerateRSA(o.alg, o.bits)
	}
	if err != nil {
		return nil, usage("--alg %s: %w", o.alg, err)
	}
	return key, nil
}

// writeNew writes a new file. It never overwrites one, because the key in it would
// be lost.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// printKeys prints keys as a set that can be published.
func (env *Env) printKeys(keys ...*jwks.Key) error {
	data, err := json.Marshal(jwks.NewSet(keys...))
	if err != nil {
		return err
	}
	return env.printJSON(jsontext.Value(data))
}

// longKeyFile is the help on key files, the same for every command that reads one.
const longKeyFile = `FILE is - for standard input, or a file with one key: PEM, DER, a JWK, a key set
with one key, or the bare base64 that consoles show.`

func newJWKSThumbprint(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "thumbprint FILE",
		Short: "Print the SHA-256 thumbprint of a key (RFC 7638)",
		Long:  "Print the SHA-256 thumbprint of a key (RFC 7638).\n\n" + longKeyFile,
		Example: `  # Print the thumbprint of a key, for use as its kid
  oauthctl jwks thumbprint key.pem`,
		Args: between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := env.readPublicKey(args[0])
			if err != nil {
				return err
			}
			if env.global.wantsJSON() {
				return env.printJSON(map[string]string{"thumbprint": key.Thumbprint()})
			}
			env.stdout().line("%s", key.Thumbprint())
			return nil
		},
	}
}

func newJWKSConvert(env *Env) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Convert a public key to PEM or to a JWK",
		Long:  "Convert a public key to PEM or to a JWK. For a private key, its public key is printed.\n\n" + longKeyFile,
		Example: `  # Print a key as PEM
  oauthctl jwks convert keys.json --to pem`,
		Args: between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runJWKSConvert(env, args[0], to) },
	}
	oneOf(cmd.Flags(), &to, "to", []string{"pem", "jwk"}, "`FORM` to convert to: pem or jwk")
	return cmd
}

func runJWKSConvert(env *Env, path, to string) error {
	key, err := env.readPublicKey(path)
	if err != nil {
		return err
	}
	switch to {
	case "pem":
		data, err := key.MarshalPEM()
		if err != nil {
			return err
		}
		if env.global.wantsJSON() {
			return env.printJSON(map[string]string{"pem": string(data)})
		}
		_, err = env.Stdout.Write(data)
		return err
	case "jwk":
		data, err := json.Marshal(key)
		if err != nil {
			return err
		}
		return env.printJSON(jsontext.Value(data))
	}
	return usage("missing --to, with pem or jwk")
}

// readPublicKey reads a key from a file, or from standard input for "-".
func (env *Env) readPublicKey(path string) (*jwks.Key, error) {
	data, err := env.readInput(path, maxSecretFile)
	if err != nil {
		return nil, usage("%w", err)
	}
	key, err := jwks.ParsePublic(data)
	if err != nil {
		return nil, usage("%s: %w", path, err)
	}
	env.warnOfKey(key)
	return key, nil
}

// warnOfKey prints the warnings about a key.
func (env *Env) warnOfKey(key *jwks.Key) {
	for _, w := range key.Warnings() {
		env.warn("%s", clean(w.Error()))
	}
}
