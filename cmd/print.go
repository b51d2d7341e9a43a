package cmd

// The rules of the screen.
//
//   - Only data goes to stdout. Messages, prompts, progress, warnings and errors
//     go to stderr; with --quiet, only errors.
//   - A failure is one line that begins with "oauthctl:", then at most one hint
//     and one "see:". Sentences in messages have no final stop.
//   - Text from outside (claims, server texts, headers) is passed through clean
//     before it is written, to a terminal or not.
//   - Colour says nothing that the words do not say. It is decided once per
//     stream: only on a terminal, without NO_COLOR, TERM=dumb or --no-color. The
//     terminal is never asked anything, since one that does not answer would
//     stall every command.
//   - Lines are made for 80 columns; nothing is cut that a script could need.

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// screen is one stream and how it shows emphasis.
type screen struct {
	w      io.Writer
	colour bool
	marks  signs
	styles *lipgloss.Renderer
}

func (env *Env) stdout() *screen { return env.screen(env.Stdout) }
func (env *Env) stderr() *screen { return env.screen(env.Stderr) }

func (env *Env) screen(w io.Writer) *screen {
	colour := !env.global.noColor && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb" && env.IsTerminal(w)
	s := &screen{w: w, colour: colour, marks: env.signs()}
	if colour {
		s.styles = lipgloss.NewRenderer(w)
		s.styles.SetColorProfile(termenv.ANSI)
		s.styles.SetHasDarkBackground(true) // so that it is never asked
	}
	return s
}

func (s *screen) paint(text, colour string, bold bool) string {
	if !s.colour || text == "" {
		return text
	}
	style := s.styles.NewStyle().Bold(bold)
	if colour != "" {
		style = style.Foreground(lipgloss.Color(colour))
	}
	return style.Render(text)
}

func (s *screen) strong(text string) string { return s.paint(text, "", true) }
func (s *screen) good(text string) string   { return s.paint(text, "2", true) }
func (s *screen) bad(text string) string    { return s.paint(text, "1", true) }
func (s *screen) warn(text string) string   { return s.paint(text, "3", true) }
func (s *screen) name(text string) string   { return s.paint(text, "6", false) }

// faint marks text that a reader may skip. Bright black is readable on both
// light and dark backgrounds, unlike the faint attribute.
func (s *screen) faint(text string) string { return s.paint(text, "8", false) }

func (s *screen) line(format string, args ...any) {
	fmt.Fprintf(s.w, format+"\n", args...)
}

// say prints a message to stderr, unless --quiet. Arguments that came
// from outside have been through clean.
func (env *Env) say(format string, args ...any) {
	if !env.global.quiet {
		env.stderr().line("%s", env.secrets.Scrub(fmt.Sprintf(format, args...)))
	}
}

func (env *Env) warn(format string, args ...any) {
	if !env.global.quiet {
		s := env.stderr()
		s.line("%s %s", s.warn("oauthctl: warning:"), maskTokens(env.secrets.Scrub(plainMessage(fmt.Sprintf(format, args...)))))
	}
}

// table prints rows of a name and a value, the values aligned.
func (s *screen) table(rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[0]))
	}
	for _, r := range rows {
		if r[1] != "" {
			s.line("%s  %s", s.faint(r[0]+strings.Repeat(" ", width-utf8.RuneCountInString(r[0]))), r[1])
		}
	}
}

// clean makes text from outside safe for a terminal: characters that could move
// the cursor, change its state or reverse the direction of text are escaped;
// other text is unchanged.
func clean(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		i += n
	}
	return b.String()
}

func isClean(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// cleanLines is clean for text that may have several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(clean(strings.TrimSuffix(strings.ReplaceAll(line, "\t", "    "), "\r")), "\t", "    ")
	}
	return strings.Join(lines, "\n")
}

// choices formats the possible values of something: a, b or c.
func choices(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// showExchange prints one HTTP exchange for --verbose, as curl -v does.
func (env *Env) showExchange(e safehttp.Exchange) {
	s := env.stderr()
	s.line("%s %s %s", s.name(">"), e.Method, clean(e.URL))
	showHeader(s, ">", e.RequestHeader)
	if e.RequestBody != "" {
		s.line("%s %s", s.name(">"), clean(e.RequestBody))
	}
	took := e.Took.Round(100_000).String()
	if e.Err != nil {
		s.line("%s %s %s", s.name("<"), clean(e.Err.Error()), s.faint("("+took+")"))
		return
	}
	s.line("%s %d %s", s.name("<"), e.Status, s.faint("("+took+")"))
	showHeader(s, "<", e.ResponseHeader)
	if e.ResponseBody != "" {
		s.line("%s %s", s.name("<"), clean(e.ResponseBody))
	}
}

func showHeader(s *screen, mark string, header map[string][]string) {
	for _, name := range sortedKeys(header) {
		for _, value := range header[name] {
			s.line("%s %s: %s", s.name(mark), clean(name), clean(value))
		}
	}
}
