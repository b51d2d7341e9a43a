package oauthtest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/openapi"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// Matrix tests which tokens of the issuer an API accepts and which it refuses,
// for each operation, as [audit.Audit] does. Each case is a subtest such as
// GET_/items/no-audience. A failed case is a failed test, an undecided one is
// skipped with its reason, and a warning is logged. The operations come from
// [OpenAPI], [Policy] or [Operation].
//
// It may run in parallel with other tests. No network is used.
func Matrix(t *testing.T, api http.Handler, issuer *Issuer, options ...MatrixOption) {
	t.Helper()
	m := &matrix{config: audit.Config{Target: &url.URL{Scheme: "http", Host: "localhost"}, Transport: audit.InProcess(api)}}
	m.tokens = &minted{issuer: issuer, claims: map[string]any{}}
	for _, option := range options {
		if err := option(m); err != nil {
			t.Fatalf("oauthtest: %v", err)
		}
	}
	if err := m.finish(); err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	a, err := audit.New(m.config)
	if err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	m.show(t, a.Run(t.Context()))
}

// MatrixOption is an option of [Matrix].
type MatrixOption func(*matrix) error

type matrix struct {
	config   audit.Config
	tokens   *minted
	document []audit.Operation
	rules    []audit.Operation
	base     string
	params   [][2]string
	strict   bool
	known    []known
}

type known struct {
	operation, name, reason string
	found                   bool
}

// OpenAPI reads the operations from an OpenAPI document.
func OpenAPI(file string) MatrixOption {
	return func(m *matrix) error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		d, err := openapi.Load(data, file)
		if err != nil {
			return err
		}
		m.document, m.base = append(m.document, audit.FromOpenAPI(d, file)...), d.BasePath
		return nil
	}
}

// Policy reads the operations from a policy file without variables. Combined with
// [OpenAPI], the policy decides what each operation needs.
func Policy(file string) MatrixOption {
	return func(m *matrix) error {
		source, err := policyfile.Open(file)
		if err != nil {
			return err
		}
		p, err := source.Policy(nil)
		if err != nil {
			return err
		}
		m.rules = append(m.rules, audit.FromPolicy(p, file, m.tokens.claims)...)
		return nil
	}
}

// Operation adds an operation such as "GET /items" that needs these scopes.
func Operation(name string, scopes ...string) MatrixOption {
	return func(m *matrix) error {
		op, err := audit.ParseOperation(name)
		if err != nil {
			return err
		}
		op.Scopes = scopes
		m.document = append(m.document, op)
		return nil
	}
}

// Audience is the audience of valid tokens. Without it, they are for the
// issuer's default API.
func Audience(audience string) MatrixOption {
	return func(m *matrix) error {
		m.tokens.audience = audience
		return nil
	}
}

// Claim adds a claim to valid tokens. Use it before [Policy].
func Claim(name string, value any) MatrixOption {
	return func(m *matrix) error {
		m.tokens.claims[name] = value
		return nil
	}
}

// Param sets the value of every parameter with that name.
func Param(name, value string) MatrixOption {
	return func(m *matrix) error {
		m.params = append(m.params, [2]string{name, value})
		return nil
	}
}

// Unsafe also tests operations that change data: [audit.Dry] with requests that
// are not valid, [audit.Real] with the examples of the document.
func Unsafe(mode audit.Mode) MatrixOption {
	return func(m *matrix) error {
		m.config.Unsafe = mode
		return nil
	}
}

// Only selects the cases whose names match one of these patterns of
// [path.Match].
func Only(patterns ...string) MatrixOption {
	return func(m *matrix) error {
		m.config.Cases = append(m.config.Cases, patterns...)
		return nil
	}
}

// Strict treats warnings as failures.
func Strict() MatrixOption {
	return func(m *matrix) error {
		m.strict = true
		return nil
	}
}

// Known accepts the failure of a case of an operation, with a reason. It fails
// the test once the case passes. For a fault in the responses, the case is its
// id, for example CHALLENGE_MISSING.
func Known(operation, name, reason string) MatrixOption {
	return func(m *matrix) error {
		if reason == "" {
			return fmt.Errorf("the reason of %s %s is empty", operation, name)
		}
		m.known = append(m.known, known{operation: operation, name: name, reason: reason})
		return nil
	}
}

func (m *matrix) finish() error {
	switch {
	case m.document != nil && m.rules != nil:
		m.config.Operations, m.config.Unlisted = audit.Merge(m.document, m.rules, m.base)
	default:
		m.config.Operations = slices.Concat(m.document, m.rules)
	}
	if len(m.config.Operations) == 0 {
		return fmt.Errorf("no operations: use OpenAPI, Policy or Operation")
	}
	m.config.Target.Path = m.base
	for _, p := range m.params {
		if !audit.SetParam(m.config.Operations, p[0], p[1]) {
			return fmt.Errorf("no operation has a parameter %q", p[0])
		}
	}
	m.tokens.scopes = audit.Scopes(m.config.Operations)
	m.config.Tokens = m.tokens
	return nil
}

// show runs a subtest for each case, and for each fault in the responses.
func (m *matrix) show(t *testing.T, r *audit.Report) {
	t.Helper()
	if r.Refused != nil {
		t.Fatalf("the API refused every valid token with %d: does it trust the issuer %s?", r.Refused.Status, m.tokens.issuer.URL())
	}
	for _, row := range r.Operations {
		for _, cell := range row.Cells {
			name := row.Operation.Name() + "/" + cell.Case.Name
			t.Run(name, func(t *testing.T) {
				t.Helper()
				if cell.Result == audit.Inconclusive {
					t.Skip(cell.Reason)
				}
				m.showFindings(t, r, row.Operation.Name(), func(f audit.Finding) bool { return f.Case.Name == cell.Case.Name && f.ID == cell.ID })
			})
		}
		for _, id := range answers(r, row) {
			t.Run(row.Operation.Name()+"/"+string(id), func(t *testing.T) {
				t.Helper()
				m.showFindings(t, r, row.Operation.Name(), func(f audit.Finding) bool { return f.ID == id && f.Class == audit.Reply })
			})
		}
	}
	for _, k := range m.known {
		if !k.found && m.decided(r, k) {
			t.Errorf("%s %s no longer fails: remove Known", k.operation, k.name)
		}
	}
}

// answers returns the ids of the faults in the refusals of an operation that are
// not cases themselves.
func answers(r *audit.Report, row audit.OperationReport) []diagnosis.ID {
	var ids []diagnosis.ID
	for _, f := range r.Findings {
		isCell := slices.ContainsFunc(row.Cells, func(c audit.Cell) bool { return c.Case.Name == f.Case.Name && c.ID == f.ID })
		if f.Operation == row.Operation.Name() && f.Class == audit.Reply && !isCell && !slices.Contains(ids, f.ID) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

func (m *matrix) showFindings(t *testing.T, r *audit.Report, operation string, concerns func(audit.Finding) bool) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Operation != operation || !concerns(f) {
			continue
		}
		i := slices.IndexFunc(m.known, func(k known) bool {
			return k.operation == f.Operation && (k.name == f.Case.Name || k.name == string(f.ID))
		})
		text := fmt.Sprintf("%s  %s\n  sent  %s\n  got   %s\n  rule  %s\n  fix   %s", f.ID, f.Headline, f.Sent, f.Got, f.Rule, f.Fix)
		switch {
		case i >= 0:
			m.known[i].found = true
			t.Logf("known: %s\n%s", m.known[i].reason, text)
		case f.Level == audit.Fail || m.strict:
			t.Error(text)
		default:
			t.Log(text)
		}
	}
}

// decided reports whether the case of a known fault was tested and has a
// result.
func (m *matrix) decided(r *audit.Report, k known) bool {
	for _, row := range r.Operations {
		if row.Operation.Name() != k.operation {
			continue
		}
		isID := strings.ToUpper(k.name) == k.name
		return isID && row.Status != audit.Undecided && row.Status != audit.NotAsked || slices.ContainsFunc(row.Cells, func(c audit.Cell) bool {
			return c.Case.Name == k.name && c.Result != audit.Inconclusive
		})
	}
	return true // the operation no longer exists
}

// minted signs the tokens of a matrix. The issuer records each, so that it can
// be introspected.
type minted struct {
	issuer   *Issuer
	audience string
	claims   map[string]any
	scopes   []string // of the whole API
}

// Source describes the issuer.
func (m *minted) Source() string { return "tokens from " + m.issuer.URL() }

// Lacks returns an error if the API reads scopes from claims in which they must
// not count.
func (m *minted) Lacks(c *audit.Case, o *audit.Operation) string {
	if c.Name == "scope-elsewhere" && (slices.Contains(o.ScopeClaims, "permissions") || slices.Contains(o.ScopeClaims, "roles")) {
		return "the API reads scopes from permissions or roles"
	}
	return ""
}

// Token signs a token with the scopes and claims of the operation.
func (m *minted) Token(_ context.Context, name string, o *audit.Operation) (string, error) {
	needed := append(slices.Clone(o.Scopes), o.AnyScopes[:min(1, len(o.AnyScopes))]...)
	t := Token{Case: Case(name), Scope: needed, Claims: maps.Clone(m.claims), TTL: 2 * time.Minute}
	maps.Copy(t.Claims, o.Claims)
	if m.audience != "" {
		t.Audience = []string{m.audience}
	}
	switch {
	case name == "scope-other":
		// Everything else depends on the API, which the issuer does not know.
		granting := slices.Concat(o.Scopes, o.AnyScopes)
		t.Case = Good
		t.Scope = slices.DeleteFunc(slices.Clone(m.scopes), func(s string) bool { return slices.Contains(granting, s) })
	case len(needed) == 0:
		t.Scope = []string{"openid"}
	}
	return m.issuer.dev.MintToken(t.dev())
}
