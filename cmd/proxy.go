package cmd

import (
	"context"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type proxyOptions struct {
	apiOptions
	listen    string
	open      bool
	webOrigin string
}

func newProxy(env *Env) *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use: "proxy",
		Long: `Run a reverse proxy to the profile's API, on a loopback address, that adds a
fresh token to each request. Its URL, printed to stdout, contains a secret of
this run, so that no other program can use it. Requests from web pages are
refused, except from --web-origin.

Redirects, links and cookies in the header are rewritten to the proxy's URL;
URLs in the body are not. For an API whose bodies contain URLs, --open gives a
URL without the secret.`,
		Example: `  # Give other programs a URL for the API
  oauthctl proxy

  # Use a fixed port, and allow a web page in development
  oauthctl proxy --listen 127.0.0.1:8080 --web-origin http://localhost:5173`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runProxy(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `ADDRESS` to listen on")
	f.BoolVar(&o.open, "open", false, "leave the secret out of the URL")
	f.StringVar(&o.webOrigin, "web-origin", "", "accept requests from web pages of this `ORIGIN`, such as http://localhost:5173")
	o.addFlags(f)
	return cmd
}

func runProxy(ctx context.Context, env *Env, o proxyOptions) error {
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	client, err := env.apiClient(a, &callOptions{apiOptions: o.apiOptions})
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil || !safehttp.IsLoopback(host) {
		return usage("--listen: expected a loopback address such as 127.0.0.1:0, got %q", o.listen)
	}
	// Requested now, so that a proxy without a token is not started.
	if _, err := client.Source.Token(ctx, secret.String{}); err != nil {
		return err
	}
	l, err := listen("--listen", o.listen)
	if err != nil {
		return err
	}
	proxy, err := apicall.NewProxy(client, l.Addr().String(), apicall.ProxyOptions{Open: o.open, PageOrigin: o.webOrigin, Explain: env.explainToProgram})
	if err != nil {
		l.Close()
		return usage("--web-origin: %w", err)
	}
	env.stdout().line("%s", proxy.URL())
	return guard.Serve(ctx, l, proxy, time.Second)
}

// explainToProgram is what a program that uses the proxy reads when its request
// could not be sent.
func (env *Env) explainToProgram(err error) string {
	f := env.classify(err)
	env.withoutSecrets(&f)
	text := "oauthctl: " + f.Message
	if f.Hint != "" {
		text += "\nhint: " + f.Hint
	}
	return text
}
