package cmd

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// helpWidth is the most columns that a line of help has. A narrower terminal
// gets shorter lines.
const helpWidth = 80

// helpPage is the help of a command as data. The screen, the reference pages and
// the manual pages are made of it.
type helpPage struct {
	path     string // oauthctl jwks show
	short    string
	long     string // paragraphs, without line breaks of their own
	usage    []string
	examples string
	commands []helpRow
	groups   []flagGroup
}

// helpRow is a name and what it means.
type helpRow struct{ name, text string }

// flagGroup is some of a command's flags under a heading.
type flagGroup struct {
	title string
	rows  []helpRow
}

// groupOf is the annotation of a flag that holds the heading it is under.
const groupOf = "group"

// ungrouped is the heading of the flags of a command that has no groups.
const ungrouped = "Flags"

// addGroup adds flags to a command and shows them under a heading, in the order
// in which add defines them. A command with more than twelve flags has groups.
func addGroup(f *pflag.FlagSet, title string, add ...func(*pflag.FlagSet)) {
	group := pflag.NewFlagSet(title, pflag.ContinueOnError)
	group.SortFlags = false
	for _, a := range add {
		a(group)
	}
	group.VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations == nil {
			flag.Annotations = map[string][]string{}
		}
		flag.Annotations[groupOf] = []string{title}
	})
	f.AddFlagSet(group)
}

// keepOrder has cobra keep commands in the order in which they are added. It is
// a setting of the whole process.
var keepOrder = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

// keepFlagOrder has the flags of a command and those below it stay in the order
// in which they are defined, the most common first.
func keepFlagOrder(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.PersistentFlags().SortFlags = false
	for _, below := range cmd.Commands() {
		keepFlagOrder(below)
	}
}

// pageOf returns the help of a command.
func pageOf(cmd *cobra.Command) helpPage {
	page := helpPage{path: cmd.CommandPath(), short: cmd.Short, long: cmd.Long, examples: strings.Trim(cmd.Example, "\n")}
	if page.long == "" {
		page.long = cmd.Short + "."
	}
	if cmd.Runnable() && !isParent(cmd) {
		page.usage = append(page.usage, cmd.UseLine())
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			page.commands = append(page.commands, helpRow{below.Name(), below.Short})
		}
	}
	if len(page.commands) > 0 {
		page.usage = append(page.usage, cmd.CommandPath()+" COMMAND")
	}
	page.groups = flagGroups(cmd.LocalFlags())
	return page
}

// flagGroups sorts flags under their headings. The flag for help is left out: it
// is one of every command.
func flagGroups(set *pflag.FlagSet) []flagGroup {
	var groups []flagGroup
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		title := ungrouped
		if named := f.Annotations[groupOf]; len(named) > 0 {
			title = named[0]
		}
		i := slices.IndexFunc(groups, func(g flagGroup) bool { return g.title == title })
		if i < 0 {
			i = len(groups)
			groups = append(groups, flagGroup{title: title})
		}
		groups[i].rows = append(groups[i].rows, helpRow{flagName(f), flagText(f)})
	})
	return groups
}

// flagName is a flag as a user writes it: -d, --data DATA.
func flagName(f *pflag.Flag) string {
	name := "    --" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", --" + f.Name
	}
	value := valueName(f)
	switch {
	case value == "":
	case f.NoOptDefVal != "":
		name += "[=" + value + "]"
	default:
		name += " " + value
	}
	return name
}

// valueName is what help calls the value of a flag, "" for a switch. A flag's text
// names it in back quotes; durations and numbers need no name.
func valueName(f *pflag.Flag) string {
	if _, rest, ok := strings.Cut(f.Usage, "`"); ok {
		name, _, _ := strings.Cut(rest, "`")
		return name
	}
	switch f.Value.Type() {
	case "bool":
		return ""
	case "duration":
		return "DURATION"
	case "int", "int64", "float64", "count":
		return "N"
	}
	return f.Value.Type()
}

// flagText is the text of a flag without back quotes, with its default. A name
// of the value that begins the text and is followed by a colon is only a name:
//
//	"`SCOPE`: request this scope"
func flagText(f *pflag.Flag) string {
	text := strings.Join(strings.Fields(f.Usage), " ")
	if quoted, rest, ok := strings.Cut(text, "`: "); ok && strings.LastIndexByte(quoted, '`') == 0 {
		text = rest
	}
	text = strings.ReplaceAll(text, "`", "")
	if value := defaultText(f); value != "" {
		text += " (default " + value + ")"
	}
	return text
}

// defaultText is the value of a flag that is not given, "" where that is none.
func defaultText(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return ""
	}
	if f.Value.Type() != "duration" {
		return f.DefValue
	}
	d, err := time.ParseDuration(f.DefValue)
	if err != nil {
		return f.DefValue
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// helpColumns is the width of a help page here.
func (env *Env) helpColumns() int {
	if width := env.columns(env.Stdout); width > 20 {
		return min(width, helpWidth)
	}
	return helpWidth
}

// columns is the width of the terminal that a stream is, 0 for other streams.
func (env *Env) columns(stream any) int {
	type file interface{ Fd() uintptr }
	if f, ok := unwrapped(stream).(file); ok && env.IsTerminal != nil && env.IsTerminal(stream) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// showHelp prints the help of a command.
func (env *Env) showHelp(cmd *cobra.Command) {
	if !cmd.HasParent() {
		env.showRootHelp()
		return
	}
	s, width, page := env.stdout(), env.helpColumns(), pageOf(cmd)
	s.line("%s", reflow(page.long, width))
	s.line("\n%s", s.strong("Usage:"))
	for _, usage := range page.usage {
		s.line("%s", hang("  "+usage, 4, width))
	}
	if page.examples != "" {
		s.line("\n%s\n%s", s.strong("Examples:"), page.examples)
	}
	if len(page.commands) > 0 {
		s.line("\n%s\n%s", s.strong("Commands:"), rowsText(page.commands, width))
	}
	left := 0
	for _, group := range page.groups {
		left = max(left, leftColumn(group.rows))
	}
	for _, group := range page.groups {
		s.line("\n%s\n%s", s.strong(group.title+":"), setRows(group.rows, left, width))
	}
	s.line("\n%s", reflow("Every command also accepts the flags that `oauthctl help flags` lists.", width))
}

// showRootHelp prints the commands that are used most, and the names of the
// others, on one screen.
func (env *Env) showRootHelp() {
	s, width := env.stdout(), env.helpColumns()
	s.line("%s\n", reflow(longRoot, width))
	table := verbs()
	for _, group := range commandGroups() {
		head := group.title
		var others []string
		for _, v := range table {
			if v.group != group.id {
				continue
			}
			if !v.common {
				others = append(others, v.name)
				continue
			}
			s.line("%s", rootRow(s, head, v.name, v.short, width))
			head = ""
		}
		if len(others) > 0 {
			s.line("%s", rootRow(s, head, "", strings.Join(others, ", "), width))
		}
	}
	s.line("\n%s", rowsText([]helpRow{
		{"oauthctl help COMMAND", "how to use a command, with examples"},
		{"oauthctl help TOPIC", "about " + choices(topicNames(env))},
	}, width))
}

// rootRow is a line of the root help: the heading of a group in the margin, a
// command, what it does.
func rootRow(s *screen, head, name, text string, width int) string {
	const margin, names = 16, 9
	indent := margin
	if name != "" {
		indent += names
	}
	left := s.strong(head) + strings.Repeat(" ", max(0, margin-utf8.RuneCountInString(head)))
	if name != "" {
		left += s.name(name) + strings.Repeat(" ", max(1, names-len(name)))
	}
	return left + inColumn(width, indent).set(text)
}

// inColumn is the layout of help that begins after indent columns.
func inColumn(width, indent int) layout {
	return layout{width: width - 1, first: indent, indent: indent}
}

// rowsText sets rows in two columns.
func rowsText(rows []helpRow, width int) string { return setRows(rows, leftColumn(rows), width) }

// leftColumn is the width of the column of names. Longer names than are usual
// are on lines of their own.
func leftColumn(rows []helpRow) int {
	const widest = 24
	left := 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r.name); n <= widest {
			left = max(left, n)
		}
	}
	if left == 0 {
		return widest
	}
	return left
}

func setRows(rows []helpRow, left, width int) string {
	var lines []string
	for _, r := range rows {
		name := fmt.Sprintf("  %-*s  ", left, r.name)
		if utf8.RuneCountInString(r.name) > left {
			name = "  " + r.name + "\n" + strings.Repeat(" ", left+4)
		}
		lines = append(lines, strings.TrimRight(name+inColumn(width, left+4).set(r.text), " \n"))
	}
	return strings.Join(lines, "\n")
}

// reflow sets paragraphs in lines of at most width columns. A paragraph that is
// indented is a list, of which each line is kept, with the second of its columns
// aligned.
func reflow(text string, width int) string {
	paragraphs := strings.Split(strings.Trim(text, "\n"), "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") {
			paragraphs[i] = inColumn(width, 0).set(p)
			continue
		}
		items := strings.Split(p, "\n")
		for j, item := range items {
			items[j] = hang(item, itemIndent(item), width)
		}
		paragraphs[i] = strings.Join(items, "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}

// itemIndent is the column at which the text of a list's item begins.
func itemIndent(item string) int {
	start := len(item) - len(strings.TrimLeft(item, " "))
	if gap := strings.Index(item[start:], "  "); gap >= 0 {
		rest := item[start+gap:]
		return start + gap + len(rest) - len(strings.TrimLeft(rest, " "))
	}
	return start
}

// hang breaks a line that is too long, and indents the lines after the first.
func hang(line string, indent, width int) string {
	if utf8.RuneCountInString(line) < width {
		return line
	}
	indent = min(indent, width/2)
	start := len(line) - len(strings.TrimLeft(line, " "))
	if head := strings.TrimRight(line[:indent], " "); indent > start && line[indent-1] == ' ' && len(head) > start {
		return head + strings.Repeat(" ", max(1, indent-len(head))) + inColumn(width, indent).set(line[indent:])
	}
	return line[:start] + layout{width: width - 1, first: start, indent: indent}.set(line[start:])
}
