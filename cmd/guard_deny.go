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
type revocationsFlag struct{ url string }

func (r *revocationsFlag) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.url, "revocations", "", "the Redis that all instances share, a `URL` (redis://HOST:PORT/DB, rediss://, unix://); one with a password comes in $"+variableRevocations)
}

// open returns the store, or nil where none is named. Nothing is sent yet.
func (r revocationsFlag) open(env *Env, o redis.Options) (*redis.Store, error) {
	if u, err := url.Parse(r.url); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return nil, &usageError{what: "--revocations: a password on the command line is visible to other users", hint: "set " + variableRevocations + " to the URL instead"}
		}
	}
	address := cmp.Or(r.url, env.Getenv(variableRevocations))
	if address == "" {
		return nil, nil
	}
	redis.DiscardLibraryLog()
	o.Now = env.Now
	store, err := redis.Open(address, o)
	if err != nil {
		return nil, usage("--revocations: %w", err)
	}
	return store, nil
}

type guardDenyOptions struct {
	jti, sub, sid string
	issuer        string
	revocations   revocationsFlag
}

func newGuardDeny(env *Env) *cobra.Command {
	var o guardDenyOptions
	cmd := &cobra.Command{
		Use:   "deny --jti J|--sub S|--sid S --revocations URL",
		Short: "Revoke a token, a subject or a session for all instances of guard",
		Long: `Revoke one token by its jti, or all tokens that were issued up to now to a
subject or in a session, so that the next login works. Every guard that uses the
same --revocations refuses them within a second. The entry counts for 30 days.`,
		Example: `  oauthctl guard deny --sub alice --revocations redis://127.0.0.1:6379/0
  oauthctl guard deny --jti 8c1f --issuer https://auth.example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGuardDeny(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.jti, "jti", "", "the token with this `ID` (jti)")
	f.StringVar(&o.sub, "sub", "", "the tokens of this `SUBJECT`")
	f.StringVar(&o.sid, "sid", "", "the tokens of this `SESSION` (sid)")
	f.StringVar(&o.issuer, "issuer", "", "who issued them (default: the profile's `ISSUER`)")
	o.revocations.addFlags(f)
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

func runGuardDeny(ctx context.Context, env *Env, o guardDenyOptions) error {
	entry, what, err := o.entry(env)
	if err != nil {
		return err
	}
	// An operator's command may wait longer than a request.
	store, err := o.revocations.open(env, redis.Options{Timeout: env.global.timeout})
	if err != nil {
		return err
	}
	if store == nil {
		return &usageError{what: "guard deny needs the --revocations of the guards", hint: "oauthctl guard deny --sub S --revocations redis://127.0.0.1:6379/0"}
	}
	defer store.Close()
	if err := store.Revoke(ctx, entry); err != nil {
		return notDenied(err)
	}
	if env.global.wantsJSON() {
		return env.printJSON(what)
	}
	env.say("revoked: %s from %s", clean(o.words()), clean(what.Issuer))
	return nil
}

// notDenied tells the operator what a client could not do about it.
func notDenied(err error) error {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		return err
	}
	told := *d
	told.Hint = "run the command again once Redis answers; until it succeeds nothing counts as revoked"
	return &told
}

// entry makes the entry of the one thing that the flags name.
func (o guardDenyOptions) entry(env *Env) (revocation.Entry, denied, error) {
	named := 0
	for _, text := range []string{o.jti, o.sub, o.sid} {
		if text != "" {
			named++
		}
	}
	if named != 1 {
		return revocation.Entry{}, denied{}, &usageError{what: "guard deny needs one of --jti, --sub and --sid", hint: "oauthctl guard deny --sub S --revocations URL"}
	}
	issuer, err := o.issuerOr(env)
	if err != nil {
		return revocation.Entry{}, denied{}, err
	}
	now := env.Now().UTC().Truncate(time.Second)
	what := denied{Issuer: issuer, JTI: o.jti, Subject: o.sub, SID: o.sid, IssuedBefore: &now}
	switch {
	case o.jti != "":
		what.IssuedBefore = nil
		return revocation.ID(issuer, o.jti, time.Time{}), what, nil
	case o.sub != "":
		return revocation.Subject(issuer, o.sub, now), what, nil
	}
	return revocation.Session(issuer, o.sid, now), what, nil
}

func (o guardDenyOptions) issuerOr(env *Env) (string, error) {
	if o.issuer != "" {
		return o.issuer, nil
	}
	r, err := env.resolve()
	if err != nil {
		return "", err
	}
	if r.Issuer == "" {
		return "", &usageError{what: "no issuer is given and the profile names none", hint: "oauthctl guard deny --issuer URL, as the policy names it"}
	}
	return r.Issuer, nil
}

func (o guardDenyOptions) words() string {
	switch {
	case o.jti != "":
		return "the token " + o.jti
	case o.sub != "":
		return "all tokens issued to " + o.sub + " until now"
	}
	return "all tokens issued in session " + o.sid + " until now"
}
