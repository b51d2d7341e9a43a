package oauth

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// Scrub returns text without the secrets of the request. Use it for text from a
// server, which may repeat them.
func (r *AuthorizationRequest) Scrub(text string) string { return scrub(text, r.params) }

// scrub replaces every secret that was sent, in all its forms: unencoded, form-
// and percent-encoded, and in an Authorization header with and without the scheme
// and the base64 encoding.
func scrub(text string, sent []param) string {
	var all []string
	for _, p := range sent {
		if value := p.value.Reveal(); value != "" && isSecretParam(p.name) {
			all = append(all, value, url.QueryEscape(value), url.PathEscape(value))
			all = append(all, basicParts(value)...)
		}
	}
	// The longest first: if a value is a part of another one, replacing it first would
	// leave the rest of the longer value in the text.
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range slices.Compact(all) {
		text = redact(text, value)
	}
	return text
}

// redact replaces all occurrences of a value. A value of less than four bytes can
// be part of any text by chance, so it is replaced only if it is a separate word.
func redact(text, value string) string {
	switch {
	case value == "":
		return text
	case len(value) >= 4:
		return strings.ReplaceAll(text, value, "[redacted]")
	}
	isWord := func(b byte) bool { return b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' }
	var out strings.Builder
	for at := 0; at < len(text); {
		i := strings.Index(text[at:], value)
		if i < 0 {
			out.WriteString(text[at:])
			break
		}
		start, end := at+i, at+i+len(value)
		out.WriteString(text[at:start])
		if (start == 0 || !isWord(text[start-1])) && (end == len(text) || !isWord(text[end])) {
			out.WriteString("[redacted]")
		} else {
			out.WriteString(value)
		}
		at = end
	}
	return out.String()
}

// basicParts returns the forms in which a server may repeat the content of a Basic
// Authorization header (RFC 7617).
func basicParts(field string) []string {
	encoded, ok := strings.CutPrefix(field, "Basic ")
	if !ok {
		return nil
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return []string{encoded}
	}
	parts := []string{encoded, strings.TrimRight(encoded, "="), string(pair)}
	if _, password, ok := strings.Cut(string(pair), ":"); ok {
		plain, err := url.QueryUnescape(password)
		if err == nil {
			parts = append(parts, plain)
		}
		parts = append(parts, password)
	}
	return parts
}

func isSecretParam(name string) bool {
	switch name {
	case "grant_type", "scope", "resource", "audience", "redirect_uri", "client_id", "response_type",
		"code_challenge_method", "subject_token_type", "actor_token_type", "requested_token_type",
		"token_type_hint", "client_assertion_type", "prompt", "acr_values", "login_hint", "max_age":
		return false
	}
	return true
}
