package cmd

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// policyCase is a request and the answer that a policy has to give it.
type policyCase struct {
	Name      string         `yaml:"name"`
	Operation string         `yaml:"operation"`
	Claims    map[string]any `yaml:"claims"` // of a valid token; nil means no token
	Status    int            `yaml:"status"`
	ID        diagnosis.ID   `yaml:"id"` // "" is not compared
}

// caseResult is how a case ended, as --json shows it.
type caseResult struct {
	Name      string       `json:"name,omitempty"`
	Operation string       `json:"operation"`
	Want      int          `json:"want"`
	Got       int          `json:"got"`
	WantID    diagnosis.ID `json:"want_id,omitempty"`
	GotID     diagnosis.ID `json:"got_id,omitempty"`
	Route     string       `json:"route,omitempty"`
	Passed    bool         `json:"passed"`
}

// runCheckCases answers each case of a file as guard would answer the request,
// with a token that is valid and has the claims of the case.
func runCheckCases(ctx context.Context, env *Env, args []string, o checkOptions) error {
	if o.policy == "" || len(o.operations) > 0 || len(args) > 0 {
		return usageOf("--cases needs --policy, and no token and no --operation", "oauthctl check --policy policy.yaml --cases cases.yaml")
	}
	p, err := o.loadPolicy(env)
	if err != nil {
		return err
	}
	cases, err := readCases(o.cases)
	if err != nil {
		return usage("--cases: %w", err)
	}
	issue, verifier, err := caseIssuer(env, p)
	if err != nil {
		return err
	}
	results, failed := make([]caseResult, len(cases)), 0
	for i, c := range cases {
		if results[i], err = c.run(ctx, p, issue, verifier); err != nil {
			return usage("--cases: case %d: %w", i+1, err)
		}
		if !results[i].Passed {
			failed++
		}
	}
	return env.showCases(results, failed)
}

func readCases(file string) ([]policyCase, error) {
	data, err := readFile(file, 1<<20)
	if err != nil {
		return nil, err
	}
	var cases []policyCase
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cases); err != nil {
		return nil, fmt.Errorf("%s: expected a list of cases with operation, claims, status and id", file)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s has no cases", file)
	}
	for i, c := range cases {
		if c.Operation == "" || c.Status < 200 || c.Status > 599 {
			return nil, fmt.Errorf("%s: case %d needs an operation and a status such as 200, 401 or 403", file, i+1)
		}
	}
	return cases, nil
}

// caseIssuer returns a function that signs tokens which the policy's own checks
// accept, and the verifier of its rules with the key of that function.
func caseIssuer(env *Env, p *policy.Policy) (func(claims map[string]any) (string, error), *token.Verifier, error) {
	trust := p.Trusted[0]
	alg := "ES256"
	if len(trust.Algorithms) > 0 {
		alg = trust.Algorithms[0]
	}
	key, err := jwks.Generate(alg)
	if err != nil {
		return nil, nil, err
	}
	set := jwks.NewSet(key.Public())
	v, err := p.VerifierOf(func(policy.Trust) (token.KeySet, error) { return set, nil }, token.Options{Now: env.Now})
	if err != nil {
		return nil, nil, err
	}
	return func(claims map[string]any) (string, error) {
		now := env.Now().Unix()
		all := map[string]any{"iss": trust.Issuer, "sub": "user", "client_id": "client", "jti": "case", "iat": now, "exp": now + 300}
		if len(trust.Audience) > 0 {
			all["aud"] = trust.Audience[0]
		}
		maps.Copy(all, claims)
		return token.Sign(key, "at+jwt", all)
	}, v, nil
}

func (c policyCase) run(ctx context.Context, p *policy.Policy, issue func(map[string]any) (string, error), v *token.Verifier) (caseResult, error) {
	method, path, _ := strings.Cut(c.Operation, " ")
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSpace(path), http.NoBody)
	if err != nil || !strings.HasPrefix(path, "/") {
		return caseResult{}, fmt.Errorf("expected an operation such as \"GET /api/items\", got %s", diagnosis.Quote(c.Operation))
	}
	if c.Claims != nil {
		raw, err := issue(c.Claims)
		if err != nil {
			return caseResult{}, err
		}
		r.Header.Set("Authorization", "Bearer "+raw)
	}
	d := bearer.Decide(v, r, bearer.Policy(p))
	result := caseResult{Name: c.Name, Operation: c.Operation, Want: c.Status, Got: http.StatusOK, WantID: c.ID, Route: d.Route}
	if d.Diagnosis != nil {
		result.Got, result.GotID = d.Problem.Status, d.Diagnosis.ID
	}
	result.Passed = result.Got == c.Status && (c.ID == "" || result.GotID == c.ID)
	return result, nil
}

func (env *Env) showCases(results []caseResult, failed int) error {
	var err error
	if failed > 0 {
		err = printedError{fmt.Errorf("%d of %d cases failed", failed, len(results))}
	}
	if env.global.wantsJSON() {
		if printed := env.printJSON(results); printed != nil {
			return printed
		}
		return err
	}
	for _, r := range results {
		mark := "ok  "
		if !r.Passed {
			mark = "FAIL"
		}
		line := fmt.Sprintf("%s  %s  %d %s", mark, clean(r.Operation), r.Got, r.GotID)
		if !r.Passed {
			line += fmt.Sprintf("  expected %d %s", r.Want, r.WantID)
		}
		fmt.Fprintln(env.Stdout, strings.TrimSpace(line), clean(r.Name))
	}
	env.say("%d cases, %d failed", len(results), failed)
	return err
}
