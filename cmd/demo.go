package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type demoOptions struct{ browser bool }

func newDemo(env *Env) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo",
		Long: `Walk through the authorization code flow with PKCE, with real requests. A
development authorization server and a protected API run in this process. A
client logs in and calls the API, and four requests are refused. No file is
written, and no other machine is contacted.

The exit code is 0 only if every step has the expected result.`,
		Example: `  # Walk through the flow
  oauthctl demo`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), env, o) },
	}
	cmd.Flags().BoolVar(&o.browser, "browser", false, "log in with your own browser instead of a scripted one")
	return cmd
}

// demo is one run: the servers, and what the steps so far have produced.
type demo struct {
	demoOptions
	env     *Env
	screen  *screen
	http    *safehttp.Client
	servers *running
	step    int        // the one that is shown
	visited chan error // how the scripted browser ended
	stop    context.CancelFunc

	client *oauth.Client
	answer *oauth.TokenResponse

	keys      *jwks.Remote // the authorization server's, as an API caches them
	inspector *token.Inspector
}

func runDemo(ctx context.Context, env *Env, o demoOptions) error {
	servers, err := startDev(env, devOptions{listen: "127.0.0.1:0", apiListen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer servers.stop()
	transport := safehttp.NewTransport(nil)
	defer transport.CloseIdleConnections()
	d := &demo{demoOptions: o, visited: make(chan error, 1), env: env, screen: env.stdout(), servers: servers, http: &safehttp.Client{Transport: transport, Timeout: 10 * time.Second}}
	s := d.screen
	s.line("%s", s.strong("Authorization code with PKCE, in seven steps"))
	s.line("")
	s.table([][2]string{{"authorization server", servers.issuer}, {"protected API", servers.api}})
	err = d.logIn(ctx)
	if err == nil {
		d.begin("The client calls the API with the access token")
		err = d.callAPI(ctx)
	}
	if err == nil {
		d.begin("The API verifies the token before it does anything else")
		err = d.verify(ctx)
		defer d.keys.Close()
	}
	if err != nil {
		return fmt.Errorf("demo, step %d: %w", d.step, err)
	}
	s.line("")
	s.line("%s", s.strong("Requests that the API refuses"))
	if err := d.refusals(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	s.line("")
	s.line("Next: %s, then %s", s.name("oauthctl dev"), s.name("oauthctl login http://127.0.0.1:9001"))
	return nil
}

// begin shows the next step's number and title.
func (d *demo) begin(title string) {
	d.step++
	d.screen.line("")
	d.screen.line("%s %s", d.screen.name(fmt.Sprintf("%d", d.step)), d.screen.strong(title))
}

// logIn is the first five steps: a login like any other, whose session is kept in
// memory and whose user is a script unless there is a browser.
func (d *demo) logIn(ctx context.Context) error {
	ctx, d.stop = context.WithCancel(ctx)
	defer d.stop()
	p := profile.New("demo", profile.Values{profile.Issuer: d.servers.issuer, profile.StoreKind: account.StoreMemory})
	store, err := account.NewStore(p, "")
	if err != nil {
		return err
	}
	a, err := account.Open(p, store, account.Config{HTTP: d.http, Now: d.env.Now})
	if err != nil {
		return err
	}
	_, err = a.Login(ctx, demoUser{d}, account.LoginOptions{
		Scope:    []string{"openid", "offline_access", "items:read", "items:write"},
		Resource: []string{d.servers.api},

		OpenBrowser: true, Timeout: d.patience(), ClientName: "oauthctl demo", Observe: d.observe,
	})
	if d.browser || d.step < 3 {
		return err
	}
	// The browser has its page only when the tokens are there.
	return cmp.Or(<-d.visited, err)
}

// observe shows what the login did.
func (d *demo) observe(s account.Step) {
	switch s.Name {
	case account.Requested:
		d.begin("The client creates a secret and its SHA-256 hash")
		d.showVerifier(s.Request)
		d.begin("The client sends the browser to the authorization server")
		d.showRequest(s.Request)
		d.begin("The user logs in and consents")
	case account.Answered:
		d.begin("The browser returns to the client with a single-use code")
		d.showCode(s)
		d.begin("The client exchanges code and secret for tokens")
	case account.Obtained:
		d.showTokens(s)
	case account.Verified:
		d.client, d.answer = s.Client, s.Response
		d.passed("the ID token is for this client and this login, and its subject is " + clean(s.Identity.Subject()))
	}
}

func (d *demo) showVerifier(request *oauth.AuthorizationRequest) {
	d.rows([][2]string{
		// Shown in full, so that the challenge can be computed from it. It is useless
		// once the code is exchanged.
		{"code_verifier", request.CodeVerifier().Reveal()},
		{"code_challenge", request.CodeChallenge()},
		{"", "= BASE64URL(SHA-256(code_verifier)), method S256"},
	})
}

func (d *demo) showRequest(request *oauth.AuthorizationRequest) {
	u, err := url.Parse(request.URL())
	if err != nil {
		return
	}
	d.exchanged("GET", u.Path)
	var rows [][2]string
	for _, name := range []string{"response_type", "client_id", "redirect_uri", "scope", "resource", "code_challenge", "code_challenge_method", "state", "nonce"} {
		if v := u.Query().Get(name); v != "" {
			rows = append(rows, [2]string{name, short(v, 52)})
		}
	}
	d.rows(rows)
}

func (d *demo) showCode(s account.Step) {
	if u, err := url.Parse(s.Request.RedirectURI); err == nil {
		d.exchanged("GET", u.Path)
	}
	d.rows([][2]string{{"code", short(s.Code.Reveal(), 24)}})
	d.passed("state is the one that was sent")
	d.passed("iss is the authorization server's issuer (RFC 9207)")
}

func (d *demo) showTokens(s account.Step) {
	if u, err := url.Parse(s.Client.Server.TokenEndpoint); err == nil {
		d.exchanged("POST", u.Path)
	}
	d.rows([][2]string{
		{"grant_type", "authorization_code"},
		{"code", short(s.Code.Reveal(), 24)},
		{"code_verifier", short(s.Request.CodeVerifier().Reveal(), 24)},
	})
	d.rows([][2]string{
		{"access_token", short(s.Response.AccessToken.Reveal(), 24) + ", a JWT, for " + span(s.Response.ExpiresAt.Sub(d.env.Now()))},
		{"refresh_token", short(s.Response.RefreshToken.Reveal(), 24) + ", single-use"},
		{"scope", strings.Join(s.Response.Scope, " ")},
	})
	d.passed("SHA-256 of the verifier is the challenge of step 2")
}

// demoUser is the user's side of the demo's login.
type demoUser struct{ *demo }

// Searched prints nothing: the demo configures its issuer.
func (d demoUser) Searched(discovery.Trail, error) {}

// Registered prints nothing: the client id is in the request.
func (d demoUser) Registered(string, bool) {}

// Console is not needed: the demo registers a client.
func (demoUser) Console(string, []string) {}

// Requesting prints nothing: step 2 shows the scopes.
func (demoUser) Requesting([]string, []string) {}

// ShowURL shows the address to a user who logs in by hand.
func (d demoUser) ShowURL(address, _ string) {
	if d.browser {
		d.screen.line("   %s", clean(address))
		d.screen.line("   %s", d.screen.faint("alice, password \"password\""))
	}
}

// OpenBrowser opens the user's browser, or plays the user.
func (d demoUser) OpenBrowser(address string) error {
	if d.browser {
		return d.env.Browse(address)
	}
	visiting, stop := context.WithTimeout(context.Background(), d.patience())
	defer stop()
	status, err := visitor{login: "alice", password: "password", requested: d.exchanged}.visit(visiting, address)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the login ended with status %d", status)
	}
	d.visited <- err
	return err
}

// ReadLine reads nothing.
func (d demoUser) ReadLine() (string, error) { return "", io.EOF }

// ShowCode is for the device grant, which the demo does not use.
func (d demoUser) ShowCode(*oauth.DeviceAuthorization) {}

// Warn ends a login whose scripted browser failed.
func (d demoUser) Warn(err error) {
	if !d.browser {
		d.stop()
		return
	}
	d.env.warnOf(err)
}

func (d *demo) patience() time.Duration {
	if d.browser {
		return 5 * time.Minute
	}
	return 20 * time.Second
}

func (d *demo) callAPI(ctx context.Context) error {
	res, err := d.get(ctx, http.MethodGet, "/api/items", d.answer.AccessToken.Reveal())
	if err != nil {
		return err
	}
	d.exchanged("GET", "/api/items")
	d.rows([][2]string{{"Authorization", "Bearer " + short(d.answer.AccessToken.Reveal(), 24)}})
	if res.Status != http.StatusOK {
		return fmt.Errorf("the API answered %d", res.Status)
	}
	d.rows([][2]string{{fmt.Sprintf("%d %s", res.Status, http.StatusText(res.Status)), short(strings.TrimSpace(string(res.Body)), 60)}})
	return nil
}

// verify does what the API did, with the same package, and shows each check.
func (d *demo) verify(ctx context.Context) error {
	d.keys = jwks.NewRemote(d.client.Server.JWKSURI, jwks.RemoteOptions{HTTP: d.http, Now: d.env.Now})
	var err error
	d.inspector, err = token.NewInspector(d.servers.issuer, []string{d.servers.api}, d.keys, token.Options{Now: d.env.Now})
	if err != nil {
		return err
	}
	report, keysFrom := d.inspect(ctx, d.answer.AccessToken.Reveal())
	d.screen.line("   %s", keysFrom)
	for _, c := range report.Checks {
		if c.Status == token.Passed {
			d.passed(fmt.Sprintf("%-11s %s", clean(c.Check), clean(short(c.Got.String(), 60))))
		}
	}
	d.passed(fmt.Sprintf("%-11s %s", "scope", "items:read is granted"))
	return report.Err()
}

// inspect verifies a token, and returns where the keys came from: the request for
// the key set if this token caused it, otherwise the cache.
func (d *demo) inspect(ctx context.Context, raw string) (report *token.Report, keysFrom string) {
	before := d.keys.State().Fetches
	report = d.inspector.Report(ctx, raw)
	if d.keys.State().Fetches == before {
		return report, "cached"
	}
	return report, d.screen.strong(http.MethodGet) + " " + clean(d.client.Server.JWKSURI)
}

// refusals sends four requests that must be refused, and shows the reasons.
func (d *demo) refusals(ctx context.Context) error {
	good := d.answer.AccessToken.Reveal()
	expired, err := d.servers.server.Mint("expired")
	if err != nil {
		return err
	}
	foreign, err := d.servers.server.Mint("wrong-audience")
	if err != nil {
		return err
	}
	for _, r := range []struct {
		what, method, path, token string
		status                    int
	}{
		{"expired", http.MethodGet, "/api/items", expired, 401},
		{"wrong audience", http.MethodGet, "/api/items", foreign, 401},
		{"tampered", http.MethodGet, "/api/items", tamper(good), 401},
		{"missing scope", http.MethodDelete, "/api/users/1", good, 403},
	} {
		res, err := d.get(ctx, r.method, r.path, r.token)
		if err != nil {
			return err
		}
		reason := reasonOf(res)
		if res.Status != r.status || reason == "" {
			return fmt.Errorf("%s: expected %d with a reason, got %d %q", r.what, r.status, res.Status, reason)
		}
		_, keysFrom := d.inspect(ctx, r.token)
		s := d.screen
		s.line("   %s %-15s %s  keys %s  %s", s.good(s.marks.pass), r.what, s.bad(fmt.Sprint(res.Status)), keysFrom, clean(short(reason, 41)))
	}
	return nil
}

func (d *demo) get(ctx context.Context, method, path, accessToken string) (*safehttp.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.servers.api+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	return d.http.Do(req, 1<<20)
}

// reasonOf reads why an API refused from its challenge.
func reasonOf(res *safehttp.Response) string {
	challenges, _ := challenge.Parse(res.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if c.Is("Bearer") {
			return c.Get("error_description")
		}
	}
	return ""
}

// tamper gives the token's payload another subject and keeps the signature.
func tamper(raw string) string {
	parts := strings.Split(raw, ".")
	last := parts[1][len(parts[1])/2]
	other := byte('A')
	if last == other {
		other = 'B'
	}
	b := []byte(parts[1])
	b[len(b)/2] = other
	parts[1] = string(b)
	return strings.Join(parts, ".")
}

func (d *demo) exchanged(method, what string) {
	d.screen.line("   %s %s", d.screen.strong(method), clean(what))
}

func (d *demo) passed(what string) {
	d.screen.line("   %s %s", d.screen.good(d.screen.marks.pass), what)
}

func (d *demo) rows(rows [][2]string) {
	for _, r := range rows {
		d.screen.line("   %s  %s", d.screen.faint(fmt.Sprintf("%-21s", r[0])), clean(r[1]))
	}
}

// short shortens a value for the screen.
func short(text string, width int) string {
	if len(text) <= width {
		return text
	}
	return text[:width-1] + "…"
}
