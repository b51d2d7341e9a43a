package cmd

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// reachAPI has a client connect as the flags say: through a socket, or over plain
// http where the user accepts that.
func (env *Env) reachAPI(c *safehttp.Client, p *profile.Profile, o *callOptions) error {
	if o.unixSocket != "" {
		settings, err := p.TLS()
		if err != nil {
			return err
		}
		c.Transport = env.announcing(safehttp.UnixTransport(o.unixSocket, env.trusting(settings)))
	}
	if !o.insecureHTTP {
		return nil
	}
	for _, address := range append([]string{p.Get(profile.API), o.target}, o.allowOrigin...) {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" || safehttp.IsLoopback(u.Hostname()) {
			continue
		}
		c.InsecureHTTP = append(c.InsecureHTTP, safehttp.Origin(u))
		env.warn("the token is sent to %s without encryption: anyone on the way can read and use it", clean(u.Host))
	}
	return nil
}

// untilHangup returns a context that ends when the terminal is closed, so that
// temporary files are removed.
func untilHangup(ctx context.Context) (context.Context, func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {} // started with nohup
	}
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		select {
		case <-signals:
			cancel(signalError{syscall.SIGHUP})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(context.Canceled) }
}

// mayRetry reports whether the same command may succeed later: the API answered
// that there were too many requests.
func mayRetry(err error) bool {
	refusal, ok := errors.AsType[*apicall.Refusal](err)
	return ok && (refusal.ID == diagnosis.APIError && refusal.Retryable)
}
