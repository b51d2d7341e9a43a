package safehttp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Credentials returns the values in a request's header and URL that are secret
// by their names: tokens, keys, passwords, signatures and cookies. It does not
// read bodies.
func Credentials(req *http.Request) []string {
	var all []string
	for name, values := range req.Header {
		if !IsSecret(name) {
			continue
		}
		for _, value := range values {
			all = append(all, fromField(name, value)...)
		}
	}
	if req.URL.RawQuery != "" {
		all = append(all, secretsOf(req.URL.Query())...)
	}
	if password, ok := req.URL.User.Password(); ok {
		all = append(all, password)
	}
	return all
}

// fromField returns the secrets of one header: for Authorization, the value
// after the scheme and the password of Basic (RFC 7617); for Cookie, each
// cookie.
func fromField(name, value string) []string {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization":
		_, credentials, found := strings.Cut(value, " ")
		if !found {
			return []string{value}
		}
		all := []string{strings.TrimSpace(credentials)}
		if len(value) < 6 || !strings.EqualFold(value[:6], "basic ") {
			return all
		}
		r := http.Request{Header: http.Header{"Authorization": {value}}}
		if _, password, ok := r.BasicAuth(); ok {
			all = append(all, password)
			if decoded, err := url.QueryUnescape(password); err == nil && decoded != password {
				all = append(all, decoded)
			}
		}
		return all
	case "Cookie":
		all := []string{value}
		for pair := range strings.SplitSeq(value, ";") {
			if _, cookie, found := strings.Cut(pair, "="); found {
				all = append(all, strings.TrimSpace(cookie))
			}
		}
		return all
	}
	return []string{value}
}

func secretsOf(form url.Values) []string {
	var all []string
	for name, values := range form {
		if IsSecret(name) {
			all = append(all, values...)
		}
	}
	return all
}

// IsSecret reports whether a header, a parameter or a JSON member with this name
// contains a secret: the secret parameters of OAuth, and every name with a word
// such as key, token, secret, signature, password, credential or session, in any
// spelling (apiKey, X-Api-Key, API_KEY). Names that only describe a secret, such
// as token_type and token_endpoint, are not secret.
func IsSecret(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Content-Length", "Content-Type", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return false // common headers in their usual spelling
	case "Authorization":
		return true
	}
	if !mayBeSecret(name) {
		return false
	}
	name = strings.TrimSpace(name)
	switch strings.ReplaceAll(strings.ToLower(name), "-", "_") {
	case "code", "code_verifier", "device_code", "user_code", "verification_uri_complete", "state", "nonce", "request_uri",
		"client_assertion", "assertion", "request", "auth_req_id", "id_token_hint", "registration_access_token", "session_state",
		"cookie", "set_cookie", "dpop":
		return true
	case "www_authenticate", "proxy_authenticate", "authentication_info", "dpop_nonce", "keys":
		return false
	}
	parts := split(name)
	if len(parts) == 0 || describes(parts[len(parts)-1]) {
		return false
	}
	return slices.ContainsFunc(parts, secretWord)
}

// mayBeSecret rules out most names without splitting them into words. Every secret
// name contains one of these strings.
func mayBeSecret(name string) bool {
	for i := range len(name) {
		rest := name[i:]
		for _, part := range [...]string{"key", "tok", "sec", "sig", "pass", "pwd", "auth", "cred", "session", "cookie", "sid", "jwt", "pin", "otp", "code", "state", "nonce", "request", "assertion", "dpop", "verif", "hint"} {
			if len(rest) >= len(part) && rest[0]|0x20 == part[0] && strings.EqualFold(rest[:len(part)], part) {
				return true
			}
		}
	}
	return false
}

// describes reports whether a name that ends in this word only describes a
// secret.
func describes(last string) bool {
	switch last {
	case "type", "types", "endpoint", "endpoints", "supported", "time", "at", "in", "hint", "alg", "algorithm", "algorithms",
		"method", "methods", "uri", "url", "expires", "expiry", "ttl", "length", "count", "servers", "server", "details", "version", "ops":
		return true
	}
	return false
}

func secretWord(word string) bool {
	switch word {
	case "key", "sig", "pwd", "pass", "auth", "authorization", "session", "sessionid", "sid", "jwt", "pin", "otp":
		return true
	}
	for _, end := range []string{"apikey", "accesskey", "secretkey", "privatekey", "authkey", "token", "secret", "signature", "password", "passwd", "passphrase", "passcode", "credential", "credentials", "cookie"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

// split returns the words of a name in lower case. A word ends at a separator
// or before a capital letter.
func split(name string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return words
}
