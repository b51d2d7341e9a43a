package cmd

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/audit"
)

// column is a column of the matrix: a group of cases and its heading.
type column struct {
	group audit.Group
	head  string
}

// answerColumn is the column for findings about the responses that refuse a
// request.
const answerColumn = audit.Group("answer")

func auditColumns() []column {
	return []column{
		{audit.GroupNone, "none"},
		{audit.GroupForm, "form"},
		{audit.GroupKey, "key"},
		{audit.GroupAlg, "alg"},
		{audit.GroupIssuer, "iss"},
		{audit.GroupAud, "aud"},
		{audit.GroupTime, "time"},
		{audit.GroupType, "type"},
		{audit.GroupScope, "scope"},
		{audit.GroupRoute, "route"},
		{answerColumn, "answer"},
	}
}

// showAudit prints the matrix, the findings and what was proven.
func (env *Env) showAudit(run *auditRun) {
	s := env.stdout()
	env.showMatrix(s, run)
	for _, group := range run.groups() {
		env.showFinding(s, run, group)
	}
	env.showUndecided(s, run)
	for _, k := range run.stale {
		s.line("%s baseline: %s %s %s is stale: remove the entry", s.bad(s.marks.fail), clean(k.Operation), clean(k.Case), clean(string(k.ID)))
	}
	s.line("%s", wrap(run.summary(), ""))
}

func (env *Env) showMatrix(s *screen, run *auditRun) {
	head := strings.Repeat(" ", s.marks.label)
	for _, c := range auditColumns() {
		head += " " + c.head
	}
	s.line("%s", s.faint(head))
	for i := range run.report.Operations {
		row := &run.report.Operations[i]
		if row.Status == audit.NotAsked {
			continue
		}
		line := fit(row.Operation, s.marks.label)
		for _, c := range auditColumns() {
			text, paint := run.mark(s, row, c.group)
			line += " " + paint(text) + strings.Repeat(" ", max(len(c.head)-utf8.RuneCountInString(text), 0))
		}
		if note := run.note(row); note != "" {
			line = strings.TrimRight(line, " ") + "   " + s.faint(note)
		}
		s.line("%s", strings.TrimRight(line, " "))
	}
	env.showState(s, run)
}

// fit returns the method and path of an operation, padded to width. A long path is
// shortened in the middle.
func fit(o *audit.Operation, width int) string {
	path := []rune(clean(o.Path))
	method := fmt.Sprintf("%-4s ", clean(o.Method))
	if room := width - utf8.RuneCountInString(method); len(path) > room {
		half := (room - 1) / 2
		path = slices.Concat(path[:room-1-half], []rune("…"), path[len(path)-half:])
	}
	text := method + string(path)
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// mark returns the mark for the most severe result in a group, and its color.
func (run *auditRun) mark(s *screen, row *audit.OperationReport, group audit.Group) (string, func(string) string) {
	results := map[audit.Result]bool{}
	for _, cell := range row.Cells {
		if cell.Case.Group == group || group == audit.GroupNone && cell.Case.Group == audit.GroupPublic {
			results[cell.Result] = true
		}
	}
	if group == answerColumn {
		results = run.answers(row)
	}
	for _, result := range []audit.Result{audit.Fail, audit.Warning, audit.Inconclusive, audit.Pass} {
		if results[result] {
			return s.resultMark(result)
		}
	}
	return s.marks.none, s.faint
}

// resultMark returns the mark of a result and its color.
func (s *screen) resultMark(r audit.Result) (mark string, paint func(string) string) {
	switch r {
	case audit.Fail:
		return s.marks.fail, s.bad
	case audit.Warning:
		return s.marks.warn, s.warn
	case audit.Inconclusive:
		return s.marks.open, s.warn
	case audit.Pass:
		return s.marks.pass, s.good
	}
	return s.marks.none, s.faint
}

// answers returns the results in the answer column of an operation.
func (run *auditRun) answers(row *audit.OperationReport) map[audit.Result]bool {
	results := map[audit.Result]bool{}
	for _, f := range run.report.Findings {
		if f.Operation == row.Operation.Name() && f.Class == audit.Reply {
			results[f.Level] = true
		}
	}
	if row.Operation.Access != audit.Protected {
		return results
	}
	for _, cell := range row.Cells {
		if !cell.Case.Accept && cell.Result == audit.Pass {
			results[audit.Pass] = true
		} else if cell.Result == audit.Inconclusive && len(results) == 0 {
			results[audit.Inconclusive] = true
		}
	}
	if results[audit.Pass] {
		delete(results, audit.Inconclusive)
	}
	return results
}

// note returns the word at the end of a row, or "".
func (run *auditRun) note(row *audit.OperationReport) string {
	o := row.Operation
	switch {
	case row.MissingParam != "":
		return "no value"
	case o.Access != audit.Protected:
		return string(o.Access)
	case !o.IsSafe():
		return run.options.unsafe
	}
	return ""
}

// showState prints the cases of the issuer's state, which concern one operation.
func (env *Env) showState(s *screen, run *auditRun) {
	for _, row := range run.report.Operations {
		var parts []string
		for _, cell := range row.Cells {
			if cell.Case.Group != audit.GroupState {
				continue
			}
			mark, _ := s.resultMark(cell.Result)
			parts = append(parts, mark+" "+cell.Case.Name)
		}
		if len(parts) > 0 {
			s.line("%s %s", s.faint("state: "), strings.Join(parts, "  "))
		}
	}
}

// findingGroup is the same finding for several operations.
type findingGroup struct {
	audit.Finding
	operations []string
}

// groups combines findings with the same id, case, level, and entry in the
// baseline.
func (run *auditRun) groups() []findingGroup {
	var all []findingGroup
	for _, f := range run.report.Findings {
		i := slices.IndexFunc(all, func(g findingGroup) bool {
			return g.ID == f.ID && g.Case.Name == f.Case.Name && g.Level == f.Level && g.Known == f.Known && g.Reason == f.Reason
		})
		if i < 0 {
			all = append(all, findingGroup{f, []string{f.Operation}})
			continue
		}
		all[i].operations = append(all[i].operations, f.Operation)
	}
	return all
}

func (env *Env) showFinding(s *screen, run *auditRun, g findingGroup) {
	mark, paint := s.resultMark(g.Level)
	known := ""
	if g.Known {
		known = " (known)"
	}
	headline, at := g.Headline+known, clean(strings.Join(g.operations, ", "))
	indent := utf8.RuneCountInString(mark) + 1 + len(g.ID) + 2
	if indent+utf8.RuneCountInString(headline+"   "+at) <= maxColumns {
		headline, at = headline+"   "+at, ""
	} else {
		headline = continued(headline, indent)
	}
	s.line("%s %s  %s", paint(mark), s.strong(string(g.ID)), headline)
	rows := [][2]string{
		{"at", at},
		{"sent", g.Sent},
		{"got", g.Got},
		{"rule", g.Rule},
		{"fix", g.Fix},
		{"known", g.Reason},
	}
	if g.Case.Group != "" {
		rows = append(rows, [2]string{"reproduce", run.shortReproduce(g)})
	}
	for _, r := range rows {
		if r[1] != "" {
			s.line("  %s %s", s.faint(fmt.Sprintf("%-10s", r[0])), continued(clean(r[1]), 13))
		}
	}
}

// shortReproduce returns the command for a finding without the flags of this run.
func (run *auditRun) shortReproduce(g findingGroup) string {
	return "oauthctl audit … --operation " + shellQuote(run.operationFlag(g.operations[0])) + " --case " + g.Case.Name + " -v"
}

// operationFlag returns the value of --operation for an operation: its name and,
// if no document lists its scopes, the scopes.
func (run *auditRun) operationFlag(name string) string {
	if run.options.openapi != "" || run.options.policy != "" {
		return name
	}
	for _, o := range run.listed {
		if o.Name() == name && len(o.Scopes) > 0 {
			return name + "=" + strings.Join(o.Scopes, " ")
		}
	}
	return name
}

// reproduce returns the command that sends one case again.
func (run *auditRun) reproduce(f audit.Finding) string {
	args := []string{"audit", run.rawURL}
	for _, given := range run.options.given {
		if f.Case.Group == audit.GroupState || !given.onlyState {
			args = append(args, given.args...)
		}
	}
	args = append(args, "--operation", run.operationFlag(f.Operation), "--case", f.Case.Name, "-v")
	if len(run.options.command) > 0 {
		args = append(append(args, "--"), run.options.command...)
	}
	return hintContext{}.run(args...)
}

func (env *Env) showUndecided(s *screen, run *auditRun) {
	r := run.report
	switch {
	case r.Interrupted:
		s.line("%s %s", s.bad(s.marks.fail), run.partial())
	case r.Unreachable != nil:
		s.line("%s %s", s.bad(s.marks.fail), continued(clean("no response from "+run.target.Host+": "+r.Unreachable.Error()), 2))
		return
	case r.Refused != nil:
		s.line("%s %s", s.bad(s.marks.fail), continued("the API refused every valid token, so nothing is proven", 2))
		for _, line := range []string{
			fmt.Sprintf("does the API trust issuer %s and audience %s?", run.issuer, run.audience),
			"the API says: " + fmt.Sprint(r.Refused.Status, " ", strings.Join(r.Refused.Challenges, ", "), " ", firstBytes(r.Refused.Body)),
		} {
			s.line("  %s", continued(clean(line), 2))
		}
		return
	}
	for _, row := range r.Operations {
		reason := undecided(row)
		if reason == "" {
			continue
		}
		if row.MissingParam != "" {
			reason += "; use --param " + row.MissingParam + "=VALUE"
		}
		s.line("%s %s", s.warn(s.marks.open), continued(clean(row.Operation.Name()+": "+reason), 2))
	}
}

// partial returns the message that the report is partial, or "" if it is complete.
func (run *auditRun) partial() string {
	if !run.report.Interrupted {
		return ""
	}
	return fmt.Sprintf("interrupted after %s: this report is partial", plural(run.report.Requests, "request"))
}

// undecided returns why an operation, or some of its cases, are not decided.
func undecided(row audit.OperationReport) string {
	var open []string
	reason := ""
	for _, cell := range row.Cells {
		if cell.Result == audit.Inconclusive {
			open, reason = append(open, cell.Case.Name), cell.Reason
		}
	}
	switch {
	case len(open) == 0:
		return ""
	case len(open) == len(row.Cells):
		return reason
	case len(open) == 1:
		return open[0] + ": " + reason
	}
	const most = 4
	if extra := len(open) - most; extra > 0 {
		open = append(open[:most], fmt.Sprintf("%d more", extra))
	}
	return strings.Join(open, ", ") + ": " + reason
}

func firstBytes(body []byte) string {
	const most = 200
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), most)]), "")), " ")
}

func (run *auditRun) summary() string {
	c := run.report.Coverage()
	parts := []string{fmt.Sprintf("%d of %d operations proven", c.Proven, c.Operations)}
	if c.Faulty > 0 {
		parts = append(parts, fmt.Sprintf("%d faulty", c.Faulty))
	}
	if c.Undecided > 0 {
		parts = append(parts, fmt.Sprintf("%d undecided", c.Undecided))
	}
	text := strings.Join(parts, ", ") + fmt.Sprintf("; %d of %d cells; ", c.Decided, c.Cells)
	findings, known := 0, 0
	for _, g := range run.groups() {
		if g.Known {
			known++
		} else {
			findings++
		}
	}
	text += plural(findings, "finding")
	if known > 0 {
		text += fmt.Sprintf(", %d known", known)
	}
	notAsked := 0
	for _, row := range run.report.Operations {
		if row.Status == audit.NotAsked {
			notAsked++
		}
	}
	if notAsked > 0 {
		text += fmt.Sprintf("; %s not asked (--unsafe dry)", plural(notAsked, "operation"))
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showAudited prints a request and its response for --verbose. Of the token it
// prints only the claims.
func (env *Env) showAudited(e audit.Exchange) {
	s := env.stderr()
	s.line("%s %s %s  %s", s.name(">"), e.Method, clean(e.URL), s.faint(e.Case))
	if e.Token != "" {
		s.line("%s token: %s", s.name(">"), clean(e.Token))
	}
	if e.Answer.Err != nil {
		s.line("%s %s", s.name("<"), clean(e.Answer.Err.Error()))
		return
	}
	s.line("%s %d %s", s.name("<"), e.Answer.Status, clean(strings.Join(e.Answer.Challenges, ", ")))
	if text := firstBytes(e.Answer.Body); text != "" {
		s.line("%s %s", s.name("<"), clean(text))
	}
}
