package cmd

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

const variableRevocations = "OAUTHCTL_REVOCATIONS"

// revocationsFlag says where what is revoked is kept.
type revocationsFlag struct {
	url   string
	exact bool // ask for each token
}

func (r *revocationsFlag) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.url, "revocations", "", "`URL` of the Redis that all instances share (redis://, rediss://, unix://, redis+cluster://, redis+sentinel://); set one with a password in $"+variableRevocations)
}

// open returns the store, or nil where none is named. Nothing is sent yet.
func (r revocationsFlag) open(env *Env, o redis.Options) (*redis.Store, error) {
	if holdsPassword(r.url) {
		return nil, &usageError{what: "--revocations: a password on the command line is visible to other users", hint: "set " + variableRevocations + " to the URL instead"}
	}
	address := cmp.Or(r.url, env.Getenv(variableRevocations))
	if address == "" {
		return nil, nil
	}
	o.Now = env.Now
	store, err := redis.Open(address, o)
	if err != nil {
		return nil, usage("--revocations: %w", err)
	}
	return store, nil
}

// holdsPassword reports whether a URL has a password: in front of the host, or as
// the parameter by which sentinels pass one on.
func holdsPassword(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// must is open for a command of an operator, which may wait longer than a request.
func (r revocationsFlag) must(env *Env, command string) (*redis.Store, error) {
	store, err := r.open(env, redis.Options{Timeout: env.global.timeout})
	if err == nil && store == nil {
		return nil, usageOf(command+" needs the --revocations of the guards", "oauthctl "+command+" --revocations redis://127.0.0.1:6379/0")
	}
	return store, err
}

// deniedFlags name the one thing that is revoked.
type deniedFlags struct {
	jti, sub, sid string
	issuer        string
	policy        string
	leeway        time.Duration
	revocations   revocationsFlag
}

func (o *deniedFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.jti, "jti", "", "revoke the token with this `ID` (jti)")
	f.StringVar(&o.sub, "sub", "", "revoke the tokens of this `SUBJECT` (sub)")
	f.StringVar(&o.sid, "sid", "", "revoke the tokens of this `SESSION` (sid)")
	f.StringVar(&o.issuer, "issuer", "", "`ISSUER` of the tokens, as in the policy")
	f.StringVar(&o.policy, "policy", "", "use the issuer of this policy `FILE`")
	o.revocations.addFlags(f)
}

func newGuardDeny(env *Env) *cobra.Command {
	var o deniedFlags
	cmd := &cobra.Command{
		Use:   "deny --jti J|--sub S|--sid S --policy FILE --revocations URL",
		Short: "Revoke a token, a subject or a session for all instances of guard",
		Long: `Revoke one token by its jti, or all tokens that were issued up to now to a
subject or in a session. Every guard with the same --revocations refuses them
within 2 seconds. The revocation is stored for 30 days.

With --sub and --sid, tokens that are issued within --leeway from now are
refused too, because the issuer's clock can be ahead. So a user who logs in
again has to wait for that time.`,
		Example: `  # Revoke all tokens of a user
  oauthctl guard deny --sub alice --policy policy.yaml \
    --revocations redis://127.0.0.1:6379/0

  # Revoke one token
  oauthctl guard deny --jti 8c1f --issuer https://auth.example.com \
    --revocations redis://127.0.0.1:6379/0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGuardDeny(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().DurationVar(&o.leeway, "leeway", time.Minute, "leeway of the guards for the issuer's clock")
	cmd.AddCommand(newGuardDenyList(env), newGuardDenyUndo(env), newGuardDenyConfirm(env))
	return cmd
}

// denied is what was revoked, as --json shows it.
type denied struct {
	Issuer       string     `json:"issuer"`
	JTI          string     `json:"jti,omitempty"`
	Subject      string     `json:"sub,omitempty"`
	SID          string     `json:"sid,omitempty"`
	IssuedBefore *time.Time `json:"issued_at_or_before,omitempty"`
}

func runGuardDeny(ctx context.Context, env *Env, o deniedFlags) error {
	issuer, err := o.check(env, "guard deny")
	if err != nil {
		return err
	}
	store, err := o.revocations.must(env, "guard deny")
	if err != nil {
		return err
	}
	defer store.Close()
	// The clock of this machine may be behind those of the guards.
	at, err := store.Time(ctx)
	if err != nil {
		return notDenied(err)
	}
	if now := env.Now(); now.After(at) {
		at = now
	}
	entry, about := o.entry(issuer, at.UTC().Truncate(time.Second))
	entry = entry.Covering(o.leeway)
	what := denied{Issuer: issuer, JTI: o.jti, Subject: o.sub, SID: o.sid}
	if o.jti == "" {
		about.Cutoff = time.Unix(entry.Cutoff, 0).UTC()
		what.IssuedBefore = &about.Cutoff
	}
	if err := store.RevokeAs(ctx, entry, about); err != nil {
		return notDenied(err)
	}
	if env.global.wantsJSON() {
		return env.printJSON(what)
	}
	env.say("revoked: %s from %s", clean(o.words(what.IssuedBefore)), clean(issuer))
	return nil
}

// notDenied says to the operator what a client could not do about it.
func notDenied(err error) error {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		return err
	}
	return withHint(err, "run the command again once Redis answers; until it succeeds nothing counts as revoked")
}

// check returns the issuer, if the flags name one thing to revoke. The issuer is
// never that of a profile: the guards compare the one of their policy.
func (o deniedFlags) check(env *Env, command string) (string, error) {
	named := 0
	for _, text := range []string{o.jti, o.sub, o.sid} {
		if text != "" {
			named++
		}
	}
	switch {
	case named != 1:
		return "", usageOf(command+" needs one of --jti, --sub and --sid", "oauthctl "+command+" --sub S --policy policy.yaml --revocations URL")
	case o.leeway < 0:
		return "", usage("--leeway: expected a duration that is not negative, got %s", o.leeway)
	case o.issuer == "" && o.policy == "":
		return "", &usageError{what: command + " needs the issuer of the tokens", hint: "give the policy of the guards with --policy, or the issuer with --issuer"}
	case o.policy == "":
		return o.issuer, nil
	}
	p, err := env.loadPolicy("--policy", o.policy)
	if err != nil {
		return "", err
	}
	if o.issuer != "" && o.issuer != p.Issuer {
		return "", &usageError{what: "--issuer " + diagnosis.Shorten(o.issuer, 200) + " is not the issuer of the policy, " + diagnosis.Shorten(p.Issuer, 200), hint: "leave --issuer out"}
	}
	return p.Issuer, nil
}

// entry makes the entry of the one thing that the flags name.
func (o deniedFlags) entry(issuer string, now time.Time) (revocation.Entry, redis.Description) {
	switch {
	case o.jti != "":
		return revocation.OfID(issuer, o.jti, time.Time{}), redis.Description{Issuer: issuer, Kind: "jti", Value: o.jti}
	case o.sub != "":
		return revocation.OfSubject(issuer, o.sub, now), redis.Description{Issuer: issuer, Kind: "sub", Value: o.sub}
	}
	return revocation.OfSession(issuer, o.sid, now), redis.Description{Issuer: issuer, Kind: "sid", Value: o.sid}
}

func (o deniedFlags) words(cutoff *time.Time) string {
	switch {
	case o.jti != "":
		return "the token " + o.jti
	case cutoff == nil && o.sub != "":
		return "the tokens of " + o.sub
	case cutoff == nil:
		return "the tokens of session " + o.sid
	case o.sub != "":
		return "all tokens issued to " + o.sub + " until " + cutoff.Format(time.RFC3339)
	}
	return "all tokens issued in session " + o.sid + " until " + cutoff.Format(time.RFC3339)
}
