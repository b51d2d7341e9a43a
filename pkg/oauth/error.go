package oauth

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Error is an error response of an authorization server, from its token
// endpoint or another (RFC 6749, section 5.2) or in a redirect (section
// 4.1.2.1). It comes wrapped in a Diagnosis whose kind says who can mend it;
// find it with errors.As. Its texts are the server's own.
type Error struct {
	Code        string
	Description string
	URI         string
	Status      int // of the HTTP response; 0 in a redirect
}

// Error returns the code and the description, quoted and cut at 200 bytes.
func (e *Error) Error() string {
	code := e.Code
	if strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" || len(code) > 60 {
		code = diagnosis.Quote(code)
	}
	if e.Description == "" {
		return code
	}
	return code + ": " + diagnosis.Quote(e.Description)
}

// diagnose says what an error response means for who reads it.
func (e *Error) diagnose() error {
	id := diagnosis.RequestRefused
	switch e.Code {
	case "invalid_client", "unauthorized_client", "incorrect_client_credentials":
		id = diagnosis.ClientRefused
	case "invalid_scope":
		id = diagnosis.ScopeRefused
	case "invalid_target":
		id = diagnosis.ResourceRefused
	case "invalid_grant", "bad_verification_code":
		id = diagnosis.GrantInvalid
	case "access_denied":
		id = diagnosis.AccessDenied
	case "login_required", "interaction_required", "consent_required", "account_selection_required",
		"unmet_authentication_requirements", "expired_token":
		id = diagnosis.LoginRequired
	case "server_error", "temporarily_unavailable":
		id = diagnosis.ServerError
		if e.Status == http.StatusTooManyRequests {
			id = diagnosis.RateLimited
		}
	case "slow_down":
		id = diagnosis.RateLimited
	default:
		switch {
		case e.Status == http.StatusTooManyRequests:
			id = diagnosis.RateLimited
		case e.Status >= 500:
			id = diagnosis.ServerError
		}
	}
	return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: id, Err: e})
}

// members reads a JSON object strictly: no duplicate names, names in their own
// letter case, nothing after it.
func members(body []byte) (map[string]jsontext.Value, bool) {
	if jsontext.Value(body).Kind() != '{' {
		return nil, false
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, false
	}
	return all, true
}

// text returns the member as a string; ok is false where it is something else.
// An absent member and null are the empty string.
func text(v jsontext.Value) (s string, ok bool) {
	if len(v) == 0 || v.Kind() == 'n' {
		return "", true
	}
	err := json.Unmarshal(v, &s)
	return s, err == nil
}

// failed judges what no successful response is. Servers repeat what they were
// sent, so the request's own secrets are taken out of their texts.
func failed(res *reply, body map[string]jsontext.Value) error {
	if code, ok := text(body["error"]); ok && code != "" {
		description, _ := text(body["error_description"])
		uri, _ := text(body["error_uri"])
		return (&Error{scrub(code, res.sent), scrub(description, res.sent), scrub(uri, res.sent), res.Status}).diagnose()
	}
	status := fmt.Sprintf("status %d with %s", res.Status, kindOf(res))
	id := diagnosis.TokenEndpointShape
	switch {
	case res.Status == http.StatusTooManyRequests:
		id = diagnosis.RateLimited
	case res.Status >= 500:
		id = diagnosis.ServerError
	}
	return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: id, Got: diagnosis.Text(status)})
}

// scrub replaces everything that was sent as a credential, in each form in which
// it was sent: as it is, form- and percent-encoded, and in an Authorization field
// with and without its scheme and its base64.
func scrub(text string, sent []param) string {
	var all []string
	for _, p := range sent {
		if value := p.value.Reveal(); value != "" && isSecretParam(p.name) {
			all = append(all, value, url.QueryEscape(value), url.PathEscape(value))
			all = append(all, basicParts(value)...)
		}
	}
	// The longest first: a part of another value must not leave the rest behind.
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range slices.Compact(all) {
		text = redact(text, value)
	}
	return text
}

// redact replaces a value wherever it occurs; one of under four bytes, which any
// text may hold by chance, only where it is a word of its own.
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

// basicParts are the forms in which the content of a Basic Authorization field
// may be repeated (RFC 7617).
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

// kindOf names what came instead of the JSON that was expected.
func kindOf(res *reply) string {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	start := strings.TrimSpace(string(res.Body[:min(len(res.Body), 64)]))
	switch {
	case len(res.Body) == 0:
		return "no body"
	case strings.Contains(kind, "html"), strings.HasPrefix(start, "<"):
		return "an HTML page"
	case kind == "application/x-www-form-urlencoded":
		return "a form-encoded body"
	case strings.HasPrefix(start, "{"):
		return "a JSON object of another shape"
	case kind == "":
		return "a body of no known kind"
	}
	return fmt.Sprintf("a body of kind %s", diagnosis.Quote(kind))
}
