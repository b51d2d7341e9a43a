package token

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// maxScanned is the number of names in one object that scanObject accepts.
const maxScanned = 32

// scanObject is a fast parser for the JSON objects of most tokens. It appends the
// members of text, which is data as a string, to list. It returns false for an
// object that it does not support: one with an escape, a control character, more
// than maxScanned names in an object, a duplicate name, or a syntax error. Use the
// strict parser for these. That parser accepts everything that this function
// accepts, with the same members (FuzzScanObject).
func scanObject(data []byte, text string, list []member) ([]member, bool) {
	i := spaceEnd(text, 0)
	if !isPlain(data) || i == len(text) || text[i] != '{' {
		return list, false
	}
	first := len(list)
	for i = spaceEnd(text, i+1); i < len(text) && text[i] != '}'; i = spaceEnd(text, i) {
		if len(list) > first {
			if text[i] != ',' {
				return list, false
			}
			i = spaceEnd(text, i+1)
		}
		end, start := scanName(text, i)
		if start < 0 || len(list)-first == maxScanned {
			return list, false
		}
		name := text[i+1 : end-1]
		for j := first; j < len(list); j++ {
			if list[j].name == name {
				return list, false
			}
		}
		if i = scanValue(text, start, 2); i < 0 {
			return list, false
		}
		list = append(list, member{name, text[start:i]})
	}
	return list, i < len(text) && spaceEnd(text, i+1) == len(text)
}

// isPlain reports whether data is UTF-8 without control characters and
// backslashes, so that each string ends at the next quote.
func isPlain(data []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	var seen uint64
	i := 0
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:])
		seen |= x
		// The high bit of a byte is set if the byte is less than a space, or a backslash.
		// A borrow from the previous byte can also set it, so each match is checked.
		below, backslash := x-' '*ones, (x^'\\'*ones)-ones
		if (below|backslash)&^x&highs != 0 && !isPlainText(data[i:i+8]) {
			return false
		}
	}
	for _, c := range data[i:] {
		seen |= uint64(c)
	}
	return isPlainText(data[i:]) && (seen&highs == 0 || utf8.Valid(data))
}

func isPlainText(data []byte) bool {
	for _, c := range data {
		if c < ' ' || c == '\\' {
			return false
		}
	}
	return true
}

// spaceEnd returns the index after the spaces that begin at i.
func spaceEnd(text string, i int) int {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	return i
}

// scanString returns the index after the string that begins at i, or -1 if there is
// none.
func scanString(text string, i int) int {
	if i >= len(text) || text[i] != '"' {
		return -1
	}
	n := strings.IndexByte(text[i+1:], '"')
	if n < 0 {
		return -1
	}
	return i + n + 2
}

// scanName returns the index after the name that begins at i, and the index of its
// value, or -1 if there is none.
func scanName(text string, i int) (end, value int) {
	if end = scanString(text, i); end < 0 {
		return end, -1
	}
	if i = spaceEnd(text, end); i >= len(text) || text[i] != ':' {
		return end, -1
	}
	return end, spaceEnd(text, i+1)
}

// scanValue returns the index after the value that begins at i, or -1 if there is
// none. Level is the depth of an object or a list at i.
func scanValue(text string, i, level int) int {
	if i >= len(text) {
		return -1
	}
	switch c := text[i]; {
	case c == '"':
		return scanString(text, i)
	case c == '{' && level <= maxDepth:
		return scanNested(text, i, level)
	case c == '[' && level <= maxDepth:
		return scanList(text, i, level)
	case c == '-' || '0' <= c && c <= '9':
		return scanNumber(text, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(text[i:], word) {
			return i + len(word)
		}
	}
	return -1
}

func scanList(text string, i, level int) int {
	if i = spaceEnd(text, i+1); i < len(text) && text[i] == ']' {
		return i + 1
	}
	for {
		if i = scanValue(text, i, level+1); i < 0 {
			return -1
		}
		if i = spaceEnd(text, i); i >= len(text) || text[i] != ',' && text[i] != ']' {
			return -1
		}
		if text[i] == ']' {
			return i + 1
		}
		i = spaceEnd(text, i+1)
	}
}

func scanNested(text string, i, level int) int {
	if i = spaceEnd(text, i+1); i < len(text) && text[i] == '}' {
		return i + 1
	}
	var names [maxScanned]string
	for n := 0; n < maxScanned; n++ {
		end, value := scanName(text, i)
		if value < 0 {
			return -1
		}
		names[n] = text[i+1 : end-1]
		for _, before := range names[:n] {
			if before == names[n] {
				return -1
			}
		}
		if i = scanValue(text, value, level+1); i < 0 {
			return -1
		}
		if i = spaceEnd(text, i); i >= len(text) || text[i] != ',' && text[i] != '}' {
			return -1
		}
		if text[i] == '}' {
			return i + 1
		}
		i = spaceEnd(text, i+1)
	}
	return -1
}

// scanNumber returns the index after the number that begins at i (RFC 8259, section
// 6), or -1 if there is none.
func scanNumber(text string, i int) int {
	if text[i] == '-' {
		i++
	}
	start := i
	i = digitsEnd(text, i)
	if i == start || text[start] == '0' && i > start+1 {
		return -1
	}
	if i < len(text) && text[i] == '.' {
		if start, i = i+1, digitsEnd(text, i+1); i == start {
			return -1
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if start, i = i, digitsEnd(text, i); i == start {
			return -1
		}
	}
	return i
}

func digitsEnd(text string, i int) int {
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}
