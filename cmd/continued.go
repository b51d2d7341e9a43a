package cmd

import (
	"strings"
	"unicode/utf8"
)

// maxColumns is the width of the report.
const maxColumns = 79

// leastIndent is how far a line with one long word begins from the left.
const leastIndent = 4

// continued wraps text whose first line begins after indent columns. A word that
// does not fit there, such as a URL to copy, has a line of its own that begins
// further to the left; only one that is wider than the screen is broken.
func continued(text string, indent int) string {
	var b strings.Builder
	column, width := indent, maxColumns-indent
	newLine := func(indent int) {
		b.WriteString("\n" + strings.Repeat(" ", indent))
		column = indent
	}
	isFirst, isFull := true, false
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case n > width:
			start := indent
			for isFirst = false; n > maxColumns-leastIndent; n = utf8.RuneCountInString(word) {
				runes := []rune(word)
				newLine(leastIndent)
				b.WriteString(string(runes[:maxColumns-leastIndent]))
				word, start = string(runes[maxColumns-leastIndent:]), leastIndent
			}
			newLine(min(maxColumns-n, start))
			b.WriteString(word)
			isFull = true
			continue
		case isFull, column+1+n > maxColumns && !isFirst:
			newLine(indent)
		case !isFirst:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
		isFirst, isFull = false, false
	}
	return b.String()
}
