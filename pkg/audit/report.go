package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Status is the result of all cases of an operation.
type Status string

// The statuses.
const (
	Proven    Status = "proven"    // all cases are decided, and none failed
	Faulty    Status = "faulty"    // a case failed
	Undecided Status = "undecided" // a case is inconclusive
	NotAsked  Status = "not_asked" // nothing was sent
)

// Report holds the results of an audit.
type Report struct {
	Operations []OperationReport
	// Findings has one entry for each operation, case and id. Holes are first.
	Findings []Finding
	Requests int // the number of requests that were sent
	// Interrupted is set if the audit ended early.
	Interrupted bool
	// Refused is set if the API refused valid tokens on every operation, so that nothing
	// is proven. It is one of the refusals.
	Refused *Answer
	// Unreachable is set if no request got a response. It is one of the errors.
	Unreachable error
}

// OperationReport is a row of the matrix.
type OperationReport struct {
	Operation *Operation
	Status    Status
	Reason    string // why it is undecided or not tested
	// MissingParam is the parameter without a value, if that is the reason.
	MissingParam string
	Cells        []Cell
}

// Cell is the result of one case.
type Cell struct {
	Case *Case
	Outcome
	Status int // the HTTP status of the response; 0 without a response
}

// Finding is a fault of one operation.
type Finding struct {
	ID        diagnosis.ID
	Level     Result // Fail or Warning
	Class     Class
	Case      *Case
	Operation string
	Headline  string
	Sent      string
	Expected  string
	Got       string
	Rule      string
	Fix       string
	// Known and Reason are set by [Baseline.Apply].
	Known  bool
	Reason string
}

// Fingerprint returns an identifier of the finding that is the same in every run.
func (f *Finding) Fingerprint() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(f.ID), f.Case.Name, f.Operation}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Coverage holds the numbers of tested operations and cells.
type Coverage struct {
	Operations   int // tested operations: the sum of the next three
	Proven       int
	Faulty       int
	Undecided    int
	Cells        int // tested cells: the sum of the next two
	Decided      int
	Inconclusive int
}

// Coverage counts the operations and cells of the report.
func (r *Report) Coverage() Coverage {
	var c Coverage
	for _, o := range r.Operations {
		switch o.Status {
		case Proven:
			c.Proven++
		case Faulty:
			c.Faulty++
		case Undecided:
			c.Undecided++
		case NotAsked:
			continue
		}
		c.Operations++
		for _, cell := range o.Cells {
			c.Cells++
			if cell.Result == Inconclusive {
				c.Inconclusive++
			}
		}
	}
	c.Decided = c.Cells - c.Inconclusive
	return c
}

func (a *Audit) report(interrupted bool) *Report {
	r := &Report{Requests: a.sent, Interrupted: interrupted}
	r.Refused, r.Unreachable = a.controlsFailed()
	hides := a.scopesHide()
	for _, x := range a.asks {
		row, findings := x.report(hides, r.Refused != nil)
		r.Operations = append(r.Operations, row)
		r.Findings = append(r.Findings, findings...)
	}
	for _, name := range a.config.Unlisted {
		r.Findings = append(r.Findings, Finding{
			ID: diagnosis.OperationUnlisted, Level: Warning, Class: Reply, Case: &Case{Name: "documents"}, Operation: name,
			Headline: "only one of the two documents lists the operation", Sent: "nothing", Expected: "the operation in both documents",
			Got: "it is in one only", Rule: "the two documents", Fix: "add the operation to the other document, or remove it",
		})
	}
	sort.SliceStable(r.Findings, func(i, j int) bool {
		a, b := &r.Findings[i], &r.Findings[j]
		return cmp.Or(a.rank()-b.rank(), order(a.Case)-order(b.Case)) < 0
	})
	return r
}

func (f *Finding) rank() int {
	rank := slices.Index([]Class{Hole, Deny, Reply}, f.Class)
	if f.Level == Warning {
		rank += 3
	}
	return rank
}

func order(c *Case) int {
	return slices.IndexFunc(matrix(), func(row Case) bool { return row.Name == c.Name })
}

// controlsFailed reports whether the valid request was refused on every
// operation, or not answered at all.
func (a *Audit) controlsFailed() (refused *Answer, unreachable error) {
	asked, without, refusals := 0, 0, 0
	for _, x := range a.asks {
		control := x.seen.Control
		if control == nil {
			control = x.seen.Anonymous
		}
		if control == nil && x.op.Access != Protected && len(x.cells) > 0 {
			control = x.cells[0].answer
		}
		if control == nil {
			continue
		}
		asked++
		switch {
		case control.Err != nil:
			without++
			unreachable = control.Err
		case x.seen.Control != nil && isRefused(control):
			refusals++
			refused = control
		case x.seen.Control == nil: // no token was sent
			asked--
		}
	}
	if asked == 0 || refusals < asked {
		refused = nil
	}
	if asked == 0 || without < asked {
		unreachable = nil
	}
	return refused, unreachable
}

// scopesHide reports whether the API returns 404 for a missing scope although the
// operation exists.
func (a *Audit) scopesHide() bool {
	for _, x := range a.asks {
		if x.seen.Control == nil || !x.seen.Control.isSuccess() {
			continue
		}
		for _, cell := range x.cells {
			if cell.c.Group == GroupScope && cell.answer != nil && cell.answer.Status == http.StatusNotFound {
				return true
			}
		}
	}
	return false
}

// report returns the row of an operation and its findings.
func (x *asking) report(hides, untrusted bool) (OperationReport, []Finding) {
	row := OperationReport{Operation: x.op, Status: NotAsked, Reason: x.skip}
	if x.skip != "" || len(x.cells) == 0 && x.stop.Result == "" {
		return row, nil
	}
	if x.stop.Result == Fail && !untrusted {
		return x.stopped(row)
	}
	var findings []Finding
	for _, cell := range x.cells {
		if cell.lacks == notApplicable {
			continue
		}
		outcome := x.decide(cell, hides)
		row.Cells = append(row.Cells, Cell{cell.c, outcome, statusOf(cell.answer)})
		if f, ok := x.finding(cell, outcome); ok {
			findings = append(findings, f)
		}
		if x.stop.Result == "" {
			findings = x.remark(findings, cell, outcome, hides)
		}
	}
	row.Status, row.Reason = x.status(row.Cells)
	row.MissingParam = x.missingParam
	if len(findings) > 0 && slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fail }) {
		row.Status = Faulty
	}
	return row, findings
}

// stopped returns the row of an operation that failed with the valid request or the
// request without a token. If it needs no token, the other cases are omitted.
func (x *asking) stopped(row OperationReport) (OperationReport, []Finding) {
	row.Status, row.Reason = Faulty, x.stop.Reason
	name, answer := "good", x.seen.Control
	if x.stop.ID == diagnosis.NoTokenAccepted {
		name, answer = "no-token", x.seen.Anonymous
	}
	c := caseNamed(name)
	row.Cells = append(row.Cells, Cell{c, x.stop, statusOf(answer)})
	if name == "good" {
		for _, cell := range x.cells {
			if cell.c.Name != name {
				row.Cells = append(row.Cells, Cell{cell.c, inconclusive("%s", x.stop.Reason), 0})
			}
		}
	}
	f, _ := x.finding(&cell{c: c, answer: answer}, x.stop)
	return row, []Finding{f}
}

func (x *asking) decide(cell *cell, hides bool) Outcome {
	switch {
	case x.stop.Result != "":
		return inconclusive("%s", x.stop.Reason)
	case cell.lacks != "":
		return inconclusive("%s", cell.lacks)
	case cell.answer == nil:
		return inconclusive("not sent")
	}
	o := Classify(cell.c, x.seenBy(cell, hides))
	if cell.fetched && o.Result != Fail {
		return Outcome{Warning, cell.c.ID, "the API fetched the URL in the token's header"}
	}
	return o
}

func (x *asking) seenBy(cell *cell, hides bool) Seen {
	s := x.seen
	s.Answer, s.ScopesHide = cell.answer, hides
	return s
}

func (x *asking) finding(cell *cell, o Outcome) (Finding, bool) {
	if o.Result != Fail && o.Result != Warning {
		return Finding{}, false
	}
	c := cell.c
	f := Finding{
		ID: o.ID, Level: o.Result, Class: c.Class(), Case: c, Operation: x.op.Name(), Headline: c.Headline,
		Sent: c.Change, Expected: c.Expected(), Got: x.evidence(cell), Rule: c.Clause, Fix: c.Fix,
	}
	switch {
	case o.ID == diagnosis.Refusal5xx:
		f.Class, f.Headline, f.Fix = Reply, "the API fails instead of refusing a token", fixForm
	case cell.fetched:
		f.Headline, f.Got = "the API fetches a URL that a token contains", o.Reason
	}
	return f, true
}

// remark adds the faults of a refusal to the findings, each id once for an
// operation.
func (x *asking) remark(findings []Finding, cell *cell, o Outcome, hides bool) []Finding {
	if cell.answer == nil || cell.lacks != "" || o.Result == Fail || o.Result == Warning {
		return findings
	}
	for _, remark := range Remarks(cell.c, x.seenBy(cell, hides)) {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.ID == remark.ID }) {
			continue
		}
		entry, _ := diagnosis.Lookup(remark.ID)
		findings = append(findings, Finding{
			ID: remark.ID, Level: remark.Result, Class: Reply, Case: cell.c, Operation: x.op.Name(), Headline: entry.Summary,
			Sent: cell.c.Change, Expected: cell.c.Expected(), Got: x.evidence(cell) + "; " + remark.Reason, Rule: remark.Clause, Fix: lowerFirst(entry.Fix),
		})
	}
	return findings
}

func lowerFirst(text string) string {
	text = strings.TrimSuffix(text, ".")
	return strings.ToLower(text[:1]) + text[1:]
}

// status returns the status of the cells, and the reason if it is undecided.
func (x *asking) status(cells []Cell) (Status, string) {
	status, reason := Proven, ""
	for _, cell := range cells {
		switch cell.Result {
		case Fail:
			return Faulty, ""
		case Inconclusive:
			if status = Undecided; reason == "" {
				reason = cell.Reason
			}
		}
	}
	return status, reason
}

// maxShown is the maximum number of bytes of a body that a report shows.
const maxShown = 200

// evidence describes a response: its status, its challenge, the beginning of its
// body, and the status of the request without a token.
func (x *asking) evidence(cell *cell) string {
	text := evidenceOf(cell.answer)
	if none := x.seen.Anonymous; none != nil && cell.answer != none && none.Status != 0 {
		text += fmt.Sprintf("  (without a token: %d)", none.Status)
	}
	return text
}

func evidenceOf(a *Answer) string {
	if a == nil || a.Status == 0 {
		return "no response"
	}
	text := fmt.Sprint(a.Status)
	for _, field := range a.Challenges {
		text += " WWW-Authenticate: " + cut(field)
	}
	if body := strings.Join(strings.Fields(string(a.Body)), " "); body != "" {
		text += " " + cut(body)
	}
	return text
}

func cut(text string) string {
	if len(text) > maxShown {
		return strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

func statusOf(a *Answer) int {
	if a == nil {
		return 0
	}
	return a.Status
}
