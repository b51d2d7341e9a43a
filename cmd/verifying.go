package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// verifyingOptions are the flags of the commands that verify a token: what is
// expected of it and which keys may have signed it.
type verifyingOptions struct {
	issuer     []string
	audience   []string
	jwks       string
	key        string
	secretFile string
	alg        []string
	typ        []string
	accept     []string
	require    []string
	leeway     time.Duration
	at         string
	rfc9068    bool
	strict     bool
	opaque     bool // verify's --jws
}

// addFlags adds the flags about what is expected of a token.
func (o *verifyingOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.issuer, "issuer", nil, "expect this issuer `URL` (repeatable, one must match; default: the profile's)")
	f.StringArrayVar(&o.audience, "audience", nil, "expect this `AUDIENCE` (repeatable, one must match; default: the profile's)")
	f.StringArrayVar(&o.alg, "alg", nil, "accept only this `ALGORITHM` (repeatable)")
	f.StringArrayVar(&o.typ, "typ", nil, "accept only this `TYP` header (repeatable)")
	f.StringArrayVar(&o.accept, "accept", nil, "accept this `KIND` like an access token: id_token, logout_token, security_event (repeatable)")
	f.StringArrayVar(&o.require, "require", nil, "require this `CLAIM`, not null, \"\" or [] (repeatable)")
	f.BoolVar(&o.rfc9068, "rfc9068", false, "require the JWT access token profile (RFC 9068)")
	f.DurationVar(&o.leeway, "leeway", 0, "allowed clock difference (default none for exp, 60s for nbf and iat)")
	f.StringVar(&o.at, "at", "", "check times as of `TIME` (RFC 3339 or Unix seconds)")
	f.BoolVar(&o.strict, "strict", false, "fail if any check was not configured")
}

// addKeyFlags adds the flags about the keys that may have signed a token.
func (o *verifyingOptions) addKeyFlags(f *pflag.FlagSet) {
	f.StringVar(&o.jwks, "jwks", "", "use the keys of this key set, a `URL|FILE`")
	f.StringVar(&o.key, "key", "", "use this public key, a PEM or JWK `FILE`")
	f.StringVar(&o.secretFile, "secret-file", "", "use the shared secret in `FILE` for HS256, HS384 or HS512, - for standard input")
}

// inspector returns the inspector for the flags and the profile. The token is
// needed only to name its issuer in a hint; none of its content is trusted. No
// request is sent before the token is known to be a JWT.
func (env *Env) inspector(o verifyingOptions, raw secret.String) (*token.Inspector, error) {
	p, err := env.profile()
	if err == nil {
		err = account.CheckChoices(p)
	}
	if err != nil {
		return nil, err
	}
	options, err := o.options(env)
	if err != nil {
		return nil, err
	}
	issuers, audience := o.issuer, o.audience
	if len(issuers) == 0 {
		issuers = []string{p.Get(profile.Issuer)}
	}
	if len(audience) == 0 {
		audience = p.List(profile.Audience)
	}
	given, err := env.flagKeys(o)
	if err != nil {
		return nil, err
	}
	var all []*token.Inspector
	for _, issuer := range issuers {
		if err := checkIssuerFlag(issuer); err != nil {
			return nil, err
		}
		keys := given
		if keys == nil {
			if keys, err = env.issuerKeys(p, issuer, raw); err != nil {
				return nil, err
			}
		}
		one, err := token.NewInspector(issuer, audience, keys, options)
		if err != nil {
			return nil, usage("%w", err)
		}
		all = append(all, one)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	joined, err := token.JoinInspectors(all...)
	if err != nil {
		return nil, usage("--issuer: %w", err)
	}
	return joined, nil
}

func (o *verifyingOptions) options(env *Env) (token.Options, error) {
	options := token.Options{
		Algorithms: o.alg, Types: o.typ, Require: o.require, Leeway: o.leeway, Now: env.Now, RFC9068: o.rfc9068, Strict: o.strict,
		OpaquePayload: o.opaque,
	}
	for _, alg := range o.alg {
		if err := checkAlgorithmFlag(alg); err != nil {
			return options, err
		}
	}
	for _, name := range o.accept {
		kind, err := token.ParseKind(name)
		if err != nil {
			return options, usage("--accept: %w", err)
		}
		options.Accept = append(options.Accept, kind)
	}
	if o.leeway < 0 {
		return options, usage("--leeway: expected a duration such as 30s, got %s", o.leeway)
	}
	if o.at != "" {
		at, err := parseTime(o.at)
		if err != nil {
			return options, usage("--at: %w", err)
		}
		options.Now = func() time.Time { return at }
	}
	return options, nil
}

func checkAlgorithmFlag(alg string) error {
	if _, ok := jwks.LookupAlgorithm(alg); ok {
		return nil
	}
	wrong := &usageError{what: fmt.Sprintf("--alg: expected one of %s, got %q", strings.Join(jwks.Algorithms(), ", "), alg)}
	if _, ok := jwks.LookupAlgorithm(strings.ToUpper(alg)); ok {
		wrong.hint = "did you mean " + strings.ToUpper(alg) + "?"
	} else if strings.ContainsAny(alg, ", ") {
		wrong.hint = "repeat the flag for each algorithm"
	}
	return wrong
}

// checkIssuerFlag refuses the URL of the metadata, which many consoles show
// instead of the issuer.
func checkIssuerFlag(issuer string) error {
	before, after, found := strings.Cut(issuer, "/.well-known/")
	if !found {
		return nil
	}
	_, path, _ := strings.Cut(after, "/") // RFC 8414 puts the issuer's path at the end
	if path != "" {
		path = "/" + path
	}
	return &usageError{
		what: fmt.Sprintf("--issuer: %q is the URL of the metadata", issuer), hint: "use the issuer in the metadata, probably " + shellQuote(before+path),
	}
}

// keysFlags returns the flags with keys that were given.
func (o *verifyingOptions) keysFlags() []string {
	var given []string
	for _, source := range [][2]string{{"--jwks", o.jwks}, {"--key", o.key}, {"--secret-file", o.secretFile}} {
		if source[1] != "" {
			given = append(given, source[0])
		}
	}
	return given
}

// flagKeys returns the keys of a flag, or nil if none was given. They are used for
// every issuer, because standard input can be read only once. A URL is requested
// when the first token needs it.
func (env *Env) flagKeys(o verifyingOptions) (token.KeySet, error) {
	switch given := o.keysFlags(); {
	case len(given) > 1:
		return nil, usage("%s cannot be combined; use one of --jwks, --key and --secret-file", strings.Join(given, " and "))
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
		env.keys = o.key
		return jwks.NewSet(key), nil
	case o.jwks != "":
		env.keys = o.jwks
		return env.keysAt(o.jwks, "--jwks")
	}
	return nil, nil
}

// issuerKeys returns the keys of an issuer, which are requested when the first
// token needs them.
func (env *Env) issuerKeys(p *profile.Profile, issuer string, raw secret.String) (token.KeySet, error) {
	switch {
	case p.Get(profile.JWKSURI) != "" && issuer == p.Get(profile.Issuer):
		return env.keysAt(p.Get(profile.JWKSURI), "jwks_uri of the profile")
	case issuer == "":
		return noTrust{trustUnknown(raw)}, nil
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	if issuer != p.Get(profile.Issuer) {
		env.keys = issuer
	}
	return waitingKeys{token.NewIssuerKeys(issuer, jwks.RemoteOptions{HTTP: client, Now: env.Now})}, nil
}

// keysAt returns the key set at a URL or in a file, which the setting what names.
func (env *Env) keysAt(source, what string) (token.KeySet, error) {
	if isURL(source) {
		client, err := env.client()
		if err != nil {
			return nil, err
		}
		return waitingKeys{jwks.NewRemote(source, jwks.RemoteOptions{HTTP: client, Now: env.Now})}, nil
	}
	data, err := readFile(source, 1<<20)
	if err != nil {
		return nil, usage("%s: %w", what, err)
	}
	set, err := jwks.Parse(data)
	if err != nil {
		return nil, usage("%s: %s: %w", what, source, err)
	}
	return set, nil
}

// waitingKeys waits for the first fetch instead of failing fast.
type waitingKeys struct{ guard.KeySet }

func (k waitingKeys) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	if err := k.Ready(ctx); err != nil {
		return jwks.Candidates{}, keySetFault(err)
	}
	return k.KeySet.Keys(ctx, q)
}

// keySetFault returns the error that KEYS_UNAVAILABLE wraps if a new try cannot
// help, so that a script does not repeat it forever; otherwise err.
func keySetFault(err error) error {
	var unavailable, cause *diagnosis.Diagnosis
	if errors.As(err, &unavailable) && errors.As(unavailable.Err, &cause) && cause.Kind() == diagnosis.Usage {
		return cause
	}
	return err
}

// noTrust is the key set where no trusted issuer is configured.
type noTrust struct{ why error }

func (k noTrust) Keys(context.Context, jwks.Query) (jwks.Candidates, error) {
	return jwks.Candidates{}, k.why
}
func (noTrust) Generation() uint64      { return 0 }
func (noTrust) Former(string) *jwks.Key { return nil }

// trustUnknown returns the error that names the token's issuer. That issuer is
// never contacted unless the user gives it, since anyone can write any issuer
// into a token.
func trustUnknown(raw secret.String) error {
	d := &diagnosis.Diagnosis{ID: diagnosis.TrustUnknown}
	decoded, err := token.Decode(raw.Reveal())
	if err != nil || decoded.Issuer() == "" {
		return d
	}
	d.Got = diagnosis.Values{decoded.Issuer()}
	return d
}

// isURL reports whether text is an http or https URL; upper and lower case of the
// scheme do not matter.
func isURL(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
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
