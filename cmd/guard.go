package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type guardOptions struct {
	upstream     string
	policy       string
	listen       string
	adminListen  string
	resource     string
	jwks         string
	forwardToken bool
	revocations  revocationsFlag
	// insecureAllowWhenAway lets tokens pass that could not be asked about.
	insecureAllowWhenAway bool
}

func newGuard(env *Env) *cobra.Command {
	var o guardOptions
	cmd := &cobra.Command{
		Use: "guard --upstream URL --policy FILE",
		Long: `Protect any API: a reverse proxy that lets through what the policy allows and
tells the API who asks, in X-Auth-Subject and X-Auth-Scope. What the policy does
not list is denied. The policy file is read again when it changes; a wrong one is
reported and the old one stays.

With --revocations it also refuses what ` + "`oauthctl guard deny`" + ` revoked, within a
second and in every instance. While Redis cannot be asked, the answer is 503.

The API must not be reachable in any other way.`,
		Example: `  oauthctl guard --upstream http://127.0.0.1:8000 --policy policy.yaml`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGuard(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.upstream, "upstream", "", "the API's own `URL`")
	f.StringVar(&o.policy, "policy", "", "the policy `FILE`")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "the `ADDRESS` that clients use")
	f.StringVar(&o.adminListen, "admin-listen", "", "serve /healthz, /readyz and /metrics at this `ADDRESS`")
	f.StringVar(&o.resource, "resource", "", "the `URL` under which clients know the API; serves its metadata (RFC 9728)")
	f.StringVar(&o.jwks, "jwks", "", "take the keys from this key set, a `URL or FILE` (default: the issuer's)")
	f.BoolVar(&o.forwardToken, "forward-token", false, "hand the token on to the API")
	o.revocations.addFlags(f)
	f.BoolVar(&o.insecureAllowWhenAway, "insecure-allow-when-away", false, "let tokens pass unchecked while --revocations cannot be asked")
	cmd.AddCommand(newGuardDeny(env))
	return cmd
}

func runGuard(ctx context.Context, env *Env, o guardOptions) error {
	store, err := o.revocations.open(env, redis.Options{InsecureAllowWhenAway: o.insecureAllowWhenAway})
	if err != nil {
		return err
	}
	if store != nil {
		defer store.Close()
	} else if o.insecureAllowWhenAway {
		return usage("--insecure-allow-when-away needs --revocations")
	}
	handler, err := env.newGuardHandler(ctx, o, store)
	if err != nil {
		return err
	}
	l, err := listen("--listen", o.listen)
	if err != nil {
		return err
	}
	go handler.Watch(ctx, o.policy, time.Second)
	if o.adminListen != "" {
		admin, err := listen("--admin-listen", o.adminListen)
		if err != nil {
			l.Close()
			return err
		}
		go func() { _ = guard.Serve(ctx, admin, handler.Admin(), time.Second) }()
	}
	env.say("guarding %s at http://%s", clean(o.upstream), l.Addr())
	return guard.Serve(ctx, l, handler, 10*time.Second)
}

func (env *Env) newGuardHandler(ctx context.Context, o guardOptions, store *redis.Store) (*guard.Handler, error) {
	if o.upstream == "" || o.policy == "" {
		return nil, &usageError{what: "guard needs --upstream and --policy", hint: "oauthctl guard --upstream http://127.0.0.1:8000 --policy policy.yaml"}
	}
	upstream, err := url.Parse(o.upstream)
	if err != nil {
		return nil, usage("--upstream: %q is not a URL", o.upstream)
	}
	data, err := os.ReadFile(o.policy)
	if err != nil {
		return nil, usage("--policy: %w", err)
	}
	p, err := policy.Load(data, o.policy)
	if err != nil {
		return nil, usage("--policy: %w", err)
	}
	r := &resolved{profile: profile{Issuer: p.Issuer}}
	keys, err := env.keySet(ctx, judgingOptions{jwks: o.jwks}, r, secret.String{})
	if err != nil {
		return nil, err
	}
	c := guard.Config{
		Upstream: upstream, Policy: p, Keys: keys, Resource: o.resource, ForwardToken: o.forwardToken,
		Log: slog.New(slog.NewJSONHandler(env.Stderr, nil)),
	}
	if store != nil {
		c.Revocation = store
	}
	handler, err := guard.New(c)
	if err != nil {
		return nil, usage("%w", err)
	}
	return handler, nil
}

// listen binds an address that a flag names.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &usageError{what: fmt.Sprintf("%s: %v", flag, err), hint: flag + " 127.0.0.1:0 takes a free port", err: err}
	}
	return l, nil
}
