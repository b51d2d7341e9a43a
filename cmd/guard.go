package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

type guardOptions struct {
	upstream     upstreamFlags
	gateway      string // of --forward-auth; "" means a reverse proxy
	policy       string
	checkPolicy  string
	comparedWith string
	document     guardDocumentFlags
	listen       string
	adminListen  string
	resource     string
	jwks         string
	tokens       guardTokenFlags
	headers      guardHeaderFlags
	limits       guardLimitFlags
	revocations  revocationsFlag
	logout       guardLogoutFlags
	// insecureAllowWhenAway accepts tokens while the store of revocations is
	// unreachable.
	insecureAllowWhenAway bool
	log                   string
	service               string
}

func newGuard(env *Env) *cobra.Command {
	var o guardOptions
	cmd := &cobra.Command{
		Use: "guard --upstream URL --policy FILE",
		Long: `Protect any API: a reverse proxy that accepts what the policy allows and passes
the caller's identity to the API in X-Auth-Subject, X-Auth-Client-Id,
X-Auth-Issuer and X-Auth-Scope. What the policy does not list is denied.

The policy file is read again when it changes, and at SIGHUP together with a key
file. An invalid file is reported, and the old policy stays in use. To replace
the file, rename a new one over it. At SIGTERM, /readyz answers 503, and after
--drain-delay no more requests are accepted; open requests have the time of
--grace to finish.

With --forward-auth it answers nginx (auth_request), Traefik (forwardAuth), Caddy
(forward_auth) or Envoy (ext_authz over HTTP) instead of forwarding requests.

With --revocations it refuses tokens that ` + "`oauthctl guard deny`" + ` revoked,
in every instance: new requests within 2 seconds, open streams within 7.

Clients must not be able to reach the API in any other way.`,
		Example: `  # Protect an API
  oauthctl guard --upstream http://127.0.0.1:8000 --policy policy.yaml

  # Answer for a gateway
  oauthctl guard --forward-auth --trusted-proxy 127.0.0.1 --policy policy.yaml

  # Check a policy, and list the changes
  oauthctl guard --check-policy policy.yaml --compared-with deployed.yaml

  # Make a policy from an OpenAPI document
  oauthctl guard --openapi openapi.json --print-policy > new.yaml`,
		Args:        noArgs,
		Annotations: map[string]string{reloadsOnHangup: "yes"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return runGuard(cmd.Context(), env, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.AddCommand(newGuardDeny(env))
	return cmd
}

func (o *guardOptions) addFlags(f *pflag.FlagSet) {
	addGroup(f, "Common flags", o.addCommonFlags)
	addGroup(f, "Token flags", o.addKeyFlags, o.tokens.addFlags)
	addGroup(f, "Revocation flags", o.revocations.addFlags, o.addRevocationFlags, o.logout.addFlags)
	addGroup(f, "Header flags", o.headers.addFlags)
	addGroup(f, "Upstream flags", o.upstream.addFlags)
	addGroup(f, "Limit flags", o.limits.addFlags)
	addGroup(f, "Log and monitoring flags", o.addLogFlags)
	addGroup(f, "Policy file flags", o.addPolicyFlags, o.document.addFlags)
}

func (o *guardOptions) addCommonFlags(f *pflag.FlagSet) {
	f.StringVar(&o.upstream.url, "upstream", "", "`URL` of the API itself: http, https, h2c or unix:/path")
	f.StringVar(&o.policy, "policy", "", "the policy `FILE`")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`ADDRESS` that clients use")
	f.StringVar(&o.gateway, "forward-auth", "", "answer for a gateway instead: `GATEWAY` "+choices(gateways()))
	f.Lookup("forward-auth").NoOptDefVal = "any"
	f.StringVar(&o.resource, "resource", "", "`URL` that clients use for the API; serves its metadata (RFC 9728)")
}

func (o *guardOptions) addKeyFlags(f *pflag.FlagSet) {
	f.StringVar(&o.jwks, "jwks", "", "use the keys of this key set, a `URL|FILE` (default: the issuer's)")
}

func (o *guardOptions) addRevocationFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.revocations.exact, "revocations-exact", false, "ask Redis about each token instead of following the list of revocations")
	f.BoolVar(&o.insecureAllowWhenAway, "insecure-allow-when-away", false, "accept tokens without a revocation check while --revocations is unreachable")
}

func (o *guardOptions) addLogFlags(f *pflag.FlagSet) {
	logs, _ := loggable()
	o.log = logs[0]
	oneOf(f, &o.log, "log", logs, "`WHICH` requests to log: all, refusals or off")
	f.StringVar(&o.service, "service", "", "`NAME` of this guard in its log")
	f.StringVar(&o.adminListen, "admin-listen", "", "serve /healthz, /readyz and /metrics at this `ADDRESS`")
}

func (o *guardOptions) addPolicyFlags(f *pflag.FlagSet) {
	f.StringVar(&o.checkPolicy, "check-policy", "", "check the policy `FILE` and exit")
	f.StringVar(&o.comparedWith, "compared-with", "", "with --check-policy, list the differences from this `FILE`")
}

func runGuard(ctx context.Context, env *Env, o guardOptions) error {
	switch {
	case o.checkPolicy != "":
		return env.checkPolicy(o)
	case o.document.printPolicy || o.document.openapi != "":
		return env.printPolicy(o.document)
	}
	store, err := o.openRevocations(env)
	if err != nil {
		return err
	}
	if store != nil {
		defer store.Close()
	}
	g, err := env.newGuardian(o, store)
	if err != nil {
		return err
	}
	defer g.close()
	l, err := listen("--listen", o.listen)
	if err != nil {
		return err
	}
	admin, stopAdmin, err := g.serveAdmin(o.adminListen)
	if err != nil {
		l.Close()
		return err
	}
	defer stopAdmin()
	if store != nil {
		go store.Run(ctx)
	}
	go g.handler.Watch(ctx, o.policy, time.Second)
	stopReloading := g.reloadAtHangup(ctx, o.policy)
	defer stopReloading()
	g.announce(o, l.Addr(), admin)
	server := guard.Server{Handler: g.serves, Delay: o.limits.drainDelay, Draining: g.handler.Drain, Grace: o.limits.grace}
	return server.Serve(ctx, l)
}

func (o guardOptions) openRevocations(env *Env) (*redis.Store, error) {
	store, err := o.revocations.open(env, redis.Options{InsecureAllowWhenAway: o.insecureAllowWhenAway, Follow: !o.revocations.exact})
	if err == nil && store == nil && o.insecureAllowWhenAway {
		return nil, usage("--insecure-allow-when-away needs --revocations")
	}
	return store, err
}

// serveAdmin serves health and metrics until the returned function is called, not
// only until SIGTERM: a load balancer has to see that the guard is stopping.
func (g *guardian) serveAdmin(address string) (net.Addr, func(), error) {
	if address == "" {
		return nil, func() {}, nil
	}
	l, err := listen("--admin-listen", address)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = guard.Serve(ctx, l, g.handler.Admin(), time.Second) }()
	return l.Addr(), cancel, nil
}

// reloadAtHangup reloads the policy and the key file at each SIGHUP.
func (g *guardian) reloadAtHangup(ctx context.Context, policyFile string) func() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				_ = g.handler.Reload(policyFile) // it logs its error
				if err := g.reloadKeys(); err != nil {
					g.log.Error("key file refused, the old keys stay", slog.String("reason", err.Error()))
				}
			}
		}
	}()
	return func() { signal.Stop(hangups) }
}

// announce logs the addresses of the guard. It is a line of the log because all
// output of a running guard is JSON.
func (g *guardian) announce(o guardOptions, at, admin net.Addr) {
	attrs := []any{slog.String("address", "http://"+at.String())}
	if o.gateway != "" {
		attrs = append(attrs, slog.String("forward_auth", o.gateway))
	} else {
		attrs = append(attrs, slog.String("upstream", o.upstream.url))
	}
	if admin != nil {
		attrs = append(attrs, slog.String("admin", "http://"+admin.String()))
	}
	g.log.Info(fmt.Sprintf("guarding at http://%s by %s", at, o.policy), attrs...)
}

// listen listens on the address that was given with a flag.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &usageError{what: fmt.Sprintf("%s: %v", flag, err), hint: flag + " 127.0.0.1:0 takes a free port", err: err}
	}
	return l, nil
}
