package cmd

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
)

// doctorNames is the width of the column for the names of rungs.
const doctorNames = 22

// showVisits prints the reports one after the other.
func (env *Env) showVisits(visits []*visit, o doctorOptions) {
	for i, v := range visits {
		if i > 0 {
			env.stdout().line("")
		}
		if len(visits) > 1 {
			env.stdout().line("%s", env.stdout().strong("profile "+clean(v.profile)))
		}
		env.showVisit(v, o)
	}
}

// showVisit prints each fault with its details, and one line for each important
// rung that passed. It counts the others, and groups those that were not reached
// by the reason.
func (env *Env) showVisit(v *visit, o doctorOptions) {
	s := env.stdout()
	more, reasons, unreached := 0, []string{}, map[string][]string{}
	for i := range v.report.Results {
		r := &v.report.Results[i]
		switch {
		case r.Status == doctor.Failed, r.Status == doctor.Warning:
			env.showFault(s, r)
		case r.Status == doctor.NotReached:
			if len(unreached[r.Text]) == 0 {
				reasons = append(reasons, r.Text)
			}
			unreached[r.Text] = append(unreached[r.Text], r.Name)
		case r.Status == doctor.Note:
			s.line("%s %s", s.faint(s.padded(s.marks.none)), row(r.Name, r.Text))
		case !env.global.verbose && !isImportant(r.Name):
			more++
		default:
			s.line("%s %s", s.good(s.padded(s.marks.pass)), row(cmp.Or(r.Host, r.Name), r.Text))
		}
	}
	if more > 0 {
		s.line("%s %d more", s.good(s.padded(s.marks.pass)), more)
	}
	for _, why := range reasons {
		names := strings.Join(unreached[why], ", ")
		if n := len(unreached[why]); n > 4 && !env.global.verbose {
			names = fmt.Sprintf("%s and %d more", unreached[why][0], n-1)
		}
		s.line("%s %s", s.faint(s.padded("-")), continued(clean(names+": not reached: "+why), 2))
	}
	s.line("%s", wrap(clean(summaryOf(v.report, o)), ""))
	if v.report.URL == "" {
		env.say("Next: oauthctl doctor URL")
	}
}

// isImportant reports whether a rung that passed gets a line of its own.
func isImportant(name string) bool {
	return slices.Contains([]string{"machine", "tls", "tls issuer", "resource metadata", "issuer metadata", "session", "call"}, name)
}

func row(name, text string) string {
	name = clean(name)
	if len(name) >= doctorNames {
		return continued(name+" "+clean(text), 2)
	}
	return name + strings.Repeat(" ", doctorNames-len(name)) + continued(clean(text), doctorNames+2)
}

func (env *Env) showFault(s *screen, r *doctor.Result) {
	mark := s.bad(s.padded(s.marks.fail))
	if r.Status == doctor.Warning {
		mark = s.warn(s.padded(s.marks.warn))
	}
	s.line("%s %s", mark, row(r.Name, r.Text))
	request := ""
	if r.Request != nil {
		request = r.Request.Method + " " + r.Request.URL
	}
	fix, commands := env.fixOf(r)
	for _, field := range [][2]string{
		{"id", string(r.ID)},
		{"request", request},
		{"expected", r.Expected.Or()},
		{"got", r.Got.String()},
		{"rule", r.Rule},
		{"owner", ownerText(r.Owner)},
		{"fix", fix},
		{"reproduce", env.reproduceOf(r)},
	} {
		if field[1] == "" {
			continue
		}
		text := env.scrub(clean(field[1]))
		if field[0] == "reproduce" {
			text = wrappedCommand(text, 15)
		} else {
			text = continued(text, 15, commands...)
		}
		s.line("    %s %s", s.faint(fmt.Sprintf("%-10s", field[0])), text)
	}
}

// wrappedCommand breaks a command into lines that end in a backslash, so that a
// shell accepts it. It does not break quoted arguments.
func wrappedCommand(command string, indent int) string {
	var b strings.Builder
	column, quoted := indent, false
	for i, word := range strings.Split(command, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case !quoted && column+1+n+2 > maxColumns && column > indent:
			b.WriteString(" \\\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
		quoted = quoted != (strings.Count(word, "'")%2 == 1)
	}
	return b.String()
}

func ownerText(o doctor.Owner) string {
	switch o {
	case doctor.TheAPI:
		return "the API's owner"
	case doctor.TheIssuer:
		return "the issuer's operator"
	case doctor.Network:
		return "the network"
	}
	return "you"
}

// fixOf returns what the owner has to change. If the user can change it, the text
// contains commands, which are also returned separately.
func (env *Env) fixOf(r *doctor.Result) (text string, commands []string) {
	entry, _ := diagnosis.Lookup(r.ID)
	if (r.Owner == doctor.You || r.Owner == doctor.Network) && (r.Fix == "" || r.Fix == entry.Fix) {
		return env.hintFor(r.Fault())
	}
	return r.Fix, nil
}

// reproduceOf returns a command that shows the fault again.
func (env *Env) reproduceOf(r *doctor.Result) string {
	switch q := r.Request; {
	case q == nil && r.Name == doctor.Session:
		return env.command("status")
	case q == nil:
		return env.command("profile", "show")
	case q.HasToken:
		return env.command("call", q.Method, q.URL, "-v")
	default:
		return curlOf(q)
	}
}

// curlOf returns the curl command for a request.
func curlOf(q *doctor.Request) string {
	args := []string{"curl", "-si"}
	if q.Connection {
		args[1] = "-sv"
	}
	switch {
	case q.Method == http.MethodHead:
		args[1] = "-sI"
	case q.Method != http.MethodGet && q.Body == "":
		args = append(args, "-X", q.Method)
	}
	for _, name := range sortedKeys(q.Header) {
		if name == "Accept" && q.Body == "" {
			continue
		}
		args = append(args, "-H", name+": "+strings.Join(q.Header[name], ", "))
	}
	if q.Body != "" {
		args = append(args, "--data", q.Body)
	}
	args = append(args, q.URL)
	for i := range args {
		args[i] = shellQuote(args[i])
	}
	return strings.Join(args, " ")
}

// summaryOf returns the last line: the number of faults, their owners, and the
// first fault.
func summaryOf(report *doctor.Report, o doctorOptions) string {
	counts, owners := map[doctor.Status]int{}, []string{}
	for _, r := range report.Results {
		counts[r.Status]++
		if owner := ownerText(r.Owner); r.Status == doctor.Failed && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	text := "nothing wrong was found"
	if o.from != "" {
		text = "the recorded responses show nothing that is wrong"
	}
	switch failed, warnings := counts[doctor.Failed], counts[doctor.Warning]; {
	case failed > 0 && warnings > 0:
		text = fmt.Sprintf("%d failed (%s), %s", failed, strings.Join(owners, ", "), plural(warnings, "warning"))
	case failed > 0:
		text = fmt.Sprintf("%d failed (%s)", failed, strings.Join(owners, ", "))
	case warnings > 0:
		text = "nothing prevents a login or a call; " + plural(warnings, "warning")
	}
	if first := report.First(o.strict); first != nil && first.ID != "" {
		text += "; first: " + string(first.ID)
	}
	return text
}
