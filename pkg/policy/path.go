package policy

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// CheckPath returns an error for a path that some servers read as a different path.
// It refuses dot segments, doubled slashes, encoded slashes and dots, backslashes,
// control characters, segments that end in a dot or a space, dot segments with a
// parameter, characters that Unicode normalization turns into a dot or a slash,
// and bytes that are not UTF-8.
func CheckPath(u *url.URL) error {
	if err := checkShape(u.Path); err != nil {
		return err
	}
	if hidesSlash(u.Path) || u.RawPath != "" && hidesSlash(u.RawPath) {
		return errors.New("the path has an encoded slash, backslash, dot or control character")
	}
	return nil
}

// checkShape runs the checks that need only the decoded path.
func checkShape(decoded string) error {
	cleaned := path.Clean(decoded)
	if strings.HasSuffix(decoded, "/") && cleaned != "/" {
		cleaned += "/"
	}
	switch {
	case !strings.HasPrefix(decoded, "/"):
		return errors.New("the path does not begin with a slash")
	case cleaned != decoded:
		return errors.New("the path has dot segments or doubled slashes")
	case strings.ContainsFunc(decoded, func(c rune) bool { return c < ' ' || c == '\x7f' || c == '\\' }):
		return errors.New("the path has a backslash or a control character")
	case !utf8.ValidString(decoded):
		return errors.New("the path is not UTF-8")
	case endsInDot(decoded):
		return errors.New("the path has a segment that ends in a dot or a space")
	case strings.ContainsFunc(decoded, foldsToSeparator):
		return errors.New("the path has a character that Unicode normalization turns into a dot or a slash")
	case hidesDots(decoded):
		return errors.New("the path has a dot segment with a parameter")
	}
	return nil
}

// onlyEncodedSlash reports whether [CheckPath] refuses a path only because of
// slashes that are encoded once. The parts between these slashes must not be dot
// segments.
func onlyEncodedSlash(u *url.URL) bool {
	if u.RawPath == "" || checkShape(u.Path) != nil || hidesSlash(u.Path) {
		return false
	}
	raw := strings.ReplaceAll(strings.ReplaceAll(u.RawPath, "%2f", "/"), "%2F", "/")
	return checkShape(raw) == nil && !hidesSlash(raw) && strings.HasSuffix(raw, "/") == strings.HasSuffix(u.RawPath, "/")
}

// endsInDot reports whether a segment ends in a dot or a space, which Windows file
// systems ignore.
func endsInDot(decoded string) bool {
	for i := 1; i <= len(decoded); i++ {
		if (i == len(decoded) || decoded[i] == '/') && (decoded[i-1] == '.' || decoded[i-1] == ' ') {
			return true
		}
	}
	return false
}

// foldsToSeparator reports whether the compatibility form (NFKC) of a character
// has a dot, a slash or a backslash.
func foldsToSeparator(c rune) bool {
	switch {
	case c < 0x2024:
		return false
	case c <= 0x2026, 0x2100 <= c && c <= 0x2101, 0x2105 <= c && c <= 0x2106, 0x2488 <= c && c <= 0x249b,
		c == 0x33c2, c == 0x33c7, c == 0x33d8, c == 0xfe19, c == 0xfe30, c == 0xfe52, c == 0xfe68,
		c == 0xff0e, c == 0xff0f, c == 0xff3c, c == 0x1f100:
		return true
	}
	return false
}

// hidesSlash reports whether decoding text would produce a slash, a backslash, a
// dot or a control character.
func hidesSlash(text string) bool {
	for i := range len(text) {
		if text[i] != '%' || len(text)-i < 3 {
			continue
		}
		hidden, err := url.PathUnescape(text[i : i+3])
		if err != nil {
			continue
		}
		if c := hidden[0]; c < ' ' || c == '\x7f' || c == '/' || c == '\\' || c == '.' {
			return true
		}
	}
	return false
}

// hidesDots reports whether a segment is like "..;x", which some servers cut at the
// semicolon.
func hidesDots(text string) bool {
	if !strings.Contains(text, ";") {
		return false
	}
	for segment := range strings.SplitSeq(text, "/") {
		switch name, _, found := strings.Cut(segment, ";"); {
		case found && (name == "" || endsInDot(name)):
			return true
		}
	}
	return false
}
