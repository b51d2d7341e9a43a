package cmd

import (
	"encoding/xml"
	"fmt"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// The parts of the JUnit format that CI systems read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Name    string       `xml:"name,attr"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure"`
		Error   *junitMessage `xml:"error"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit returns a suite for each operation, with a test for each case. A case that
// is not decided is skipped, never passed.
func (run *auditRun) junit() ([]byte, error) {
	all := junitSuites{Name: "oauthctl audit " + run.target.Redacted()}
	if partial := run.partial(); partial != "" {
		all.Name += " (" + partial + ")"
	}
	for _, row := range run.report.Operations {
		if row.Status == audit.NotAsked {
			continue
		}
		suite := junitSuite{Name: row.Operation.Name()}
		for _, cell := range row.Cells {
			suite.add(run.junitCase(row, cell))
		}
		// Findings about the responses that refuse a request.
		for _, f := range run.report.Findings {
			if f.Operation == suite.Name && f.Class == audit.Reply {
				suite.add(run.junitRemark(f))
			}
		}
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func (run *auditRun) junitCase(row audit.OperationReport, cell audit.Cell) junitCase {
	c := junitCase{Class: row.Operation.Name(), Name: cell.Case.Name}
	message := &junitMessage{Message: string(cell.ID) + " " + cell.Reason, Text: fmt.Sprintf("expected %s, got %d", cell.Case.Expected(), cell.Status)}
	switch {
	case cell.Case.Name == "good" && cell.Result == audit.Fail:
		c.Error = message
	case cell.Result == audit.Inconclusive:
		c.Skipped = &junitMessage{Message: cell.Reason}
	case cell.Result == audit.Fail || cell.Result == audit.Warning && run.options.strict:
		for _, f := range run.report.Findings {
			if f.Operation == c.Class && f.Case.Name == c.Name && f.ID == cell.ID && f.Known {
				c.Skipped = &junitMessage{Message: "known: " + f.Reason}
				return c
			}
		}
		c.Failure = message
	}
	return c
}

func (run *auditRun) junitRemark(f audit.Finding) junitCase {
	c := junitCase{Class: f.Operation, Name: string(f.ID)}
	switch {
	case f.Known:
		c.Skipped = &junitMessage{Message: "known: " + f.Reason}
	case f.Level == audit.Fail || run.options.strict:
		c.Failure = &junitMessage{Message: f.Headline, Text: f.Got}
	}
	return c
}
