package cmd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// auditJSON is what --json prints; docs/reference/audit.schema.json describes it.
type auditJSON struct {
	Schema     int                  `json:"schema"`
	Target     string               `json:"target"`
	Issuer     string               `json:"issuer"`
	Audience   string               `json:"audience"`
	Operations []auditOperationJSON `json:"operations"`
	Findings   []auditFindingJSON   `json:"findings"`
	Stale      []auditStaleJSON     `json:"stale,omitempty"`
	Coverage   auditCoverageJSON    `json:"coverage"`
	Requests   int                  `json:"requests"`
	Error      string               `json:"error,omitempty"`
	ExitCode   int                  `json:"exit_code"`
}

type auditOperationJSON struct {
	Operation string          `json:"operation"`
	Security  string          `json:"security"` // token, optional or public
	Scopes    []string        `json:"scopes,omitempty"`
	Status    audit.Status    `json:"status"`
	Reason    string          `json:"reason,omitempty"`
	Cells     []auditCellJSON `json:"cells"`
}

type auditCellJSON struct {
	Case     string       `json:"case"`
	Expected string       `json:"expected"`
	Result   audit.Result `json:"result"`
	Status   int          `json:"status,omitzero"`
	ID       diagnosis.ID `json:"id,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

type auditFindingJSON struct {
	ID          diagnosis.ID `json:"id"`
	Level       audit.Result `json:"level"`
	Class       audit.Class  `json:"class"`
	Case        string       `json:"case"`
	Operations  []string     `json:"operations"`
	Headline    string       `json:"headline"`
	Sent        string       `json:"sent"`
	Expected    string       `json:"expected"`
	Got         string       `json:"got"`
	Rule        string       `json:"rule"`
	Fix         string       `json:"fix"`
	Reproduce   string       `json:"reproduce"`
	Known       bool         `json:"known"`
	Reason      string       `json:"reason,omitempty"`
	Fingerprint string       `json:"fingerprint"`
}

type auditStaleJSON struct {
	Operation string       `json:"operation"`
	Case      string       `json:"case"`
	ID        diagnosis.ID `json:"id"`
}

type auditCoverageJSON struct {
	Operations   int `json:"operations"`
	Cells        int `json:"cells"`
	Proven       int `json:"proven"` // operations
	Inconclusive int `json:"inconclusive"`
}

func (run *auditRun) json() auditJSON {
	c := run.report.Coverage()
	out := auditJSON{
		Schema: 1, Target: run.target.Redacted(), Issuer: run.issuer, Audience: run.audience, Requests: run.report.Requests, ExitCode: run.exitCode,
		Operations: []auditOperationJSON{}, Findings: []auditFindingJSON{},
		Coverage: auditCoverageJSON{c.Operations, c.Cells, c.Proven, c.Inconclusive},
	}
	switch {
	case run.report.Interrupted:
		out.Error = "interrupted"
	case run.report.Unreachable != nil:
		out.Error = "no response: " + run.report.Unreachable.Error()
	case run.report.Refused != nil:
		out.Error = "the API refused every valid token"
	}
	for i := range run.report.Operations {
		out.Operations = append(out.Operations, operationJSON(&run.report.Operations[i]))
	}
	for _, g := range run.groups() {
		out.Findings = append(out.Findings, run.findingJSON(g))
	}
	for _, k := range run.stale {
		out.Stale = append(out.Stale, auditStaleJSON{k.Operation, k.Case, k.ID})
	}
	return out
}

func operationJSON(row *audit.OperationReport) auditOperationJSON {
	o := auditOperationJSON{Operation: row.Operation.Name(), Security: securityOf(row.Operation), Scopes: row.Operation.Scopes, Status: row.Status, Reason: row.Reason, Cells: []auditCellJSON{}}
	for _, cell := range row.Cells {
		o.Cells = append(o.Cells, auditCellJSON{cell.Case.Name, cell.Case.Expected(), cell.Result, cell.Status, cell.ID, cell.Reason})
	}
	return o
}

func securityOf(o *audit.Operation) string {
	if o.Access == audit.Protected {
		return "token"
	}
	return string(o.Access)
}

func (run *auditRun) findingJSON(g findingGroup) auditFindingJSON {
	// The finding of a single operation has the same fingerprint as in SARIF.
	fingerprint := g.Fingerprint()
	if len(g.operations) > 1 {
		sum := sha256.Sum256([]byte(strings.Join([]string{string(g.ID), g.Case.Name, strings.Join(g.operations, "\x00")}, "\x00")))
		fingerprint = hex.EncodeToString(sum[:16])
	}
	return auditFindingJSON{
		ID: g.ID, Level: g.Level, Class: g.Class, Case: g.Case.Name, Operations: g.operations, Headline: g.Headline, Sent: g.Sent,
		Expected: g.Expected, Got: g.Got, Rule: g.Rule, Fix: g.Fix, Reproduce: run.reproduce(g.Finding), Known: g.Known, Reason: g.Reason,
		Fingerprint: fingerprint,
	}
}

// writeAuditFiles writes the files of --sarif, --junit and --write-baseline.
func (env *Env) writeAuditFiles(run *auditRun) error {
	o := run.options
	for _, file := range []struct {
		flag, path string
		make       func() ([]byte, error)
	}{
		{"--sarif", o.sarif, run.sarif},
		{"--junit", o.junit, run.junit},
		{"--write-baseline", o.writeBaseline, func() ([]byte, error) { return audit.WriteBaseline(run.report) }},
	} {
		switch {
		case file.path == "":
			continue
		case file.flag == "--write-baseline" && run.report.Interrupted:
			env.warn("%s is not written: the audit was interrupted", clean(file.path))
			continue
		}
		text, err := file.make()
		if err != nil {
			return fmt.Errorf("%s: %w", file.flag, err)
		}
		if err := os.WriteFile(file.path, text, 0o644); err != nil { //nolint:gosec // a report for others to read
			return usage("%s: %w", file.flag, err)
		}
	}
	return nil
}
