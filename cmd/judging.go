package cmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// judgingOptions are the flags of the commands that judge a token: what is
// expected of it and which keys may have signed it.
type judgingOptions struct {
	issuer     string
	audience   []string
	jwks       string
	key        string
	secretFile string
	alg        []string
	typ        []string
	require    []string
	leeway     time.Duration
	at         string
	rfc9068    bool
	strict     bool
	opaque     bool // verify's --jws
}

func (o *judgingOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.issuer, "issuer", "", "expect this issuer `URL` (default: the profile's)")
	f.StringArrayVar(&o.audience, "audience", nil, "expect one of these audiences (repeatable; default: the profile's)")
	f.StringVar(&o.jwks, "jwks", "", "take the keys from this key set, a `URL or FILE`")
	f.StringVar(&o.key, "key", "", "take this public key, a PEM or JWK `FILE`")
	f.StringVar(&o.secretFile, "secret-file", "", "take the shared secret for HS256, HS384, HS512 from `FILE`, - for standard input")
	f.StringArrayVar(&o.alg, "alg", nil, "allow this algorithm and no other (repeatable)")
	f.StringArrayVar(&o.typ, "typ", nil, "expect exactly this typ header (repeatable)")
	f.StringArrayVar(&o.require, "require", nil, "require this `CLAIM` (repeatable)")
	f.DurationVar(&o.leeway, "leeway", 0, "allow for clocks that differ by this much\n(default none for exp, 60s for nbf and iat)")
	f.StringVar(&o.at, "at", "", "judge as of this `TIME`, RFC 3339 or seconds since 1970")
	f.BoolVar(&o.rfc9068, "rfc9068", false, "require the JWT access token profile (RFC 9068)")
	f.BoolVar(&o.strict, "strict", false, "count a check that was not asked for as failed")
}

// inspector makes the judge that the flags and the profile describe. The token
// is needed only to name its issuer in a hint; nothing it says is believed.
func (env *Env) inspector(ctx context.Context, o judgingOptions, raw secret.String) (*token.Inspector, error) {
	p, err := env.profile()
	if err != nil {
		return nil, err
	}
	p = p.With(profile.Flag, profile.Values{profile.Issuer: o.issuer, profile.Audience: profile.JoinList(o.audience)})
	now, err := o.clock(env)
	if err != nil {
		return nil, err
	}
	keys, err := env.keySet(ctx, o, p, raw)
	if err != nil {
		return nil, err
	}
	return token.NewInspector(p.Get(profile.Issuer), p.List(profile.Audience), keys, token.Options{
		Algorithms: o.alg,
		Types:      o.typ,
		Require:    o.require,
		Leeway:     o.leeway,
		Now:        now,
		RFC9068:    o.rfc9068,
		Strict:     o.strict,

		OpaquePayload: o.opaque,
	})
}

func (o *judgingOptions) clock(env *Env) (func() time.Time, error) {
	if o.at == "" {
		return env.Now, nil
	}
	at, err := parseTime(o.at)
	if err != nil {
		return nil, usage("--at: %w", err)
	}
	return func() time.Time { return at }, nil
}

// keySet finds the keys: those named, else the issuer's. A key set by URL or
// issuer is fetched when the first token asks for it.
func (env *Env) keySet(ctx context.Context, o judgingOptions, p *profile.Profile, raw secret.String) (guard.KeySet, error) {
	switch {
	case o.secretFile != "":
		data, err := env.readInput(o.secretFile, maxSecretFile)
		if err != nil {
			return nil, usage("--secret-file: %w", err)
		}
		key, err := jwks.ParseSecret(data)
		if err != nil {
			return nil, usage("--secret-file: %w", err)
		}
		return jwks.NewSet(key), nil
	case o.key != "":
		data, err := readFile(o.key, 1<<20)
		if err != nil {
			return nil, usage("--key: %w", err)
		}
		key, err := jwks.ParsePublic(data)
		if err != nil {
			return nil, usage("--key: %s: %w", o.key, err)
		}
		return jwks.NewSet(key), nil
	case isURL(o.jwks):
		return env.remoteKeys(o.jwks)
	case o.jwks != "":
		data, err := readFile(o.jwks, 1<<20)
		if err != nil {
			return nil, usage("--jwks: %w", err)
		}
		set, err := jwks.Parse(data)
		if err != nil {
			return nil, usage("--jwks: %s: %w", o.jwks, err)
		}
		return set, nil
	case p.Get(profile.JWKSURI) != "":
		return env.remoteKeys(p.Get(profile.JWKSURI))
	case p.Get(profile.Issuer) == "":
		return nil, trustUnknown(raw)
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	server, _, err := discovery.FindServer(ctx, client, p.Get(profile.Issuer))
	if err != nil {
		return nil, err
	}
	if server.JWKSURI == "" {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"a jwks_uri in the metadata of " + p.Get(profile.Issuer)}, Got: diagnosis.None}
	}
	return env.remoteKeys(server.JWKSURI)
}

func (env *Env) remoteKeys(url string) (guard.KeySet, error) {
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	return patientKeys{jwks.NewRemote(url, jwks.RemoteOptions{HTTP: client, Now: env.Now})}, nil
}

// patientKeys waits for a slow endpoint, as a person does and an API must not.
type patientKeys struct{ *jwks.Remote }

func (k patientKeys) Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	if _, err := k.Set(ctx); err != nil {
		return nil, keySetFault(err)
	}
	return k.Remote.Keys(ctx, kid, alg)
}

// keySetFault returns the error underneath KEYS_UNAVAILABLE if trying again does
// not help, so that a script does not try for ever; otherwise err.
func keySetFault(err error) error {
	var unavailable, cause *diagnosis.Diagnosis
	if errors.As(err, &unavailable) && errors.As(unavailable.Err, &cause) && cause.Kind() == diagnosis.Usage {
		return cause
	}
	return err
}

// trustUnknown names the token's own issuer and the command to trust it; it is
// never contacted unasked, since anybody can write an issuer into a token.
func trustUnknown(raw secret.String) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.TrustUnknown}
	decoded, err := token.Decode(raw.Reveal())
	if err != nil || decoded.Issuer() == "" {
		return d
	}
	d.Got = diagnosis.Values{decoded.Issuer()}
	return d
}

func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

// shellQuote quotes text so that it can be pasted into a shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
