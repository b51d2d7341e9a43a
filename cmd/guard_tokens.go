package cmd

import (
	"context"
	"net/textproto"
	"strings"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const variableIntrospectSecret = "OAUTHCTL_INTROSPECT_SECRET"

// guardTokenFlags holds the flags about the kinds of tokens that are accepted, and
// where a request may carry them.
type guardTokenFlags struct {
	cache             int
	dpop              bool
	requireBound      bool
	certificateHeader string

	introspect           string
	introspectClientID   string
	introspectSecretFile string
	introspectEndpoint   string

	header      string
	cookie      string
	subprotocol bool
}

func (t *guardTokenFlags) addFlags(f *pflag.FlagSet) {
	f.IntVar(&t.cache, "cache-tokens", 10_000, "cache this `NUMBER` of verified tokens; 0 verifies each time")
	f.BoolVar(&t.dpop, "dpop", false, "accept tokens bound to a key, with a proof (RFC 9449); needs --resource")
	f.BoolVar(&t.requireBound, "require-bound", false, "refuse tokens that are not bound to a key or certificate")
	f.StringVar(&t.certificateHeader, "client-cert-header", "", "accept tokens bound to the certificate that a --trusted-proxy sends in this `HEADER`: Client-Cert (RFC 9440) or X-Forwarded-Client-Cert")
	oneOf(f, &t.introspect, "introspect", []string{"opaque", "all"}, "ask the issuer about `WHICH` tokens (RFC 7662): opaque or all")
	f.StringVar(&t.introspectClientID, "introspect-client-id", "", "client `ID` of the API for --introspect")
	f.StringVar(&t.introspectSecretFile, "introspect-secret-file", "", "secret of that client, a `FILE` (default: $"+variableIntrospectSecret+")")
	f.StringVar(&t.introspectEndpoint, "introspect-endpoint", "", "introspection endpoint `URL` (default: from the issuer's metadata)")
	f.StringVar(&t.header, "token-header", "", "also accept a token as the value of this `HEADER`")
	f.StringVar(&t.cookie, "token-cookie", "", "also accept a token in this `COOKIE`")
	f.BoolVar(&t.subprotocol, "token-subprotocol", false, "also accept a token from a browser's WebSocket, as the subprotocol after \"bearer\"")
}

// fill sets the fields of c that the flags are about.
func (t guardTokenFlags) fill(env *Env, c *guard.Config, store *redis.Store) error {
	if t.cache < 0 {
		return usage("--cache-tokens: expected a number that is not negative, got %d", t.cache)
	}
	c.Verifier.CacheTokens = t.cache
	c.Carriers = guard.Carriers{Header: t.header, Cookie: t.cookie, Subprotocol: t.subprotocol}
	if err := t.fillDPoP(c, store); err != nil {
		return err
	}
	if t.certificateHeader != "" {
		name := strings.ToLower(t.certificateHeader)
		switch {
		case name != "client-cert" && name != "x-forwarded-client-cert":
			return usage("--client-cert-header: expected Client-Cert or X-Forwarded-Client-Cert, got %q", t.certificateHeader)
		case len(c.TrustedProxies) == 0:
			return &usageError{what: "--client-cert-header needs the address of the proxy that ends TLS", hint: "--trusted-proxy 10.0.0.0/8"}
		}
		c.Bearer = append(c.Bearer, bearer.ClientCertificate(guard.ClientCertificate(t.certificateHeader, c.TrustedProxies)))
		c.ProxyHeaders = append(c.ProxyHeaders, textproto.CanonicalMIMEHeaderKey(t.certificateHeader))
		c.Metadata.TLSClientCertificateBoundAccessTokens = true
	}
	if t.requireBound {
		if !t.dpop && t.certificateHeader == "" {
			return usage("--require-bound needs --dpop or --client-cert-header")
		}
		c.Bearer = append(c.Bearer, bearer.RequireBound())
		c.Metadata.DPoPBoundAccessTokensRequired = t.certificateHeader == ""
	}
	return t.fillIntrospection(env, c)
}

func (t guardTokenFlags) fillDPoP(c *guard.Config, store *redis.Store) error {
	if !t.dpop {
		return nil
	}
	var replay guard.ReplayStore
	if store != nil {
		replay = store
	}
	if err := c.AcceptDPoP(replay); err != nil {
		return &usageError{what: "--dpop needs the URL that clients use for the API", hint: "--resource https://api.example.com"}
	}
	return nil
}

func (t guardTokenFlags) fillIntrospection(env *Env, c *guard.Config) error {
	switch {
	case t.introspect == "" && t.introspectClientID+t.introspectSecretFile+t.introspectEndpoint != "":
		return &usageError{what: "the flags --introspect-… need --introspect", hint: "--introspect opaque"}
	case t.introspect == "":
		return nil
	case t.introspectClientID == "":
		return &usageError{what: "--introspect needs the API's own client", hint: "--introspect-client-id ID, with the secret in $" + variableIntrospectSecret}
	}
	find, err := t.introspectionClient(env, c.Policy.Issuer)
	if err != nil {
		return err
	}
	o := token.Options{Now: env.Now}
	verifier, err := c.Policy.ResponseVerifier(o)
	if err != nil {
		return usage("--introspect: %w", err)
	}
	opaque, err := revocation.NewOpaque(find, verifier, revocation.IntrospectionOptions{Concurrency: 64, Now: env.Now})
	if err != nil {
		return usage("--introspect: %w", err)
	}
	c.Opaque = opaque
	c.OnPolicy = func(p *policy.Policy) error {
		next, err := p.ResponseVerifier(o)
		if err == nil {
			opaque.SetVerifier(next)
		}
		return err
	}
	if t.introspect == "all" {
		c.Revocation = both{c.Revocation, opaque}
	}
	return nil
}

// introspectionClient returns a function that discovers the issuer's endpoint, if
// necessary, and returns the API's own client.
func (t guardTokenFlags) introspectionClient(env *Env, issuer string) (func(context.Context) (*oauth.Client, error), error) {
	password := secret.New(env.Getenv(variableIntrospectSecret))
	if t.introspectSecretFile != "" {
		var err error
		if password, err = env.readSecretFile(t.introspectSecretFile); err != nil {
			return nil, usage("--introspect-secret-file: %w", err)
		}
	}
	if password.IsZero() {
		return nil, &usageError{what: "--introspect needs the secret of the API's own client", hint: "set " + variableIntrospectSecret + ", or use --introspect-secret-file FILE"}
	}
	http, err := env.client()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*oauth.Client, error) {
		server := &discovery.Server{Issuer: issuer, IntrospectionEndpoint: t.introspectEndpoint}
		if t.introspectEndpoint == "" {
			var err error
			if server, err = discovery.FindServer(ctx, http, issuer); err != nil {
				return nil, err
			}
		}
		return &oauth.Client{ID: t.introspectClientID, Secret: password, Server: server, HTTP: http}, nil
	}, nil
}

// both checks with two checkers; the first may be nil.
type both struct{ first, second bearer.RevocationChecker }

func (b both) Revoked(ctx context.Context, t *token.Token) (bool, error) {
	if b.first != nil {
		if revoked, err := b.first.Revoked(ctx, t); revoked || err != nil {
			return revoked, err
		}
	}
	return b.second.Revoked(ctx, t)
}
