package cmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// The parts of SARIF 2.1.0 that code scanning reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string              `json:"id"`
		ShortDescription sarifText           `json:"shortDescription"`
		FullDescription  sarifText           `json:"fullDescription"`
		Help             sarifText           `json:"help"`
		HelpURI          string              `json:"helpUri"`
		Properties       sarifRuleProperties `json:"properties"`
	}
	sarifRuleProperties struct {
		Severity string   `json:"security-severity"`
		Tags     []string `json:"tags"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

const (
	sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"
	sarifHelp   = "https://github.com/oauthctl/oauthctl/blob/main/docs/diagnosis.md"
)

// sarif returns a log with one result for each finding of an operation.
func (run *auditRun) sarif() ([]byte, error) {
	driver := sarifDriver{Name: "oauthctl audit", InformationURI: "https://github.com/oauthctl/oauthctl", Rules: []sarifRule{}}
	results := []sarifResult{}
	index := map[diagnosis.ID]int{}
	for _, f := range run.report.Findings {
		i, ok := index[f.ID]
		if !ok {
			i = len(driver.Rules)
			index[f.ID] = i
			driver.Rules = append(driver.Rules, sarifRuleOf(f))
		}
		result := sarifResult{
			RuleID: string(f.ID), RuleIndex: i, Level: map[audit.Result]string{audit.Fail: "error", audit.Warning: "warning"}[f.Level],
			Message:      sarifText{fmt.Sprintf("%s: %s (case %s). Sent %s, got %s. %s. Fix: %s.", f.Operation, f.Headline, f.Case.Name, f.Sent, f.Got, f.Rule, f.Fix)},
			Locations:    []sarifLocation{run.location(f.Operation)},
			Fingerprints: map[string]string{"oauthctlAudit/v1": f.Fingerprint()},
		}
		if f.Known {
			result.Suppressions = []sarifSuppression{{"external", f.Reason}}
		}
		results = append(results, result)
	}
	log := sarifLog{sarifSchema, "2.1.0", []sarifRun{{sarifTool{driver}, []sarifInvocation{run.invocation()}, results}}}
	return json.Marshal(log, json.Deterministic(true), jsontext.WithIndent("  "))
}

func sarifRuleOf(f audit.Finding) sarifRule {
	severity := map[audit.Class]string{audit.Hole: "8.5", audit.Deny: "5.0", audit.Reply: "3.0"}[f.Class]
	entry, _ := diagnosis.Lookup(f.ID)
	return sarifRule{
		ID: string(f.ID), ShortDescription: sarifText{entry.Summary}, FullDescription: sarifText{entry.Meaning}, Help: sarifText{f.Fix},
		HelpURI: sarifHelp + "#" + strings.ToLower(string(f.ID)), Properties: sarifRuleProperties{severity, []string{"security", "oauth"}},
	}
}

// invocation lists the cases that were not decided as notifications, because SARIF
// has no such result.
func (run *auditRun) invocation() sarifInvocation {
	v := sarifInvocation{Successful: !run.report.Interrupted && run.report.Unreachable == nil && run.report.Refused == nil}
	if partial := run.partial(); partial != "" {
		v.Notifications = append(v.Notifications, sarifNotification{Level: "error", Message: sarifText{partial}})
	}
	for _, row := range run.report.Operations {
		for _, cell := range row.Cells {
			if cell.Result == audit.Inconclusive {
				v.Notifications = append(v.Notifications, sarifNotification{
					"warning",
					sarifText{fmt.Sprintf("%s, %s: not decided: %s", row.Operation.Name(), cell.Case.Name, cell.Reason)},
					[]sarifLocation{run.location(row.Operation.Name())},
				})
			}
		}
	}
	return v
}

// location returns where an operation is declared. The physical location is
// omitted if the document was read from a URL.
func (run *auditRun) location(name string) sarifLocation {
	l := sarifLocation{Logical: []sarifLogical{{name, "function"}}}
	for _, o := range run.listed {
		if o.Name() == name && o.Source != "" && !isURL(o.Source) {
			l.Physical = &sarifPhysical{sarifArtifact{relative(o.Source)}, sarifRegion{max(o.Line, 1)}}
			return l
		}
	}
	return l
}

// relative returns a path relative to the current directory, if possible, with
// slashes.
func relative(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		if here, err := filepath.Abs("."); err == nil {
			if below, err := filepath.Rel(here, whole); err == nil {
				path = below
			}
		}
	}
	return filepath.ToSlash(path)
}
