package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func newJWKS(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:  "jwks",
		Long: "Look into key sets, and make and convert keys.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJWKSShow(env), newJWKSGenerate(env), newJWKSThumbprint(env), newJWKSConvert(env))
	return cmd
}

func newJWKSShow(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "show [URL|FILE|ISSUER]",
		Short: "Show each key of a set, and why one is not usable",
		Long: `Show each key of a set, and why one is not usable. A URL is a key set or an
issuer, whose key set is looked up; without an argument the profile's issuer is
taken.`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runJWKSShow(cmd.Context(), env, strings.Join(args, ""))
		},
	}
}

func runJWKSShow(ctx context.Context, env *Env, from string) error {
	set, err := env.readKeySet(ctx, from)
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		return env.printJSON(keySetReport(set))
	}
	s := env.stdout()
	for _, k := range set.All() {
		s.line("%s %s", s.good("✓"), s.strong(clean(nameOfKey(k.ID()))))
		s.table([][2]string{
			{"  type", strings.TrimSpace(k.Type() + " " + k.Curve())},
			{"  algorithms", strings.Join(k.Algorithms(), " ")},
			{"  thumbprint", k.Thumbprint()},
		})
	}
	for _, k := range set.Skipped() {
		s.line("%s %s", s.bad("✗"), s.strong(clean(nameOfKey(k.ID))))
		s.line("  %s", clean(k.Reason.Error()))
	}
	if len(set.All()) == 0 {
		return &diagnosis.Diagnosis{ID: diagnosis.KeySetEmpty, Got: diagnosis.Values{fmt.Sprintf("%d keys, all skipped", len(set.Skipped()))}}
	}
	return nil
}

func nameOfKey(id string) string {
	if id == "" {
		return "a key without kid"
	}
	return id
}

// keySetReport is a key set as jwks show --json shows it.
func keySetReport(set *jwks.Set) any {
	type key struct {
		ID         string   `json:"kid,omitempty"`
		Type       string   `json:"kty"`
		Curve      string   `json:"crv,omitempty"`
		Algorithms []string `json:"algorithms"`
		Thumbprint string   `json:"thumbprint"`
	}
	type skipped struct {
		Index  int    `json:"index"`
		ID     string `json:"kid,omitempty"`
		Reason string `json:"reason"`
	}
	report := struct {
		Keys    []key     `json:"keys"`
		Skipped []skipped `json:"skipped"`
	}{[]key{}, []skipped{}}
	for _, k := range set.All() {
		report.Keys = append(report.Keys, key{k.ID(), k.Type(), k.Curve(), k.Algorithms(), k.Thumbprint()})
	}
	for _, k := range set.Skipped() {
		report.Skipped = append(report.Skipped, skipped{k.Index, k.ID, k.Reason.Error()})
	}
	return report
}

// readKeySet reads a key set from a file, a URL, or the URL of an issuer.
func (env *Env) readKeySet(ctx context.Context, from string) (*jwks.Set, error) {
	if from == "" {
		r, err := env.resolve()
		if err != nil {
			return nil, err
		}
		if from = r.Issuer; from == "" {
			return nil, &usageError{what: "nothing says whose keys", hint: "oauthctl jwks show URL, or FILE"}
		}
	}
	if !isURL(from) {
		data, err := readFile(from, jwks.MaxBytes)
		if err != nil {
			return nil, usage("%w", err)
		}
		set, err := jwks.Parse(data)
		if err != nil {
			return nil, usage("%s: %w", from, err)
		}
		return set, nil
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	if set := fetchKeySet(ctx, client, from); set != nil {
		return set, nil
	}
	server, _, err := discovery.FindServer(ctx, client, from)
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable, Expected: diagnosis.Values{"a key set or an issuer at " + from}, Got: diagnosis.Values{"neither"}, Err: err}
	}
	remote := jwks.NewRemote(server.JWKSURI, jwks.RemoteOptions{HTTP: client, Now: env.Now})
	defer remote.Close()
	return remote.Set(ctx)
}

// fetchKeySet returns the key set at a URL, nil if there is none.
func fetchKeySet(ctx context.Context, client *safehttp.Client, url string) *jwks.Set {
	res, err := client.Get(ctx, url, "application/jwk-set+json, application/json", jwks.MaxBytes)
	if err != nil || res.Status != 200 {
		return nil
	}
	set, err := jwks.Parse(res.Body)
	if err != nil {
		return nil
	}
	return set
}

func newJWKSGenerate(env *Env) *cobra.Command {
	var alg, privateOut string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a new key pair",
		Long: `Make a new key pair. The public key set goes to stdout, ready to be published. The
private key goes to a new file with mode 0600, as a JWK if its name ends in .json
or .jwk, otherwise as PEM.`,
		Example: "  oauthctl jwks generate --alg ES256 --private-out key.pem > jwks.json",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runJWKSGenerate(env, alg, privateOut) },
	}
	cmd.Flags().StringVar(&alg, "alg", "ES256", "the algorithm: RS256, PS256, ES256, EdDSA and their kin")
	cmd.Flags().StringVar(&privateOut, "private-out", "", "write the private key to the new `FILE`")
	return cmd
}

func runJWKSGenerate(env *Env, alg, privateOut string) error {
	if privateOut == "" {
		return &usageError{what: "nothing says where the private key is to be kept", hint: "give --private-out FILE"}
	}
	key, err := jwks.Generate(alg)
	if err != nil {
		return usage("--alg: %w", err)
	}
	marshal := key.MarshalPEM
	if strings.HasSuffix(privateOut, ".json") || strings.HasSuffix(privateOut, ".jwk") {
		marshal = key.MarshalJWK
	}
	data, err := marshal()
	if err != nil {
		return err
	}
	// A key that is overwritten is lost for good.
	f, err := os.OpenFile(privateOut, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usage("--private-out: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return usage("--private-out: %w", err)
	}
	env.say("the private key is in %s", clean(privateOut))
	return env.printKeys(key.Public())
}

// printKeys prints keys as a set that can be published.
func (env *Env) printKeys(keys ...*jwks.Key) error {
	data, err := json.Marshal(jwks.NewSet(keys...))
	if err != nil {
		return err
	}
	return env.printJSON(jsontext.Value(data))
}

func newJWKSThumbprint(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "thumbprint FILE",
		Short: "Print the SHA-256 thumbprint of a key (RFC 7638)",
		Args:  between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := env.readPublicKey(args[0])
			if err != nil {
				return err
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
		Short: "Convert a public key between PEM and JWK",
		Long:  "Convert a public key between PEM and JWK. Of a private key the public part is printed.",
		Args:  between(1, 1),
		RunE:  func(_ *cobra.Command, args []string) error { return runJWKSConvert(env, args[0], to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "the form to convert to: pem or jwk")
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
		_, err = env.Stdout.Write(data)
		return err
	case "jwk":
		data, err := json.Marshal(key)
		if err != nil {
			return err
		}
		return env.printJSON(jsontext.Value(data))
	}
	return usage("--to: expected pem or jwk, got %q", to)
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
	return key, nil
}
