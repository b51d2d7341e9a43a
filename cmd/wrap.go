package cmd

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxColumns is the width of a report.
const maxColumns = 79

// leastIndent is how far a line with one long word begins from the left.
const leastIndent = 4

// layout says how text is set in lines.
type layout struct {
	width  int // the most columns of a line
	first  int // the columns in front of the first line
	indent int // the columns in front of the others
	// whole are parts that stay on one line where they occur, such as a command to
	// copy. Text in back quotes stays on one line too.
	whole []string
	// cut is for text from outside. What is too long for its place begins further to
	// the left, and what is longer than a line is cut. Without cut it stays as it is.
	cut bool
}

// set breaks text at spaces into lines.
func (l layout) set(text string) string {
	var b strings.Builder
	column, isEmpty := l.first, true
	newLine := func(indent int) {
		b.WriteString("\n" + strings.Repeat(" ", indent))
		column, isEmpty = indent, true
	}
	put := func(word string) {
		if !isEmpty {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += utf8.RuneCountInString(word)
		isEmpty = false
	}
	isFull := false
	for _, word := range l.units(text) {
		n := utf8.RuneCountInString(word)
		if l.cut && n > l.width-l.indent {
			start := l.indent
			for most := l.width - leastIndent; n > most; n = utf8.RuneCountInString(word) {
				runes := []rune(word)
				newLine(leastIndent)
				put(string(runes[:most]))
				word, start = string(runes[most:]), leastIndent
			}
			newLine(min(l.width-n, start))
			put(word)
			isFull = true
			continue
		}
		if isFull || !isEmpty && column+1+n > l.width {
			newLine(l.indent)
		}
		put(word)
		isFull = false
	}
	return b.String()
}

// units are the parts of text between which a line may end.
func (l layout) units(text string) []string {
	var units []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " \t\n\r") {
		n := wordEnd(text, 0)
		if end := l.wholeEnd(text, n); !l.cut || utf8.RuneCountInString(text[:end]) <= l.width-l.indent {
			n = end
		}
		unit := text[:n]
		if !slices.ContainsFunc(l.whole, func(part string) bool { return part != "" && strings.HasPrefix(unit, part) }) {
			unit = strings.Join(strings.Fields(unit), " ") // spaces inside a command may be part of an argument
		}
		units = append(units, unit)
		text = text[n:]
	}
	return units
}

// wholeEnd returns where the unit ends that begins with the word text[:n].
func (l layout) wholeEnd(text string, n int) int {
	for _, part := range l.whole {
		if part != "" && strings.HasPrefix(text, part) {
			n = max(n, wordEnd(text, len(part)))
		}
	}
	word := text[:n]
	switch {
	case strings.Count(word, "`")%2 == 1:
		if end := strings.IndexByte(text[n:], '`'); end >= 0 {
			return wordEnd(text, n+end)
		}
	case strings.HasSuffix(word, "RFC") && n < len(text):
		return wordEnd(text, n+1) // a number on the next line is hard to read
	}
	return n
}

// wordEnd returns where the word ends that text[from] is in.
func wordEnd(text string, from int) int {
	if end := strings.IndexAny(text[from:], " \t\n\r"); end >= 0 {
		return from + end
	}
	return len(text)
}

// continued sets a report's text, whose first line begins after indent columns, and
// keeps commands on one line if they fit.
func continued(text string, indent int, commands ...string) string {
	return layout{width: maxColumns, first: indent, indent: indent, whole: commands, cut: true}.set(text)
}

// wrap sets text in lines of at most maxColumns, indented by indent. Commands stay
// on one line each.
func wrap(text, indent string, commands ...string) string {
	return indent + layout{width: maxColumns, first: len(indent), indent: len(indent), whole: commands}.set(text)
}
