package audit

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Answer is an API's response to one request.
type Answer struct {
	Status     int      // 0 without a response
	Challenges []string // the values of the WWW-Authenticate headers
	MediaType  string   // of the body, without parameters
	Location   string
	Body       []byte // at most 1 MiB
	// Err is why there is no response, such as a timeout or a closed
	// connection.
	Err error

	retryAfter time.Duration
	value      any // of a JSON body
	isJSON     bool
}

// NewAnswer reads a response.
func NewAnswer(status int, header http.Header, body []byte) *Answer {
	a := &Answer{Status: status, Challenges: header.Values("WWW-Authenticate"), Location: header.Get("Location"), Body: body}
	a.MediaType, _, _ = mime.ParseMediaType(header.Get("Content-Type"))
	a.retryAfter = retryAfter(header.Get("Retry-After"))
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) > 0 && (a.MediaType == "" || strings.HasSuffix(a.MediaType, "json")) {
		a.isJSON = json.Unmarshal(trimmed, &a.value, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil
	}
	return a
}

// without returns the response with a token removed, so that no report shows
// it.
func (a *Answer) without(raw string) *Answer {
	const mark = "[token]"
	for _, part := range []string{raw, raw[strings.LastIndexByte(raw, '.')+1:]} {
		if len(part) < minHidden {
			continue
		}
		a.Body = bytes.ReplaceAll(a.Body, []byte(part), []byte(mark))
		a.Location = strings.ReplaceAll(a.Location, part, mark)
		for i := range a.Challenges {
			a.Challenges[i] = strings.ReplaceAll(a.Challenges[i], part, mark)
		}
	}
	return a
}

// minHidden is the minimum length of a text that is removed. A shorter one can be
// in a response by chance.
const minHidden = 16

type constant string

func (c constant) Error() string { return string(c) }

// Reasons why there is no response, other than network errors.
const (
	errTimeout     = constant("timeout")
	errInterrupted = constant("interrupted")
)

// noAnswer is a request without a response.
func noAnswer(err error) *Answer { return &Answer{Err: err} }

func (a *Answer) in(low, high int) bool { return a.Status >= low && a.Status < high }
func (a *Answer) isSuccess() bool       { return a.in(200, 300) }
func (a *Answer) isServerError() bool   { return a.in(500, 600) }

// isUnusable reports whether the response shows nothing about the token: there
// was none in time, or the API requires a delay.
func (a *Answer) isUnusable() bool {
	return a.in(0, 200) || a.Status == http.StatusTooManyRequests || a.Status == http.StatusRequestTimeout
}

// isLike reports whether two responses are equal for an audit: the status, for
// 200 the shape of the body, for 404 the body.
func (a *Answer) isLike(b *Answer) bool {
	switch {
	case a.Status != b.Status || a.isUnusable():
		return false
	case a.Status == http.StatusOK && (a.isJSON || b.isJSON):
		return a.isJSON && b.isJSON && sameShape(a.value, b.value, 0)
	case a.Status == http.StatusOK:
		return a.MediaType == b.MediaType
	case a.Status == http.StatusNotFound:
		return bytes.Equal(a.Body, b.Body)
	}
	return true
}

// maxShape limits the depth to which shapes are compared.
const maxShape = 8

// sameShape compares two JSON values by their types, the names of their members
// and the shape of their first elements. A list without elements is like any
// list. True and false differ, since envelopes use them for success.
func sameShape(a, b any, depth int) bool {
	if depth > maxShape {
		return true
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name, value := range x {
			other, ok := y[name]
			if !ok || !sameShape(value, other, depth+1) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && (len(x) == 0 || len(y) == 0 || sameShape(x[0], y[0], depth+1))
	case string:
		_, ok := b.(string)
		return ok
	case float64:
		_, ok := b.(float64)
		return ok
	}
	return a == b // null, true, false
}

// retryAfter reads the field Retry-After (RFC 9110, section 10.2.3) as a
// number of seconds; 1 s for a date or none, 30 s at most.
func retryAfter(field string) time.Duration {
	const least, most = 1, 30
	seconds, _ := strconv.ParseUint(strings.TrimSpace(field), 10, 31) // the largest of 31 bits for a larger one
	return time.Duration(min(max(seconds, least), most)) * time.Second
}
