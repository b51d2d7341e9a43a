package cmd

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type checkOptions struct {
	judgingOptions
	scope      []string
	anyScope   []string
	claim      []string
	scopeClaim []string
	policy     string
	operation  string
}

func newCheck(env *Env) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check [TOKEN]",
		Long: `Verify a token, then what an operation needs: scopes and claims, named by flags or
by a policy file. Exit code 3 means that an API would answer 401, 4 that it
would answer 403.

Scopes are read from scope and scp only, whole and case-sensitive; other claims
count when named with --scope-claim. A claim's name is taken whole first, then
as a dotted path; of a list one element has to match.

` + longTokenArg,
		Example: `  oauthctl check --scope items:read
  oauthctl check --claim tenant=acme --claim 'email~@example\.com$'
  oauthctl check @token.txt --policy policy.yaml --operation "DELETE /api/users/123"`,
		Args: upTo(1),
		RunE: env.withToken(func(ctx context.Context, env *Env, raw secret.String) error {
			return runCheck(ctx, env, raw, o)
		}),
	}
	f := cmd.Flags()
	o.judgingOptions.addFlags(f)
	f.StringArrayVar(&o.scope, "scope", nil, "require this scope (repeatable, all are needed)")
	f.StringArrayVar(&o.anyScope, "any-scope", nil, "require one of these scopes (repeatable)")
	f.StringArrayVar(&o.claim, "claim", nil, "require `NAME=VALUE`, or NAME~REGEX (repeatable)")
	f.StringArrayVar(&o.scopeClaim, "scope-claim", nil, "read scopes from this `CLAIM` too (repeatable)")
	f.StringVar(&o.policy, "policy", "", "take issuer, audience and routes from the policy `FILE`")
	f.StringVar(&o.operation, "operation", "", "with --policy, the request: `\"METHOD /path\"`")
	return cmd
}

func runCheck(ctx context.Context, env *Env, raw secret.String, o checkOptions) error {
	need, err := o.requirement()
	if err != nil {
		return err
	}
	inspector, err := env.inspector(ctx, o.judgingOptions, raw)
	if err != nil {
		return err
	}
	report := inspector.Report(ctx, raw.Reveal())
	verdict := report.Err()
	if verdict == nil {
		decision := need.Decide(report.Token)
		report.Checks = append(report.Checks, decision.Checks...)
		if !decision.Allowed {
			report.Valid = false
			verdict = decision.Diagnosis
		}
	}
	return env.showReport(report, verdict)
}

// requirement is what the flags or the policy ask for. A policy's issuer,
// audience and algorithms become the expectation where no flag names another.
func (o *checkOptions) requirement() (policy.Requirement, error) {
	if o.policy != "" {
		return o.fromPolicy()
	}
	need := policy.Requirement{Scopes: fields(o.scope), AnyScopes: fields(o.anyScope), ScopeClaims: o.scopeClaim}
	for _, text := range o.claim {
		rule, err := policy.ParseClaimRule(text)
		if err != nil {
			return need, usage("--claim: %w", err)
		}
		need.Claims = append(need.Claims, rule)
	}
	if o.operation != "" {
		return need, &usageError{what: "--operation needs --policy", hint: "name scopes and claims with --scope and --claim, or give a policy file"}
	}
	if len(need.Scopes)+len(need.AnyScopes)+len(need.Claims) == 0 {
		return need, &usageError{what: "nothing says what to check", hint: "name --scope, --any-scope, --claim, or --policy with --operation; `oauthctl verify` checks the token alone"}
	}
	return need, nil
}

func (o *checkOptions) fromPolicy() (policy.Requirement, error) {
	if len(o.scope)+len(o.anyScope)+len(o.claim) > 0 {
		return policy.Requirement{}, usage("--policy says what is needed; --scope, --any-scope and --claim do not go with it")
	}
	data, err := os.ReadFile(o.policy)
	if err != nil {
		return policy.Requirement{}, usage("--policy: %w", err)
	}
	p, err := policy.Load(data, o.policy)
	if err != nil {
		return policy.Requirement{}, usage("--policy: %w", err)
	}
	method, path, ok := strings.Cut(o.operation, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		return policy.Requirement{}, usage(`--operation: expected "METHOD /path", got %q`, o.operation)
	}
	if u, err := url.ParseRequestURI(path); err != nil || policy.CheckPath(u) != nil {
		return policy.Requirement{}, &diagnosis.Diagnosis{ID: diagnosis.PathAmbiguous, Got: diagnosis.Values{path}}
	}
	need, _, listed := p.Operation(method, path)
	if !listed {
		return need, &diagnosis.Diagnosis{ID: diagnosis.OperationUnlisted, Got: diagnosis.Values{o.operation}}
	}
	if o.issuer == "" {
		o.issuer = p.Issuer
	}
	if len(o.audience) == 0 {
		o.audience = p.Audience
	}
	if len(o.alg) == 0 {
		o.alg = p.Algorithms
	}
	return need, nil
}
