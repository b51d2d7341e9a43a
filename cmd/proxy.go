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
	listen string
	open   bool
}

func newProxy(env *Env) *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use: "proxy",
		Long: `Lend the profile's token to programs on this machine: a reverse proxy on loopback
that attaches a fresh token to each request to the API. Its URL, printed on
stdout, holds a secret of this run, so that nobody else can use it. Web pages are
refused.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runProxy(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "the loopback `ADDRESS` to listen on")
	f.BoolVar(&o.open, "open", false, "leave the secret out of the URL")
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
	// Asked for now, so that nobody starts a proxy that could attach nothing.
	if _, err := client.Source.Token(ctx, secret.String{}); err != nil {
		return err
	}
	l, err := listen("--listen", o.listen)
	if err != nil {
		return err
	}
	proxy, err := apicall.NewProxy(client, l.Addr().String(), apicall.ProxyOptions{Open: o.open})
	if err != nil {
		l.Close()
		return err
	}
	env.stdout().line("%s", proxy.URL())
	return guard.Serve(ctx, l, proxy, time.Second)
}
