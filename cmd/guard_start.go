package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// guardian is a guard with its log and the functions that reload its keys and
// close it.
type guardian struct {
	handler    *guard.Handler
	serves     http.Handler // the handler itself, or its ForwardAuth for a gateway
	log        *slog.Logger
	reloadKeys func() error
	close      func()
}

func (env *Env) newGuardian(o guardOptions, store *redis.Store) (*guardian, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := env.loadPolicy("--policy", o.policy)
	if err != nil {
		return nil, err
	}
	g := &guardian{log: slog.New(slog.NewJSONHandler(env.Stderr, nil)), reloadKeys: func() error { return nil }, close: func() {}}
	c := guard.Config{
		Policy: p, Getenv: env.Getenv, Resource: o.resource, Log: g.log, Service: o.service, BodyTimeout: o.limits.bodyTimeout, MaxBody: o.limits.maxBody,
		PassHost: o.upstream.passHost, Ready: map[string]func(context.Context) error{},
	}
	c.Verifier.Now = env.Now
	c.Requests = o.requests()
	if o.gateway == "" {
		if c.Upstream, c.Transport, err = o.upstream.open(); err != nil {
			return nil, err
		}
	}
	if err := o.headers.fill(&c); err != nil {
		return nil, err
	}
	if c.KeysOf, err = env.guardKeys(g, o.jwks, len(p.Trusted) > 1); err != nil {
		return nil, err
	}
	if store != nil {
		c.Revocation, c.Values = store, revocationValues(store)
		if !o.insecureAllowWhenAway {
			c.Ready["revocations"] = store.Ready
		}
	}
	if err := o.tokens.fill(env, &c, store); err != nil {
		return nil, err
	}
	if err := o.logout.fill(&c, store); err != nil {
		return nil, err
	}
	if g.handler, err = guard.New(c); err != nil {
		return nil, usage("%w", err)
	}
	g.serves = g.handler
	if o.gateway != "" {
		g.serves = g.handler.ForwardAuth(gatewayOf(o.gateway))
	}
	return g, nil
}

// revocationValues returns the metrics of a store.
func revocationValues(store *redis.Store) []guard.Value {
	return []guard.Value{
		{Name: "revocations", Help: "Entries of what is revoked that this instance holds.", Get: func() float64 { return float64(store.State().Entries) }},
		{Name: "revocations_age_seconds", Help: "Time since what is revoked was read.", Get: func() float64 { return store.State().Age.Seconds() }},
		{Name: "revocations_failures_total", Help: "Reads of what is revoked that failed.", Counter: true, Get: func() float64 { return float64(store.State().Failures) }},
		{Name: "revocations_lost", Help: "1 if Redis lost what was revoked.", Get: func() float64 {
			if store.State().Lost {
				return 1
			}
			return 0
		}},
	}
}

// gateways lists the values of --forward-auth.
func gateways() []string { return []string{"any", "nginx", "traefik", "caddy", "envoy"} }

// gatewayOf returns the gateway for a value of --forward-auth.
func gatewayOf(name string) guard.Gateway {
	return map[string]guard.Gateway{"any": guard.AnyGateway, "nginx": guard.Nginx, "traefik": guard.Traefik, "caddy": guard.Caddy, "envoy": guard.Envoy}[name]
}

func (o guardOptions) check() error {
	const example = "oauthctl guard --upstream http://127.0.0.1:8000 --policy policy.yaml"
	switch {
	case o.gateway != "" && !slices.Contains(gateways(), o.gateway):
		return &usageError{what: fmt.Sprintf("--forward-auth: expected %s, got %q", choices(gateways()), o.gateway), hint: "write --forward-auth=nginx, with the equals sign"}
	case o.gateway != "" && o.upstream.url != "":
		return usage("--forward-auth and --upstream cannot be combined: the gateway forwards the requests")
	case o.gateway != "" && len(o.headers.trusted) == 0:
		return &usageError{what: "--forward-auth needs the address of the gateway", hint: "--trusted-proxy 127.0.0.1"}
	case o.gateway == "" && o.upstream.url == "" || o.policy == "":
		return &usageError{what: "guard needs --upstream and --policy", hint: example}
	case o.comparedWith != "":
		return usage("--compared-with needs --check-policy")
	}
	return o.limits.check()
}

// loggable returns the values of --log, and the setting for each.
func loggable() ([]string, []guard.Requests) {
	return []string{"all", "refusals", "off"}, []guard.Requests{guard.LogAll, guard.LogRefusals, guard.LogNone}
}

func (o guardOptions) requests() guard.Requests {
	names, requests := loggable()
	return requests[slices.Index(names, o.log)]
}

func (env *Env) loadPolicy(flag, file string) (*policy.Policy, error) {
	source, err := policyfile.Open(file)
	if err != nil {
		return nil, usage("%s: %w", flag, err)
	}
	p, err := source.Policy(env.Getenv)
	if err != nil {
		return nil, usage("%s: %w", flag, err)
	}
	return p.WithClock(env.Now), nil
}

// severalIssuers returns the error for a flag with keys if the policy has several
// issuers: with the same keys, each could sign for the others.
func severalIssuers(flag string) error {
	return usage("%s cannot be combined with a policy of several issuers: each has its own jwks there", flag)
}

// guardKeys returns a function that returns the keys of an issuer. The guard starts
// even if an issuer is unreachable; its keys are then fetched later.
func (env *Env) guardKeys(g *guardian, flag string, several bool) (func(policy.Trust) (guard.KeySet, error), error) {
	if flag != "" && several {
		return nil, severalIssuers("--jwks")
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	o := jwks.RemoteOptions{HTTP: client, Now: env.Now}
	closeWith := func(more func()) {
		before := g.close
		g.close = func() { before(); more() }
	}
	return func(one policy.Trust) (guard.KeySet, error) {
		switch source := cmp.Or(flag, one.JWKS); {
		case isURL(source):
			r := jwks.NewRemote(source, o)
			closeWith(r.Close)
			return r, nil
		case source != "":
			k, err := guard.OpenKeys(source)
			if err != nil {
				return nil, fmt.Errorf("the key set %s: %w", source, err)
			}
			before := g.reloadKeys
			g.reloadKeys = func() error { return errors.Join(before(), k.Reload()) }
			return k, nil
		}
		k := token.NewIssuerKeys(one.Issuer, o)
		closeWith(k.Close)
		return k, nil
	}, nil
}

// checkPolicy checks a policy file and, with --compared-with, prints the differences
// from another one.
func (env *Env) checkPolicy(o guardOptions) error {
	p, err := env.loadPolicy("--check-policy", o.checkPolicy)
	if err != nil {
		return err
	}
	var changes []policy.Change
	if o.comparedWith != "" {
		before, err := env.loadPolicy("--compared-with", o.comparedWith)
		if err != nil {
			return err
		}
		changes = policy.Compare(before, p)
	}
	if env.global.wantsJSON() {
		return env.printJSON(checked(p, changes))
	}
	for _, c := range changes {
		mark := " "
		if c.Widens {
			mark = "!"
		}
		fmt.Fprintln(env.Stdout, mark, clean(c.String()))
	}
	env.say("%s: %s", clean(o.checkPolicy), plural(len(p.Patterns()), "route"))
	return nil
}

// checkedPolicy is what --check-policy prints with --json.
type checkedPolicy struct {
	Issuer  string          `json:"issuer"`
	Routes  []string        `json:"routes"`
	Changes []policyChanged `json:"changes"`
}

type policyChanged struct {
	Route  string `json:"route,omitempty"`
	Text   string `json:"text"`
	Widens bool   `json:"widens"`
}

func checked(p *policy.Policy, changes []policy.Change) checkedPolicy {
	c := checkedPolicy{Issuer: p.Issuer, Routes: p.Patterns(), Changes: []policyChanged{}}
	for _, change := range changes {
		c.Changes = append(c.Changes, policyChanged(change))
	}
	return c
}
