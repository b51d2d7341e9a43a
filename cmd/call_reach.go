package cmd

import (
	"errors"
	"net/url"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// reachAPI sets how a client connects, as the flags say: through a socket, or
// over http without TLS if the user accepts that.
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

// mayRetry reports whether the same command may succeed later: the API answered
// that there were too many requests.
func mayRetry(err error) bool {
	refusal, ok := errors.AsType[*apicall.Refusal](err)
	return ok && refusal.ID == diagnosis.APIError && refusal.Retryable
}
