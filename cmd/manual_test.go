package cmd

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestManual creates the manual pages, one for each command. Packages have them, the repository does not.
func TestManual(t *testing.T) {
	dir := *manual
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	day := releaseDay()
	pages := map[string]string{"oauthctl.1": rootManual(day)}
	everyCommand(testRoot(), func(cmd *cobra.Command) { pages[manualName(cmd.CommandPath())+".1"] = commandManual(cmd, day) })
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"} {
			if !strings.Contains(page, "\n.SH "+section+"\n") {
				t.Errorf("%s has no section %s", name, section)
			}
		}
		if strings.Contains(page, "[=") && strings.Contains(page, "=false") || strings.Contains(page, "stringArray") {
			t.Errorf("%s shows the types of Go", name)
		}
	}
	root := pages["oauthctl.1"]
	for _, v := range verbs() {
		if !strings.Contains(root, roff(v.name)) || !strings.Contains(root, roff(v.short)) {
			t.Errorf("oauthctl.1 does not list %s", v.name)
		}
	}
	for _, topic := range topics(&Env{}) {
		if !strings.Contains(root, roff(topic.short)) {
			t.Errorf("oauthctl.1 does not list the topic %s", topic.name)
		}
	}
	if !strings.Contains(pages["oauthctl-call.1"], "\n.TP\n\\fB\\-d\\fR, \\fB\\-\\-data\\fR \\fIDATA\\fR\n") {
		t.Error("oauthctl-call.1 does not show --data as it is typed")
	}
	if groff, err := exec.LookPath("groff"); err == nil {
		warnings, err := exec.Command(groff, "-ww", "-man", "-Tutf8", "-z", filepath.Join(dir, "oauthctl.1"), filepath.Join(dir, "oauthctl-login.1")).CombinedOutput()
		if err != nil || len(warnings) > 0 {
			t.Errorf("groff: %v\n%s", err, warnings)
		}
	}
}

// releaseDay returns the date of the pages: that of the release, in SOURCE_DATE_EPOCH, or that of the commit, so that
// the same commit creates the same pages.
func releaseDay() string {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		git := exec.Command("git", "log", "-1", "--format=%ct")
		git.Stderr = io.Discard
		out, _ := git.Output()
		seconds = strings.TrimSpace(string(out))
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "" // a source archive, outside a release
	}
	return time.Unix(n, 0).UTC().Format(time.DateOnly)
}

func TestReleaseDay(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if got := releaseDay(); got != "2023-11-14" {
		t.Errorf("SOURCE_DATE_EPOCH: %s", got)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if got := releaseDay(); got != "" && !regexp.MustCompile(`^20\d\d-\d\d-\d\d$`).MatchString(got) {
		t.Errorf("the commit's: %s", got)
	}
}

func manualName(path string) string { return strings.ReplaceAll(path, " ", "-") }

// roff escapes text for a manual page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// manualPage is a page under construction.
type manualPage struct{ strings.Builder }

func newManualPage(path, short, day string) *manualPage {
	p := &manualPage{}
	name := manualName(path)
	fmt.Fprintf(p, ".TH %s 1 \"%s\" \"oauthctl\" \"oauthctl manual\"\n.nh\n.ad l\n", strings.ToUpper(name), day)
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(short))
	return p
}

func (p *manualPage) section(title string) { fmt.Fprintf(p, ".SH %s\n", title) }

func (p *manualPage) paragraphs(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p.verbatim(paragraph)
			continue
		}
		p.WriteString(roff(strings.Join(strings.Fields(paragraph), " ")) + "\n")
	}
}

func (p *manualPage) verbatim(text string) { p.WriteString(".nf\n" + roff(text) + "\n.fi\n") }

func (p *manualPage) rows(rows []helpRow) {
	for _, r := range rows {
		fmt.Fprintf(p, ".TP\n\\fB%s\\fR\n%s\n", roff(r.name), roff(r.text))
	}
}

var flagParts = regexp.MustCompile(`--?[a-z0-9A-Z-]+`)

// flags lists flags, names in bold and values in italics.
func (p *manualPage) flags(groups []flagGroup) {
	for _, g := range groups {
		if g.title != ungrouped {
			fmt.Fprintf(p, ".SS %s\n", g.title)
		}
		for _, r := range g.rows {
			fmt.Fprintf(p, ".TP\n%s\n%s\n", manualFlag(r.name), roff(r.text))
		}
	}
}

// manualFlag writes "-d, --data DATA" with its fonts.
func manualFlag(name string) string {
	name = strings.TrimSpace(name)
	at := flagParts.FindAllStringIndex(name, 2)
	end := at[len(at)-1][1]
	if len(at) > 1 && !strings.HasPrefix(name[at[0][1]:], ", ") {
		end = at[0][1]
	}
	text := flagParts.ReplaceAllStringFunc(name[:end], func(flag string) string { return `\fB` + roff(flag) + `\fR` })
	switch value := name[end:]; {
	case strings.HasPrefix(value, "[="):
		text += `[=\fI` + roff(strings.TrimSuffix(value[2:], "]")) + `\fR]`
	case value != "":
		text += ` \fI` + roff(value[1:]) + `\fR`
	}
	return text
}

// ending adds the sections that every page has.
func (p *manualPage) ending(see ...string) {
	p.section("EXIT STATUS")
	var rows []helpRow
	for _, e := range exitCodes() {
		rows = append(rows, helpRow{strconv.Itoa(e.code), e.text()})
	}
	p.rows(rows)
	p.section("ENVIRONMENT")
	p.rows(append(environmentVariables(), settingVariables()...))
	p.section("FILES")
	p.rows(files())
	p.section("SEE ALSO")
	for i, name := range see {
		see[i] = `\fB` + roff(name) + `\fR(1)`
	}
	p.WriteString(strings.Join(see, ",\n") + "\n")
}

func rootManual(day string) string {
	root := testRoot()
	p := newManualPage("oauthctl", root.Short, day)
	p.section("SYNOPSIS")
	p.WriteString("\\fBoauthctl\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR...] [\\fIFLAGS\\fR]\n")
	p.section("DESCRIPTION")
	p.paragraphs(longRoot)
	p.section("COMMANDS")
	var see []string
	for _, group := range commandGroups() {
		fmt.Fprintf(p, ".SS %s\n", group.title)
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.id {
				p.rows(commandRows(cmd))
				see = append(see, manualName(cmd.CommandPath()))
			}
		}
	}
	p.section("OPTIONS")
	p.flags(flagGroups(root.PersistentFlags()))
	p.section("TOPICS")
	p.paragraphs("Shown by oauthctl help TOPIC:")
	for _, t := range topics(&Env{}) {
		p.rows([]helpRow{{t.name, t.short}})
	}
	p.ending(see...)
	return p.String()
}

func commandManual(cmd *cobra.Command, day string) string {
	page := pageOf(cmd)
	p := newManualPage(page.path, page.short, day)
	p.section("SYNOPSIS")
	for i, usage := range page.usage {
		if i > 0 {
			p.WriteString(".br\n")
		}
		p.WriteString(roff(usage) + "\n")
	}
	p.section("DESCRIPTION")
	p.paragraphs(page.long)
	see := []string{"oauthctl"}
	if len(page.commands) > 0 {
		p.section("COMMANDS")
		p.rows(page.commands)
		for _, row := range page.commands {
			see = append(see, manualName(page.path+" "+row.name))
		}
	}
	if len(page.groups) > 0 {
		p.section("OPTIONS")
		p.flags(page.groups)
		p.WriteString(".PP\nThe options of every command are in \\fBoauthctl\\fR(1).\n")
	}
	p.section("EXAMPLES")
	p.verbatim(outdented(page.examples))
	p.ending(see...)
	return p.String()
}
