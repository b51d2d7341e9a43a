package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func newJWKSShow(env *Env) *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:         "show [URL|FILE|-|ISSUER]",
		Annotations: map[string]string{onlyShows: "yes"},
		Short:       "Show the keys of a set, and why a key is not usable",
		Long: `Show the keys of a set, and why a key is not usable. A URL is a key set, an
issuer or its metadata; without an argument the profile's issuer is used. A
FILE, or - for standard input, holds a key set or one key.

Keys that must not be published are marked: keys with a private member, with the
kid of another key, or RSA keys below 2048 bits. With --strict the exit code is
then 7.`,
		Example: `  # Show the keys of an issuer
  oauthctl jwks show https://auth.example.com

  # Show the key of a certificate
  openssl x509 -in cert.pem | oauthctl jwks show -`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runJWKSShow(cmd.Context(), env, strings.Join(args, ""), strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 7 if a key must not be published like this")
	return cmd
}

// runJWKSShow prints a key set. If no key is usable, it prints the reasons and
// returns KEY_SET_EMPTY.
func runJWKSShow(ctx context.Context, env *Env, from string, strict bool) error {
	set, err := env.readKeySet(ctx, from)
	if err != nil {
		return err
	}
	var unusable error
	if len(set.All()) == 0 {
		unusable = withHint(&diagnosis.Diagnosis{ID: diagnosis.KeySetEmpty}, "the issuer has to publish a key that is meant for signatures")
	}
	if exposed := set.Exposed(); strict && len(exposed) > 0 {
		unusable = exposedKey(exposed[0])
	}
	if env.global.wantsJSON() {
		if err := env.printJSON(keySetReport(set)); err != nil || unusable == nil {
			return err
		}
		return printedError{unusable}
	}
	env.printKeySet(set)
	return unusable
}

// exposedKey returns the error for a key that must not be published as it is.
func exposedKey(k jwks.Skipped) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.KeyRefused, As: diagnosis.Unsafe, Err: fmt.Errorf("key %d, %s", k.Index+1, nameOfKey(k.ID))}
	if found, ok := errors.AsType[*diagnosis.Diagnosis](k.Reason); ok {
		d.Expected, d.Got = found.Expected, found.Got
	}
	return withHint(d, "publish public keys only, each with a kid of its own, and replace a key whose private part was published")
}

func (env *Env) printKeySet(set *jwks.Set) {
	s := env.stdout()
	for _, k := range set.All() {
		s.line("%s %s", s.good(s.marks.pass), s.strong(clean(nameOfKey(k.ID()))))
		s.table([][2]string{
			{"  type", strings.TrimSpace(k.Type() + " " + k.Curve())},
			{"  algorithms", strings.Join(k.Algorithms(), " ")},
			{"  thumbprint", k.Thumbprint()},
		})
		for _, w := range k.Warnings() {
			s.line("  %s %s %s", s.warn("!"), clean(w.Error()), s.faint(string(w.ID)))
		}
	}
	for _, k := range set.Skipped() {
		s.line("%s %s", s.bad(s.marks.fail), s.strong(clean(nameOfKey(k.ID))))
		s.line("  %s", clean(k.Reason.Error()))
	}
	for _, k := range set.Exposed() {
		s.line("%s %s", s.warn("!"), s.strong(clean(nameOfKey(k.ID))))
		s.line("  %s", clean(publishedReason(k)))
	}
}

// publishedReason returns why a key must not be published as it is.
func publishedReason(k jwks.Skipped) string {
	d, ok := errors.AsType[*diagnosis.Diagnosis](k.Reason)
	if !ok {
		return k.Reason.Error()
	}
	return "must not be published like this: expected " + d.Expected.Or() + ", got " + d.Got.String()
}

func nameOfKey(id string) string {
	if id == "" {
		return "a key without kid"
	}
	return id
}

// keySetReport returns what jwks show prints with --json.
func keySetReport(set *jwks.Set) any {
	type key struct {
		ID         string    `json:"kid,omitempty"`
		Type       string    `json:"kty"`
		Curve      string    `json:"crv,omitempty"`
		Algorithms []string  `json:"algorithms"`
		Thumbprint string    `json:"thumbprint"`
		Warnings   []warning `json:"warnings,omitempty"`
	}
	type skipped struct {
		Index  int    `json:"index"`
		ID     string `json:"kid,omitempty"`
		Reason string `json:"reason"`
	}
	report := struct {
		Keys    []key     `json:"keys"`
		Skipped []skipped `json:"skipped"`
		Exposed []skipped `json:"exposed,omitempty"`
	}{Keys: []key{}, Skipped: []skipped{}}
	for _, k := range set.All() {
		var warnings []warning
		for _, w := range k.Warnings() {
			warnings = append(warnings, warning{w.ID, w.Error()})
		}
		report.Keys = append(report.Keys, key{k.ID(), k.Type(), k.Curve(), k.Algorithms(), k.Thumbprint(), warnings})
	}
	for _, k := range set.Skipped() {
		report.Skipped = append(report.Skipped, skipped{k.Index, k.ID, k.Reason.Error()})
	}
	for _, k := range set.Exposed() {
		report.Exposed = append(report.Exposed, skipped{k.Index, k.ID, publishedReason(k)})
	}
	return report
}

// readKeySet reads a key set from a file, standard input, or the URL of a key set,
// an issuer or an issuer's metadata. If from is empty, it uses the profile's issuer.
func (env *Env) readKeySet(ctx context.Context, from string) (*jwks.Set, error) {
	if from == "" {
		p, err := env.profile()
		if err != nil {
			return nil, err
		}
		if from = p.Get(profile.Issuer); from == "" {
			return nil, &usageError{what: "no key set is given, and the profile has no issuer", hint: "oauthctl jwks show URL, or FILE"}
		}
	}
	if isURL(from) {
		return env.fetchKeySet(ctx, from)
	}
	data, err := env.readInput(from, jwks.MaxBytes)
	if err != nil {
		return nil, usage("%w", err)
	}
	set, err := jwks.Parse(data)
	if err == nil {
		return set, nil
	}
	if key, keyErr := jwks.ParsePublic(data); keyErr == nil {
		return jwks.NewSet(key), nil
	}
	return nil, usage("%s: %w", from, err)
}

// fetchKeySet returns the key set at a URL. If there is none, it returns the key set
// of the issuer at this URL.
func (env *Env) fetchKeySet(ctx context.Context, from string) (*jwks.Set, error) {
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	env.about = issuerOf(from)
	set, err := env.remoteSet(ctx, client, from)
	var d *diagnosis.Diagnosis
	if err == nil || !errors.As(err, &d) || d.ID != diagnosis.KeySetInvalid {
		return set, err
	}
	server, notFound := discovery.FindServer(ctx, client, issuerOf(from))
	switch {
	case notFound != nil:
		return nil, err
	case server.JWKSURI == "":
		return nil, &diagnosis.Diagnosis{ID: diagnosis.KeySetInvalid, Expected: diagnosis.Values{"a jwks_uri in the metadata of " + server.Issuer}, Got: diagnosis.None}
	}
	return env.remoteSet(ctx, client, server.JWKSURI)
}

func (env *Env) remoteSet(ctx context.Context, client *safehttp.Client, url string) (*jwks.Set, error) {
	remote := jwks.NewRemote(url, jwks.RemoteOptions{HTTP: client, Now: env.Now})
	defer remote.Close()
	set, err := remote.Set(ctx)
	if err != nil {
		return nil, keySetFault(err)
	}
	return set, nil
}

// issuerOf returns the issuer whose metadata is at a well-known URL (RFC 8414,
// section 3, and OpenID Connect Discovery, section 4). It returns other URLs
// unchanged.
func issuerOf(from string) string {
	u, err := url.Parse(from)
	if err != nil {
		return from
	}
	for _, place := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		before, after, found := strings.Cut(u.Path, place)
		if found {
			return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: before + after}).String()
		}
	}
	return from
}
