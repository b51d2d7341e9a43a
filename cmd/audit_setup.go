package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/openapi"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// maxOpenAPI is the maximum size of an OpenAPI document, in bytes.
const maxOpenAPI = 16 << 20

// auditOperations reads the operations from the document, the policy or the flags,
// and selects those to test.
func (env *Env) auditOperations(ctx context.Context, run *auditRun) error {
	o := &run.options
	claims, err := o.validClaims()
	if err != nil {
		return err
	}
	document, base, err := env.documentOperations(ctx, run)
	if err != nil {
		return err
	}
	var rules []audit.Operation
	if run.policy != nil {
		rules = audit.FromPolicy(run.policy, o.policy, claims)
	}
	if document != nil && rules != nil {
		run.listed, run.unlisted = audit.Merge(document, rules, base)
	} else {
		run.listed = slices.Concat(document, rules)
	}
	if strings.Trim(run.target.Path, "/") == "" && base != "" {
		run.target.Path = base
	}
	if err := run.choose(); err != nil {
		return err
	}
	for _, text := range o.params {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return usage("--param: expected NAME=VALUE, got %q", text)
		}
		if !audit.SetParam(run.listed, name, value) {
			return usage("--param: no operation has a parameter %q", name)
		}
	}
	return nil
}

// documentOperations reads --openapi. It returns the operations and the base path.
func (env *Env) documentOperations(ctx context.Context, run *auditRun) ([]audit.Operation, string, error) {
	from := run.options.openapi
	if from == "" {
		return nil, "", nil
	}
	var data []byte
	var err error
	if isURL(from) {
		u, parseErr := url.Parse(from)
		if parseErr != nil {
			return nil, "", usage("--openapi: %q is not a URL", from)
		}
		if err := run.mayAsk(u); err != nil {
			return nil, "", err
		}
		data, err = env.fetchDocument(ctx, from)
	} else if data, err = env.readInput(from, maxOpenAPI); err != nil {
		err = usage("--openapi: %w", err)
	}
	if err != nil {
		return nil, "", err
	}
	d, err := openapi.Load(data, from)
	if err != nil {
		return nil, "", usage("--openapi: %w", err)
	}
	return audit.FromOpenAPI(d, from), d.BasePath, nil
}

func (env *Env) fetchDocument(ctx context.Context, from string) ([]byte, error) {
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	res, err := client.Get(ctx, from, "application/json, application/yaml;q=0.9, */*;q=0.5", maxOpenAPI)
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK {
		return nil, usage("--openapi: %s answers %d", from, res.Status)
	}
	return res.Body, nil
}

func (env *Env) readPolicy(from string) (*policy.Policy, error) {
	switch from {
	case "":
		return nil, nil
	case "-":
	default:
		return env.loadPolicy("--policy", from)
	}
	data, err := env.readInput(from, 1<<20)
	if err != nil {
		return nil, usage("--policy: %w", err)
	}
	p, err := policyfile.Load(data, from)
	if err != nil {
		return nil, usage("--policy: %w", err)
	}
	return p, nil
}

// choose applies --operation. With a document or a policy, it selects some of their
// operations; otherwise it is the list of operations.
func (run *auditRun) choose() error {
	o := run.options
	if o.openapi == "" && o.policy == "" {
		for _, text := range o.operation {
			op, err := audit.ParseOperation(text)
			if err != nil {
				return usage("--operation: %w", err)
			}
			run.listed = append(run.listed, op)
		}
		run.asked = slices.Clone(run.listed)
		return nil
	}
	for _, op := range run.listed {
		matches := func(glob string) bool {
			ok, _ := path.Match(glob, op.Name())
			return ok || glob == op.Name()
		}
		if len(o.operation) == 0 || slices.ContainsFunc(o.operation, matches) {
			run.asked = append(run.asked, op)
		}
	}
	if len(run.asked) == 0 {
		return usage("--operation: no operation of the document matches %s", strings.Join(o.operation, ", "))
	}
	return nil
}

// expect sets the issuer, audience, type and algorithm of the tokens from the
// flags, or else from the policy.
func (run *auditRun) expect(p *policy.Policy) {
	o := &run.options
	run.issuer, run.audience = o.issuer, o.audience
	if p != nil {
		if run.issuer == "" {
			run.issuer = p.Issuer
		}
		if run.audience == "" && len(p.Audience) > 0 {
			run.audience = p.Audience[0]
		}
		if o.alg == "" && o.key == "" && len(p.Algorithms) > 0 {
			o.alg = p.Algorithms[0]
		}
		if !o.typed && len(p.Types) > 0 {
			o.typ = p.Types[0]
		}
		run.anyAudience = o.audience == "" && len(p.Audience) == 0
	}
	if run.audience == "" {
		run.audience = run.target.Scheme + "://" + run.target.Host
	}
}

func (o *auditOptions) validClaims() (map[string]any, error) {
	claims := map[string]any{}
	if err := addMembers(claims, "--claim", o.claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// auditTokens returns the source of tokens for the flags, and a function that stops
// the issuer of this process.
func (env *Env) auditTokens(ctx context.Context, run *auditRun) (audit.Tokens, func(), error) {
	o := run.options
	switch {
	case o.token != "":
		tokens, err := env.realToken(run)
		return tokens, func() {}, err
	case o.clientID != "":
		tokens, err := env.requestedTokens(ctx, run)
		return tokens, func() {}, err
	case o.key == "" && env.global.profile != "":
		tokens, err := env.profileTokens(ctx, run)
		return tokens, func() {}, err
	}
	claims, err := o.validClaims()
	if err != nil {
		return nil, nil, err
	}
	signer := &audit.Signer{
		Issuer: run.issuer, Audience: run.audience, Subject: o.subject, Type: o.typ, ScopeClaim: o.scopeClaim, Claims: claims,
		Now: env.Now,
	}
	if o.key != "" {
		data, err := env.readInput(o.key, maxSecretFile)
		if err != nil {
			return nil, nil, usage("--key: %w", err)
		}
		if signer.Key, err = jwks.ParsePrivate(firstKey(data)); err != nil {
			return nil, nil, usage("--key: %s: %w", o.key, err)
		}
	}
	signer.KeyID = o.kid
	end, err := env.serveIssuer(ctx, run, signer)
	return signer, end, err
}

// firstKey returns the first key of a key set, and other data unchanged. The state
// file of `oauthctl dev` also has the form of a key set.
func firstKey(data []byte) []byte {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(data, &set) == nil && len(set.Keys) > 0 {
		return set.Keys[0]
	}
	return data
}

// serveIssuer starts an issuer in this process. It is the issuer of the tokens; with
// --key it only serves the key for the case jku-header.
func (env *Env) serveIssuer(ctx context.Context, run *auditRun, signer *audit.Signer) (func(), error) {
	o := run.options
	address := run.listenAddress()
	if host, _, err := net.SplitHostPort(address); err != nil {
		return nil, usage("--issuer-listen: expected HOST:PORT, got %q", address)
	} else if !safehttp.IsLoopback(host) && !o.insecureListen {
		return nil, &usageError{
			what: fmt.Sprintf("--issuer-listen: %s is not a loopback address", host),
			hint: "this issuer answers anyone who reaches it; --insecure-listen allows it all the same",
		}
	}
	l, err := listen("--issuer-listen", address)
	if err != nil {
		return nil, err
	}
	if run.issuer == "" {
		run.issuer = "http://" + l.Addr().String()
		signer.Issuer = run.issuer
	}
	name := run.issuer
	if signer.Key != nil {
		name = "http://" + l.Addr().String()
	}
	alg := o.alg
	if signer.Key != nil {
		alg = signer.Key.Algorithm()
	}
	own, err := audit.NewIssuer(name, alg)
	if err != nil {
		l.Close()
		return nil, usage("--alg: %w", err)
	}
	own.ServeAt("http://" + l.Addr().String())
	if signer.Key != nil {
		signer.Trap = own
	} else {
		signer.Own = own
		run.jwksURI = own.JWKSURI()
	}
	server := &http.Server{Handler: own.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	return func() { _ = server.Close() }, nil
}

// listenAddress returns the address of the issuer in this process: that of
// --issuer-listen if it is given; a free port with --key; the address in an http
// URL of the issuer if it is on this machine; a free port if audit starts the API;
// otherwise the default.
func (run *auditRun) listenAddress() string {
	o := run.options
	if o.listens {
		return o.issuerListen
	}
	if o.key != "" {
		return "127.0.0.1:0"
	}
	if u, err := url.Parse(run.issuer); err == nil && safehttp.IsLoopback(u.Hostname()) && u.Port() != "" && u.Scheme == "http" {
		return u.Host
	}
	if len(o.command) > 0 {
		return "127.0.0.1:0"
	}
	return o.issuerListen
}

// realToken returns the source for --token, which has one token.
func (env *Env) realToken(run *auditRun) (audit.Tokens, error) {
	if run.options.token != "-" && !strings.HasPrefix(run.options.token, "@") {
		return nil, usage("--token: expected @FILE, or - for standard input; arguments are visible to other users")
	}
	raw, err := env.tokenArg(run.options.token)
	if err != nil {
		return nil, err
	}
	return &audit.RealTokens{
		From:  "one real token",
		Fetch: func(context.Context, []string, string) (string, []string, error) { return raw.Reveal(), nil, nil },
	}, nil
}

// requestedTokens returns a source that requests tokens with the client credentials
// grant (RFC 6749, section 4.4).
func (env *Env) requestedTokens(ctx context.Context, run *auditRun) (audit.Tokens, error) {
	o := run.options
	secret, err := env.readSecretFile(o.secretFile)
	if err != nil {
		return nil, usage("--client-secret-file: %w", err)
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	server, err := discovery.FindServer(ctx, client, run.issuer)
	if err != nil {
		return nil, err
	}
	requester, err := env.account(profile.New("audit", profile.Values{
		profile.Issuer: run.issuer, profile.ClientID: o.clientID, profile.StoreKind: account.StoreMemory,
	}), credentials{secret: secret})
	if err != nil {
		return nil, err
	}
	tokens := &audit.RealTokens{From: "tokens from " + run.issuer, NarrowsScopes: true, OtherResource: o.otherResource}
	tokens.Fetch = func(ctx context.Context, scopes []string, resource string) (string, []string, error) {
		if resource == "" {
			resource = run.audience
		}
		answer, err := requester.ClientToken(ctx, scopes, []string{resource})
		if err != nil {
			var d *diagnosis.Diagnosis
			if errors.As(err, &d) {
				return "", nil, d
			}
			return "", nil, err
		}
		return answer.AccessToken.Reveal(), answer.Scope, nil
	}
	if server.JWKSURI != "" {
		tokens.Public = env.publicKey(ctx, client, server.JWKSURI)
	}
	return tokens, nil
}

// publicKey returns the first key of the key set at a URL, or nil. Without a key,
// fewer cases can be tested.
func (env *Env) publicKey(ctx context.Context, client *safehttp.Client, from string) *jwks.Key {
	res, err := client.Get(ctx, from, "application/json", jwks.MaxBytes)
	if err != nil || res.Status != http.StatusOK {
		return nil
	}
	set, err := jwks.Parse(res.Body)
	if err != nil || len(set.All()) == 0 {
		return nil
	}
	return set.All()[0]
}
