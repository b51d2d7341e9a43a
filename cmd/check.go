package cmd

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

type checkOptions struct {
	verifyingOptions
	scope      []string
	anyScope   []string
	claim      []string
	scopeClaim []string
	policy     string
	operations []string
	cases      string
}

func newCheck(env *Env) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check [TOKEN]",
		Long: `Verify a token and check what an operation needs: scopes and claims, given by
flags or by a policy file. Exit code 3 means that an API would answer 401, 4
that it would answer 403. With a policy the result is that of guard for the same
request; a public route needs no token. For several operations the exit code is
that of the most severe result: 3, then 4, 7, 2 and 6.

Scopes are read from the claims scope and scp only; --scope-claim adds another
claim. A scope must match exactly, including upper and lower case. A claim's
name can be a path of names joined by dots. If a claim is a list, one element
must match.` + "\n\n" + longTokenArg,
		Example: `  # Check that the token has a scope
  oauthctl check --scope items:read

  # Check claims
  oauthctl check --claim sub=alice --claim 'iss~^https?://'

  # Check the token for an operation of a policy
  oauthctl check --policy policy.yaml --operation "GET /api/items"

  # Test a policy, without a token
  oauthctl check --policy policy.yaml --cases cases.yaml`,
		Args: upTo(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.cases != "":
				return runCheckCases(cmd.Context(), env, args, o)
			case o.policy != "":
				return runCheckPolicy(cmd.Context(), env, args, o)
			}
			return env.withReport(func(ctx context.Context, env *Env, raw secret.String) error {
				return runCheck(ctx, env, raw, o)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	addGroup(f, "Common flags", o.addFlags)
	addGroup(f, "Token flags", o.verifyingOptions.addFlags)
	addGroup(f, "Key flags", o.addKeyFlags)
	return cmd
}

func (o *checkOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.scope, "scope", nil, "require this `SCOPE` (repeatable, all are required)")
	f.StringArrayVar(&o.anyScope, "any-scope", nil, "require this `SCOPE` (repeatable, one is enough)")
	f.StringArrayVar(&o.claim, "claim", nil, "require the claim `NAME=VALUE`, or NAME~REGEX (repeatable)")
	f.StringArrayVar(&o.scopeClaim, "scope-claim", nil, "also read scopes from this `CLAIM` (repeatable)")
	f.StringVar(&o.policy, "policy", "", "use issuer, audience and routes of the policy `FILE`")
	f.StringArrayVar(&o.operations, "operation", nil, "with --policy, the request: `\"METHOD /path\"` (repeatable)")
	f.StringVar(&o.cases, "cases", "", "with --policy, test it with the cases in `FILE`, without a token")
}

func runCheck(ctx context.Context, env *Env, raw secret.String, o checkOptions) error {
	need, err := o.requirement()
	if err != nil {
		return err
	}
	inspector, err := env.inspector(o.verifyingOptions, raw)
	if err != nil {
		return err
	}
	report := inspector.Report(ctx, raw.Reveal())
	failure := o.withSecretForm(env, withIssuerFirst(report), raw)
	if failure == nil {
		decision := need.Decide(report.Token)
		report.Checks = append(report.Checks, decision.Checks...)
		if !decision.Allowed {
			failure = decision.Diagnosis
		}
	}
	return env.showReport(report, statusOf(failure), failure)
}

// requirement is what the flags ask for.
func (o *checkOptions) requirement() (policy.Requirement, error) {
	need := policy.Requirement{Scopes: fields(o.scope), AnyScopes: fields(o.anyScope), ScopeClaims: o.scopeClaim}
	for _, text := range o.claim {
		rule, err := policy.ParseClaimRule(text)
		if err != nil {
			return need, usage("--claim: %w", err)
		}
		need.Claims = append(need.Claims, rule)
	}
	if len(o.operations) > 0 {
		return need, &usageError{what: "--operation needs --policy", hint: "give scopes and claims with --scope and --claim, or a policy file"}
	}
	if len(need.Scopes)+len(need.AnyScopes)+len(need.Claims) == 0 {
		return need, &usageError{what: "nothing to check", hint: "pass --scope, --any-scope, --claim, or --policy with --operation; `oauthctl verify` checks the token alone"}
	}
	return need, nil
}
