package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

type devOptions struct {
	listen, apiListen string
	issuer, api       string
	insecureListen    bool
	console           bool
	devIssuing
	devPeople
	devTLS
	autoApprove string
	faults      []string
	seed        int64
	state       string
	mint        string
}

// devIssuing holds the flags about tokens and the requests for them.
type devIssuing struct {
	resources, scopes            []string
	provider                     string
	accessTTL, idTTL, refreshTTL time.Duration
	refreshTokens                string
	refreshFormat                string
	reuseGrace                   time.Duration
	alg                          string
	pkce                         string
	anyRedirectURI               bool
	insecureDocuments            bool
	trust                        []string
}

func newDev(env *Env) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use: "dev",
		Long: `Run a development authorization server and a demo API on loopback addresses,
without any configuration. The users are alice and bob, with the password
"password". The demo API has GET /api/items (scope items:read), POST /api/items
(items:write) and DELETE /api/users/{id} (users:delete).

The server's root page is a console: it shows each request, its tokens and why
one is refused, and has switches for the faults.

With --resource and --scope it issues tokens for your own API. With --issuer its
URL can differ from the address it listens on.

Use it for development only: its passwords are public. It writes only the file
of --state and, with --tls, the CA certificate.`,
		Example: `  # Run the server and the demo API
  oauthctl dev

  # Issue tokens for an API of your own
  oauthctl dev --resource http://localhost:8000 \
    --scope orders:read --scope orders:write

  # Register a web application with a secret, and give a user a role
  oauthctl dev --client web:s3cret,http://localhost:3000/callback \
    --user-claim 'alice:roles:=["admin"]'

  # Log bob in without a page, in tests
  oauthctl dev --auto-approve=bob --access-token-ttl 5s

  # List the faults that can be switched on
  oauthctl dev --fault list`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDev(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	addGroup(f, "Common flags", o.addCommonFlags)
	addGroup(f, "User and client flags", o.devPeople.addFlags)
	addGroup(f, "Token flags", o.devIssuing.addFlags)
	addGroup(f, "Address flags", o.addAddressFlags)
	addGroup(f, "TLS flags", o.devTLS.addFlags)
	return cmd
}

func (o *devOptions) addCommonFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.resources, "resource", nil, "also issue tokens for the API with this `URL` (repeatable; the first is the default)")
	f.StringArrayVar(&o.scopes, "scope", nil, "also grant this `SCOPE` (repeatable; the first is the default)")
	f.StringVar(&o.autoApprove, "auto-approve", "", "log `USER` in and consent without a page (alice, unless login_hint or the header X-Dev-User names another)")
	f.Lookup("auto-approve").NoOptDefVal = "alice"
	f.StringArrayVar(&o.faults, "fault", nil, "`NAME[=VALUE]`: misbehave in this way (repeatable; \"list\" shows the names)")
	f.StringVar(&o.provider, "provider", "", "behave like the provider `NAME`, with its form of tokens: "+strings.Join(devserver.Providers(), ", "))
	f.StringVar(&o.state, "state", "", "store keys, clients and refresh tokens in `FILE` across restarts")
	f.Int64Var(&o.seed, "seed", 0, "derive keys and client ids from `NUMBER`, for reproducible tests; everyone who knows the number knows the keys")
	f.StringVar(&o.mint, "mint", "", "print an access token and exit: good, or a `CASE` that is wrong (a fault of access tokens); needs --seed or --state")
	f.BoolVar(&o.console, "console", true, "show the console at the root page, on this machine only")
}

func (o *devOptions) addAddressFlags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:9000", "`ADDRESS` of the authorization server")
	f.StringVar(&o.apiListen, "api-listen", "127.0.0.1:9001", "`ADDRESS` of the demo API")
	f.StringVar(&o.issuer, "issuer", "", "issuer `URL` (default: the address of --listen)")
	f.StringVar(&o.api, "api-url", "", "`URL` of the demo API (default: the address of --api-listen)")
	f.BoolVar(&o.insecureListen, "insecure-listen", false, "allow addresses that other machines can reach")
}

func (o *devIssuing) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&o.accessTTL, "access-token-ttl", 5*time.Minute, "lifetime of access tokens")
	f.DurationVar(&o.idTTL, "id-token-ttl", 5*time.Minute, "lifetime of ID tokens")
	f.DurationVar(&o.refreshTTL, "refresh-token-ttl", 720*time.Hour, "lifetime of refresh tokens")
	o.refreshTokens, o.refreshFormat, o.pkce = string(devserver.RefreshWithOfflineAccess), "opaque", "required"
	oneOf(f, &o.refreshTokens, "refresh-tokens", []string{string(devserver.RefreshWithOfflineAccess), string(devserver.RefreshAlways), string(devserver.RefreshNever)}, "`WHEN` to issue refresh tokens: offline_access (if that scope is requested), always or never")
	oneOf(f, &o.refreshFormat, "refresh-token-format", []string{"opaque", "jwt"}, "`FORMAT` of refresh tokens: opaque, or jwt for clients that read them (keycloak-js)")
	f.DurationVar(&o.reuseGrace, "refresh-reuse-grace", 0, "accept a used refresh token again for this time")
	f.StringVar(&o.alg, "alg", "", "signature `ALGORITHM` (default ES256; older clients may need RS256)")
	oneOf(f, &o.pkce, "pkce", []string{"required", "optional"}, "`WHEN` PKCE is required: required (always), or optional for clients with a secret")
	f.BoolVar(&o.anyRedirectURI, "any-redirect-uri", false, "accept http redirect URIs on any host, and any private-use scheme")
	f.BoolVar(&o.insecureDocuments, "insecure-client-documents", false, "also fetch client id metadata documents over http and from private addresses")
	f.StringArrayVar(&o.trust, "trust", nil, "accept tokens of another issuer as subject tokens and assertions: `ISSUER=KEYS`, a URL or a file (repeatable)")
}

func runDev(ctx context.Context, env *Env, o devOptions) error {
	if len(o.faults) == 1 && o.faults[0] == "list" {
		return listFaults(env)
	}
	if o.mint != "" {
		return o.printToken(env)
	}
	d, err := startDev(env, o)
	if err != nil {
		return err
	}
	defer d.stop()
	if !env.global.quiet {
		o.introduce(env.stderr(), d)
	}
	o.warn(env)
	select {
	case <-ctx.Done():
		return nil // Ctrl-C is the normal end
	case err := <-d.failed:
		return fmt.Errorf("dev: %w", err)
	}
}

// running is a development server that is listening.
type running struct {
	server               *devserver.Server
	issuer, api, console string
	ca                   string // the file with the CA certificate, "" without TLS
	failed               chan error
	stop                 func()
}

// startDev starts the authorization server and the demo API.
func startDev(env *Env, o devOptions) (*running, error) {
	config, err := o.config(env)
	if err != nil {
		return nil, err
	}
	as, err := o.bind("--listen", o.listen)
	if err != nil {
		return nil, err
	}
	api, err := o.bind("--api-listen", o.apiListen)
	if err != nil {
		as.Close()
		return nil, err
	}
	secure, ca, err := o.load(env, hostOf(o.issuer), hostOf(o.api), hostOf("//"+o.listen), hostOf("//"+o.apiListen))
	var server *devserver.Server
	if err == nil {
		server, err = o.assemble(&config, as.Addr().String(), api.Addr().String())
	}
	if err != nil {
		as.Close()
		api.Close()
		return nil, err
	}
	r := &running{
		server: server, issuer: config.Issuer, api: config.API, console: o.scheme() + loopbackOf(o.listen, as.Addr().String()) + "/",
		ca: ca, failed: make(chan error, 2),
	}
	if secure != nil {
		as, api = tls.NewListener(as, secure), tls.NewListener(api, secure)
	}
	handler := r.server.AuthorizationServer()
	if o.provider != "" {
		if handler, err = r.server.As(o.provider); err != nil {
			as.Close()
			api.Close()
			return nil, usage("--provider: %w", err)
		}
	}
	r.serve(handler, as, api)
	return r, nil
}

// assemble sets the URLs in config, from the flags or else from the addresses of
// the listeners, and returns the server.
func (o *devOptions) assemble(config *devserver.Config, as, api string) (*devserver.Server, error) {
	config.Issuer, config.API = o.issuer, o.api
	if config.Issuer == "" {
		config.Issuer = o.scheme() + reachable(o.listen, as) + devserver.ProviderIssuer(o.provider)
	}
	if config.API == "" {
		config.API = o.scheme() + reachable(o.apiListen, api)
	}
	server, err := devserver.New(*config)
	if err != nil {
		return nil, &usageError{what: err.Error(), hint: devHint(err), err: err}
	}
	return server, nil
}

func (o *devOptions) scheme() string {
	if o.usesTLS() {
		return "https://"
	}
	return "http://"
}

// reachable returns the host and port for clients on this machine: the host of
// address, or 127.0.0.1 if it has none, and the port of bound.
func reachable(address, bound string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || isUnspecified(host) {
		host = "127.0.0.1"
	}
	return withPortOf(host, bound)
}

// loopbackOf is like reachable, but always returns a loopback address, because the
// console is served only there.
func loopbackOf(address, bound string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !safehttp.IsLoopback(host) {
		host = "127.0.0.1"
	}
	return withPortOf(host, bound)
}

func withPortOf(host, bound string) string {
	_, port, err := net.SplitHostPort(bound)
	if err != nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// devHint returns the command that helps if the configuration is refused, or "".
func devHint(err error) string {
	switch {
	case errors.Is(err, devserver.ErrFault):
		return "oauthctl dev --fault list"
	case errors.Is(err, devserver.ErrRedirectURI):
		return "oauthctl dev --any-redirect-uri"
	}
	return ""
}

// serve starts to serve the authorization server and the demo API, and sets stop.
func (r *running) serve(handler http.Handler, as, api net.Listener) {
	var serving sync.WaitGroup
	servers := []*http.Server{newServer(handler), newServer(r.server.API())}
	for i, l := range []net.Listener{as, api} {
		serving.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				r.failed <- err
			}
		})
	}
	r.stop = func() {
		grace, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		for _, server := range servers {
			if server.Shutdown(grace) != nil {
				server.Close()
			}
		}
		serving.Wait()
	}
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 256 << 10}
}

// bind listens on an address. The passwords are public, so it must be a loopback
// address unless the user allows others.
func (o *devOptions) bind(flag, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return nil, usage("%s: expected HOST:PORT, got %q", flag, address)
	case !safehttp.IsLoopback(host) && !o.insecureListen:
		return nil, &usageError{
			what: fmt.Sprintf("%s: %s is not a loopback address", flag, address),
			hint: "the passwords of this server's users are public; --insecure-listen allows it anyway",
		}
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		wrong := usageOf(fmt.Sprintf("%s: %s is in use, perhaps by another oauthctl dev", flag, address), "oauthctl dev --listen 127.0.0.1:0 --api-listen 127.0.0.1:0")
		wrong.err = err
		return nil, wrong
	}
	if err != nil {
		return nil, usage("%s: %w", flag, err)
	}
	return l, nil
}

// config returns the configuration from the flags, without the URLs.
func (o *devOptions) config(env *Env) (devserver.Config, error) {
	c := devserver.Config{
		Resources: o.resources, Scopes: o.scopes, AccessTokenTTL: o.accessTTL, IDTokenTTL: o.idTTL, RefreshTokenTTL: o.refreshTTL,
		RefreshTokens: devserver.RefreshTokens(o.refreshTokens), RefreshReuseGrace: o.reuseGrace, OptionalPKCE: o.pkce == "optional", JWTRefreshTokens: o.refreshFormat == "jwt", Provider: o.provider, Algorithm: o.alg,
		AnyRedirectURI: o.anyRedirectURI, InsecureClientDocuments: o.insecureDocuments, Faults: o.faults,
		Seed: o.seed, State: o.state, Console: o.console, Now: env.Now,
	}
	if o.autoApprove != "" && o.autoApprove != "false" {
		c.AutoApprove, c.AutoUser = true, o.autoApprove
		if o.autoApprove == "true" {
			c.AutoUser = ""
		}
	}
	var err error
	if c.Users, c.Clients, err = o.people(); err != nil {
		return c, err
	}
	c.Trust, err = readTrust(o.trust)
	return c, err
}
