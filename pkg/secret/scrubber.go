package secret

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxScrubbed limits the number of secrets in a Scrubber, because a
	// long-running program adds a DPoP proof for each request.
	maxScrubbed = 128
	// shortSecret is the length below which a secret is replaced only as a whole
	// word, because it could also be a part of ordinary words.
	shortSecret = 6
)

// Scrubber replaces secrets in text for display, in each form in which a request
// may contain them: unchanged, URL-encoded, in base64 alone or as part of a
// longer text, quoted, and in lower case as in a host name. The zero value has no
// secrets. A Scrubber is safe for concurrent use. A nil Scrubber ignores added
// secrets and returns text unchanged.
type Scrubber struct {
	mu      sync.Mutex
	secrets []string // most recently used last
	long    *strings.Replacer
	words   []string // forms shorter than shortSecret
}

// Add adds secrets to replace. A Scrubber keeps the 128 values that were added
// most recently; adding a value again counts.
func (s *Scrubber) Add(values ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, value := range values {
		if value == "" {
			continue
		}
		if n := len(s.secrets); n > 0 && s.secrets[n-1] == value {
			continue
		}
		if i := slices.Index(s.secrets, value); i >= 0 {
			s.secrets = append(slices.Delete(s.secrets, i, i+1), value)
			continue
		}
		if len(s.secrets) == maxScrubbed {
			s.secrets = slices.Delete(s.secrets, 0, 1)
		}
		s.secrets = append(s.secrets, value)
		s.long, s.words = nil, nil
	}
}

// Scrub returns text with every secret replaced with [redacted].
func (s *Scrubber) Scrub(text string) string {
	if s == nil || text == "" {
		return text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secrets) == 0 {
		return text
	}
	if s.long == nil {
		s.prepare()
	}
	text = s.long.Replace(text)
	for _, word := range s.words {
		text = replaceWord(text, word)
	}
	return text
}

func (s *Scrubber) prepare() {
	var all []string
	s.words = nil
	for _, value := range s.secrets {
		for _, form := range forms(value) {
			if len(form) >= shortSecret {
				all = append(all, form)
				continue
			}
			s.words = append(s.words, form)
		}
	}
	// A Replacer uses the first pair that matches. The longest form comes first,
	// so that no part of it remains.
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(all))
	for _, form := range slices.Compact(all) {
		pairs = append(pairs, form, redacted)
	}
	s.long = strings.NewReplacer(pairs...)
}

// replaceWord replaces word where no letter or digit is next to it. Neither text
// nor word needs to be UTF-8.
func replaceWord(text, word string) string {
	var out strings.Builder
	done := 0
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return out.String() + text[done:]
		}
		at += from
		end := at + len(word)
		if at > 0 && isAlphanumeric(text[at-1]) || end < len(text) && isAlphanumeric(text[end]) {
			from = at + 1
			continue
		}
		out.WriteString(text[done:at] + redacted)
		done, from = end, end
	}
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// forms returns the ways in which a secret may be encoded, without duplicates.
func forms(value string) []string {
	quoted := strconv.Quote(value)
	ascii := strconv.QuoteToASCII(value)
	query, path := url.QueryEscape(value), url.PathEscape(value)
	all := []string{
		value, strings.ToLower(value), query, path, lowerEscapes(query), lowerEscapes(path),
		strings.ReplaceAll(query, "+", "%20"), url.QueryEscape(query), url.PathEscape(path), url.PathEscape(query),
		quoted[1 : len(quoted)-1], ascii[1 : len(ascii)-1], strings.ReplaceAll(value, "/", `\/`), html.EscapeString(value),
	}
	if len(value) >= shortSecret {
		all = append(all, hex.EncodeToString([]byte(value)))
		all = append(all, inBase64(value)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lowerEscapes changes the digits of percent-encoded bytes to lower case.
func lowerEscapes(escaped string) string {
	text := []byte(escaped)
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '%' {
			copy(text[i+1:], strings.ToLower(escaped[i+1:i+3]))
			i += 2
		}
	}
	return string(text)
}

// inBase64 returns the characters that value always has in base64 as part of a
// longer text. There are three variants, depending on the length of the text
// before it.
func inBase64(value string) []string {
	var all []string
	for before := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
			from, to := (before*8+5)/6, (before+len(value))*8/6
			all = append(all, encoded[from:to])
			if before == 0 {
				all = append(all, encoded)
			}
		}
	}
	return all
}
