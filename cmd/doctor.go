package cmd

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

type doctorOptions struct {
	url     string
	mcp     bool
	deep    bool
	noToken bool
	strict  bool
	from    string
}

func newDoctor(env *Env) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use: "doctor [URL]",
		Long: `Find the first thing that prevents a login or a call, and who has to fix it:
you, the network, the API or the issuer. URL is that of an API, an MCP server or
an issuer. Without URL, doctor examines this machine and the API of each
profile.

Doctor changes nothing. It sends GET, HEAD and OPTIONS, and to an MCP server
also initialize or server/discover, and tools/list. It registers no client and
refreshes no session. The session's token is sent to the session's own API only.

The exit code is that of the first fault; with warnings only, it is 0.`,
		Example: `  # Find out why calls to an API fail
  oauthctl doctor https://api.example.com/api/items

  # The same, without sending the session's token
  oauthctl doctor https://api.example.com/api/items --no-token

  # Check this machine and the API of each profile
  oauthctl doctor`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.url = args[0]
			}
			return runDoctor(cmd.Context(), env, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.mcp, "mcp", false, "examine URL as an MCP server")
	f.BoolVar(&o.deep, "deep", false, "also send one invalid token request to the issuer")
	f.BoolVar(&o.noToken, "no-token", false, "send no access token")
	f.StringVar(&o.from, "from", "", "explain the `FILE` that call or login wrote with --report; send nothing")
	f.BoolVar(&o.strict, "strict", false, "exit with an error for warnings too")
	return cmd
}

func runDoctor(ctx context.Context, env *Env, o doctorOptions) error {
	if o.from != "" {
		if o.url != "" || o.mcp || o.deep {
			return usage("--from cannot be combined with a URL, --mcp or --deep")
		}
		return env.explainReport(ctx, o)
	}
	if o.url != "" {
		u, err := url.Parse(discovery.CompleteURL(o.url))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usageOf("not a URL: "+shownArg(o.url), "oauthctl doctor https://HOST/PATH")
		}
		o.url = u.String()
	}
	visits, err := env.visits(ctx, o)
	if err != nil {
		return err
	}
	var fault error
	for _, v := range visits {
		fault = cmp.Or(fault, v.settle(o))
	}
	if env.global.wantsJSON() {
		err = env.printJSON(doctorReport(env, o, visits))
	} else {
		env.showVisits(visits, o)
	}
	if err != nil || fault == nil {
		return err
	}
	return printedError{fault}
}

// visit is the examination of a URL with a profile, and its result.
type visit struct {
	profile  string
	report   *doctor.Report
	exitCode int
}

// settle sets the exit code and returns the first fault as an error, or nil.
func (v *visit) settle(o doctorOptions) error {
	v.exitCode = exitDone
	first := v.report.First(o.strict)
	if first == nil {
		return nil
	}
	fault := first.Fault()
	v.exitCode = exitCodeOf(fault.Kind())
	return fault
}

// visits examines the given URL, or the API or issuer of the given profile, or of
// every profile.
func (env *Env) visits(ctx context.Context, o doctorOptions) ([]*visit, error) {
	if o.url != "" || env.global.profile != "" || env.Getenv(profile.NameVariable) != "" {
		v, err := env.visit(ctx, o)
		return []*visit{v}, err
	}
	f, err := profile.Load(env.configPath())
	if err != nil || len(f.Names()) == 0 {
		v, err := env.visit(ctx, o)
		return []*visit{v}, err
	}
	var all []*visit
	for _, name := range f.Names() {
		env.resolved, env.global.profile = nil, name
		v, err := env.visit(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// visit examines the given URL, or the API or issuer of the current profile.
func (env *Env) visit(ctx context.Context, o doctorOptions) (*visit, error) {
	config := doctor.Config{URL: o.url, Now: env.Now, MCP: o.mcp, Deep: o.deep, NoToken: o.noToken}
	v := &visit{}
	p, err := env.anyProfile()
	if err != nil {
		config.Local = append(config.Local, doctor.Local{Err: err, Blocks: true})
	} else {
		v.profile = p.Name()
		config.URL = cmp.Or(o.url, p.Get(profile.API), p.Get(profile.Issuer))
		if _, err := env.profile(); err != nil {
			return nil, err // no such profile
		}
	}
	config.HTTP, err = env.client()
	if err == nil && p != nil {
		_, err = p.TLS()
	}
	if err == nil && p != nil {
		config.Account, err = env.account(p, credentials{})
	}
	if err != nil && len(config.Local) == 0 {
		config.Local = append(config.Local, doctor.Local{Err: err, Blocks: true})
	}
	config.Local = append(config.Local, env.localFacts(config.URL, config.Account)...)
	config.Local = append(config.Local, doctor.Local{Text: "oauthctl " + versionText()})
	if env.HTTP == nil && env.proxyOf(config.URL) == "" {
		config.Dial = (&net.Dialer{}).DialContext
	}
	v.report, err = doctor.Examine(ctx, config)
	return v, err
}

// localFacts returns facts about this machine that matter for a login: the proxy
// and whether there is a browser.
func (env *Env) localFacts(rawURL string, a *account.Account) []doctor.Local {
	facts := []doctor.Local{{Text: "no proxy"}}
	if proxy := env.proxyOf(rawURL); proxy != "" {
		facts[0].Text = "proxy " + clean(proxy)
	}
	if a == nil || env.hasBrowser() && !env.inCI() || a.ActsForItself() || a.Profile().Get(profile.GrantType) != "" {
		return facts
	}
	var d *diagnosis.Diagnosis
	if _, err := a.Session(); errors.As(err, &d) && d.ID == diagnosis.LoginRequired {
		if !env.IsTerminal(env.Stderr) {
			return append(facts, doctor.Local{Text: "no browser"})
		}
		facts = append(facts, doctor.Local{Err: &diagnosis.Diagnosis{ID: diagnosis.NoBrowser}, Warns: true})
	}
	return facts
}

// proxyOf returns the proxy for requests to a URL, or "".
func (env *Env) proxyOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || env.proxies == nil {
		return ""
	}
	proxy, err := env.proxies.For(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
