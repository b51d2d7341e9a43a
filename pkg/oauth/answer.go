package oauth

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// reply is a response with the values that were sent, because servers repeat
// them in error texts.
type reply struct {
	*safehttp.Response
	request Request
	sent    []param
	clock   ServerClock
}

// answer is the object in a response. Members that are not needed may have any
// value; a needed one must occur once.
type answer struct {
	*reply
	isObject bool
	members  map[string]jsontext.Value
	twice    map[string]bool
}

// byteOrderMark may be skipped by a parser (RFC 8259, section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// object parses the response as a JSON object, or as a form if that is its content
// type.
func (r *reply) object() *answer {
	a := &answer{reply: r, members: map[string]jsontext.Value{}, twice: map[string]bool{}}
	body := bytes.TrimPrefix(r.Body, byteOrderMark)
	if jsontext.Value(body).Kind() == '{' {
		a.isObject = a.readJSON(body)
	} else if r.contentType() == "application/x-www-form-urlencoded" {
		a.isObject = a.readForm(string(body))
	}
	return a
}

func (a *answer) readJSON(body []byte) bool {
	decoder := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := decoder.ReadToken(); err != nil {
		return false
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return false
		}
		key := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return false
		}
		_, there := a.members[key]
		a.twice[key] = a.twice[key] || there
		a.members[key] = value.Clone()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return false
	}
	_, err := decoder.ReadToken()
	return errors.Is(err, io.EOF)
}

func (a *answer) readForm(body string) bool {
	values, err := url.ParseQuery(strings.TrimSpace(body))
	if err != nil || len(values) == 0 {
		return false
	}
	for name, all := range values {
		value, err := json.Marshal(all[0])
		if err != nil {
			return false
		}
		a.members[name], a.twice[name] = value, len(all) > 1
	}
	return true
}

// errBadMember is the error for a needed member that is not valid.
var errBadMember = errors.New("unusable member")

// text returns a member as a string; an absent one and null are empty. It errs
// for another type, for a member that occurs twice and for bytes that are not
// UTF-8.
func (a *answer) text(name string) (s string, err error) {
	v := a.members[name]
	if a.twice[name] || !utf8.Valid(v) {
		return "", errBadMember
	}
	s, ok := text(v)
	if !ok {
		return "", errBadMember
	}
	return s, nil
}

// value returns a member that occurs once and is not null, or nil.
func (a *answer) value(name string) jsontext.Value {
	v := a.members[name]
	if a.twice[name] || len(v) == 0 || v.Kind() == 'n' || !utf8.Valid(v) {
		return nil
	}
	return v
}

// hasError reports whether the response is an error. Some servers add an empty
// error member to successful responses.
func (a *answer) hasError() bool {
	switch string(a.members["error"]) {
	case "", "null", `""`, "false", "0":
		return false
	}
	return true
}

// isGood reports whether the response is an object with one of the statuses and
// without an error.
func (a *answer) isGood(statuses ...int) bool {
	for _, status := range statuses {
		if a.Status == status {
			return a.isObject && !a.hasError()
		}
	}
	return false
}

// text returns the value as a string; ok is false for another type. An absent
// value and null are the empty string.
func text(v jsontext.Value) (s string, ok bool) {
	if len(v) == 0 || v.Kind() == 'n' {
		return "", true
	}
	err := json.Unmarshal(v, &s)
	return s, err == nil
}

// failed returns the error for a response that is not a success. The request's
// secrets are removed from the server's text.
func (a *answer) failed() error {
	e := &Error{Status: a.Status, Request: a.request, Clock: a.clock}
	if code, ok := text(a.members["error"]); a.isObject && ok && a.hasError() {
		description, _ := text(a.members["error_description"])
		uri, _ := text(a.members["error_uri"])
		e.Code, e.Description, e.URI = scrub(code, a.sent), scrub(description, a.sent), scrub(uri, a.sent)
		return e.diagnose()
	}
	if text := a.ownText(); text != "" || e.isAboutClient() {
		e.Text = cmp.Or(diagnosis.Shorten(scrub(text, a.sent), 200), a.kind())
		return e.diagnose()
	}
	d := &diagnosis.Diagnosis{ID: a.shapeID(), Got: diagnosis.Values{fmt.Sprintf("status %d with %s from the %s endpoint", a.Status, a.kind(), a.request.Endpoint)}}
	switch {
	case a.Status == http.StatusTooManyRequests:
		d.ID = diagnosis.RateLimited
	case a.Status >= 500:
		d.ID = diagnosis.ServerError
	}
	return fmt.Errorf("oauth: %w", d)
}

// ownText returns the text of an error object in the server's own form, or "".
// An object that may contain tokens is not shown.
func (a *answer) ownText() string {
	if a.Status < 400 || !a.isObject || len(a.members) == 0 {
		return ""
	}
	for _, name := range []string{"message", "detail", "error_description", "error_message", "errorMessage", "errorSummary", "title", "reason"} {
		if s, err := a.text(name); err == nil && s != "" {
			return s
		}
	}
	for name := range a.members {
		if strings.Contains(name, "token") || strings.Contains(name, "secret") || strings.Contains(name, "code") {
			return ""
		}
	}
	return strings.TrimSpace(string(bytes.TrimPrefix(a.Body, byteOrderMark)))
}

// unusable returns the error for a member that is not valid.
func (a *answer) unusable(expected string, got diagnosis.Values) error {
	return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: a.shapeID(), Expected: diagnosis.Values{expected + " from the " + string(a.request.Endpoint) + " endpoint"}, Got: got})
}

func (a *answer) shapeID() diagnosis.ID {
	if a.request.Endpoint == TokenEndpoint {
		return diagnosis.TokenEndpointShape
	}
	return diagnosis.AnswerInvalid
}

// what describes a member's value without its text, which may be a secret.
func (a *answer) what(name string) diagnosis.Values {
	v := a.members[name]
	switch {
	case a.twice[name]:
		return diagnosis.Values{"it twice"}
	case len(v) == 0 || v.Kind() == 'n' || string(v) == `""`:
		return diagnosis.None
	case !utf8.Valid(v):
		return diagnosis.Values{"bytes that are not UTF-8"}
	}
	switch v.Kind() {
	case '"':
		return diagnosis.Values{"another text"}
	case '{':
		return diagnosis.Values{"an object"}
	case '[':
		return diagnosis.Values{"a list"}
	case 't', 'f':
		return diagnosis.Values{"a boolean"}
	}
	return diagnosis.Values{"a number"}
}

func (r *reply) contentType() string {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind
}

// kind describes a response that is not an object.
func (a *answer) kind() string {
	start := strings.TrimSpace(string(a.Body[:min(len(a.Body), 64)]))
	switch kind := a.contentType(); {
	case len(a.Body) == 0:
		return "no body"
	case strings.Contains(kind, "html"), strings.HasPrefix(start, "<"):
		return "an HTML page"
	case a.isObject:
		return "an object of another shape"
	case strings.HasPrefix(start, "{"):
		return "broken JSON"
	case kind == "application/x-www-form-urlencoded":
		return "a form-encoded body that cannot be read"
	case kind == "":
		return "a body of no known kind"
	default:
		return "a body of kind " + diagnosis.Quote(kind)
	}
}

// newReply stores the values that were sent, including headers with
// credentials.
func (c *Client) newReply(res *safehttp.Response, request Request, values url.Values, header http.Header) *reply {
	sent := []param{{"client_secret", c.Secret}}
	for name := range values {
		for _, value := range values[name] {
			sent = append(sent, param{name, secret.New(value)})
		}
	}
	for _, name := range []string{"Authorization", "Dpop"} {
		sent = append(sent, param{name, secret.New(header.Get(name))})
	}
	ahead, known := safehttp.ClockAhead(res.Header, c.now())
	return &reply{res, request, sent, ServerClock{known, ahead}}
}
