package cmd

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// runCheckPolicy does with each operation what guard does with a request.
func runCheckPolicy(ctx context.Context, env *Env, args []string, o checkOptions) error {
	p, err := o.loadPolicy(env)
	if err != nil {
		return err
	}
	requests, err := o.requests(ctx)
	if err != nil {
		return err
	}
	options, err := o.options(env)
	if err != nil {
		return err
	}
	p = p.WithClock(options.Now)
	verifier, err := env.policyVerifier(p, o, options)
	if err != nil {
		return err
	}
	report := &token.Report{}
	var raw secret.String
	isUsed := slices.ContainsFunc(requests, func(r *http.Request) bool { return needsToken(verifier, r, p) })
	if isUsed {
		if raw, err = reportable(env.tokenOrSession(args)); err != nil {
			return err
		}
		report = verifier.Report(ctx, raw.Reveal())
	}
	var refusal error
	for i, r := range requests {
		decision := decide(verifier, r, p, raw)
		report.Checks = append(report.Checks, operationChecks(o.operations[i], r, p, report, decision)...)
		if d := decision.Diagnosis; d != nil && severity(d) > severity(refusal) {
			refusal = d
		}
	}
	status := statusOf(refusal)
	if refusal == nil && !isUsed {
		status = statusPublic
	}
	return env.showReport(report, status, refusal)
}

// decide asks the middleware about a request with the token.
func decide(v *token.Verifier, r *http.Request, p *policy.Policy, raw secret.String) bearer.Decision {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+raw.Reveal())
	d := bearer.Decide(v, r, bearer.Policy(p))
	// An empty or mangled token is a malformed request to an API. Here it is the
	// token that was given, and verify says what is wrong with it.
	if d.Diagnosis != nil && d.Diagnosis.ID == diagnosis.CredentialsInvalid {
		if err, ok := v.Report(r.Context(), raw.Reveal()).Err().(*diagnosis.Diagnosis); ok {
			d.Diagnosis = err
		}
	}
	return d
}

// needsToken reports whether the answer depends on a token: not on a public
// route, and not where the path has more than one reading.
func needsToken(v *token.Verifier, r *http.Request, p *policy.Policy) bool {
	d := bearer.Decide(v, r, bearer.Policy(p)).Diagnosis
	return d != nil && d.ID == diagnosis.CredentialsMissing
}

// operationChecks are the checks of one operation after those of the token.
func operationChecks(name string, r *http.Request, p *policy.Policy, report *token.Report, decision bearer.Decision) []token.Check {
	check := token.Check{Check: "operation", Status: token.Passed, Got: diagnosis.Values{name}}
	switch d := decision.Diagnosis; {
	case d == nil && decision.Token == nil:
		check.Got = diagnosis.Values{name + ", which is public"}
		return []token.Check{check}
	case d == nil || d.Kind() == diagnosis.Denied && d.ID != diagnosis.OperationUnlisted:
		match, err := p.Match(r.Method, r.URL)
		if err != nil || report.Token == nil {
			return []token.Check{check}
		}
		return append([]token.Check{check}, match.Requirement.Decide(report.Token).Checks...)
	case report.Err() == nil || d.Kind() == diagnosis.Usage:
		return []token.Check{{
			Check: "operation", Status: token.Failed, Expected: d.Expected, Got: diagnosis.Values{name}, ID: d.ID, Message: d.Summary(),
		}}
	}
	return nil // the token was refused, and its own checks say why
}

// severity orders the results of several operations. Only nil has severity 0: a
// diagnosis of any kind refuses the operation.
func severity(err error) int {
	d, ok := err.(*diagnosis.Diagnosis)
	if !ok || d == nil {
		return 0
	}
	return 2 + slices.Index([]diagnosis.Kind{diagnosis.Unavailable, diagnosis.Usage, diagnosis.Unsafe, diagnosis.Denied, diagnosis.Rejected}, d.Kind())
}

func (o *checkOptions) loadPolicy(env *Env) (*policy.Policy, error) {
	var given []string
	for _, flag := range []struct {
		name string
		is   bool
	}{
		{"--scope", o.scope != nil},
		{"--any-scope", o.anyScope != nil},
		{"--claim", o.claim != nil},
		{"--scope-claim", o.scopeClaim != nil},
		{"--issuer", o.issuer != nil},
		{"--audience", o.audience != nil},
		{"--alg", o.alg != nil},
		{"--typ", o.typ != nil},
		{"--accept", o.accept != nil},
		{"--require", o.require != nil},
		{"--rfc9068", o.rfc9068},
		{"--strict", o.strict},
	} {
		if flag.is {
			given = append(given, flag.name)
		}
	}
	if given != nil {
		return nil, usage("the policy says what is accepted and needed: --policy cannot be combined with %s", strings.Join(given, ", "))
	}
	if len(o.operations) == 0 && o.cases == "" {
		return nil, &usageError{what: "--policy needs --operation", hint: `pass the request, for instance --operation "GET /api/items", or --cases FILE`}
	}
	return env.loadPolicy("--policy", o.policy)
}

// requests are the operations as requests without a token.
func (o *checkOptions) requests(ctx context.Context) ([]*http.Request, error) {
	var all []*http.Request
	for _, operation := range o.operations {
		method, path, ok := strings.Cut(operation, " ")
		if !ok || !strings.HasPrefix(path, "/") {
			return nil, usage(`--operation: expected "METHOD /path", got %q`, operation)
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return nil, usage("--operation: %q is not a path", path)
		}
		r, err := http.NewRequestWithContext(ctx, method, "http://api.invalid/", nil)
		if err != nil {
			return nil, usage("--operation: %q is not a method", method)
		}
		r.URL = u
		all = append(all, r)
	}
	return all, nil
}

// policyVerifier returns the verifier of the policy, with the keys of the flags,
// of the policy or of its issuers.
func (env *Env) policyVerifier(p *policy.Policy, o checkOptions, options token.Options) (*token.Verifier, error) {
	resolved, err := env.profile()
	if err != nil {
		return nil, err
	}
	given, err := env.flagKeys(o.verifyingOptions)
	if err == nil && given != nil && len(p.Trusted) > 1 {
		err = severalIssuers(o.keysFlags()[0])
	}
	if err != nil {
		return nil, err
	}
	return p.VerifierOf(func(one policy.Trust) (token.KeySet, error) {
		switch {
		case given != nil:
			return given, nil
		case one.JWKS != "":
			return env.keysAt(one.JWKS, "jwks of the policy")
		}
		return env.issuerKeys(resolved, one.Issuer, secret.String{})
	}, options)
}
