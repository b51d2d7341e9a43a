package discovery

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Problem is a metadata member that is not valid and therefore counts as absent.
// It matters only to callers that need the member, see [Server.Endpoint]. If the
// member is always required, Problem is the error of the document.
type Problem struct {
	Member string
	Err    *diagnosis.Diagnosis
}

// Error returns the text of the Diagnosis.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap returns the Diagnosis.
func (p *Problem) Unwrap() error { return p.Err }

// document reads the members of one metadata document. An invalid member is noted
// and counts as absent, so that a fault in a member that is not needed does not
// make a server unusable.
type document struct {
	members  map[string]jsontext.Value
	twice    map[string]bool
	problems []Problem
}

// byteOrderMark may be ignored by a parser (RFC 8259, section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// readDocument parses one JSON object. Duplicate names and invalid UTF-8 only
// affect the members in which they occur.
func readDocument(data []byte) (*document, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	d := &document{members: map[string]jsontext.Value{}, twice: map[string]bool{}}
	decoder := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if decoder.PeekKind() != '{' {
		return nil, invalid("one JSON object", "something else")
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, invalid("one JSON object", "something else")
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, invalid("one JSON object", "broken JSON")
		}
		key := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, invalid("one JSON object", "broken JSON")
		}
		_, there := d.members[key]
		d.twice[key] = d.twice[key] || there
		d.members[key] = value.Clone()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, invalid("one JSON object", "broken JSON")
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, invalid("one JSON object", "something after it")
	}
	return d, nil
}

func invalid(expected, got string) *diagnosis.Diagnosis {
	return &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}

func (d *document) ignore(member string, err *diagnosis.Diagnosis) {
	d.problems = append(d.problems, Problem{member, err})
}

// value returns a member's value, or nil if it is absent, null or a duplicate.
// Parsers disagree on which of two values to use.
func (d *document) value(name string) jsontext.Value {
	v := d.members[name]
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return nil
	case d.twice[name]:
		d.ignore(name, invalid(name+" once", "it twice"))
		return nil
	case !utf8.Valid(v):
		d.ignore(name, invalid(name+" in UTF-8", "other bytes"))
		return nil
	}
	return v
}

func (d *document) text(name string) (text string) {
	if v := d.value(name); v != nil && json.Unmarshal(v, &text) != nil {
		d.ignore(name, invalid(name+" to be a string", nameOfKind(v)))
		return ""
	}
	return text
}

func (d *document) list(name string) []string {
	v := d.value(name)
	if v == nil {
		return nil
	}
	list := []string{}
	if json.Unmarshal(v, &list) != nil {
		d.ignore(name, invalid(name+" to be a list of strings", nameOfKind(v)))
		return nil
	}
	return list
}

// flag reads a boolean. The strings "true" and "false" are accepted as
// booleans.
func (d *document) flag(name string) (flag bool) {
	v := d.value(name)
	switch {
	case v == nil || json.Unmarshal(v, &flag) == nil:
		return flag
	case string(v) == `"true"`, string(v) == `"false"`:
		return string(v) == `"true"`
	}
	d.ignore(name, invalid(name+" to be true or false", nameOfKind(v)))
	return false
}

// endpoint reads a URL and checks it with [checkEndpoint] for owner.
func (d *document) endpoint(name, owner string) string {
	rawURL := d.text(name)
	if err := checkEndpoint(name, rawURL, owner); err != nil {
		d.ignore(name, err)
		return ""
	}
	return rawURL
}

// endpoints reads an object of URLs. PHP encodes an empty one as a list.
func (d *document) endpoints(name, owner string) map[string]string {
	v := d.value(name)
	if v == nil || v.Kind() == '[' && strings.Trim(string(v), "[] \t\r\n") == "" {
		return nil
	}
	inner, err := readDocument(v)
	if err != nil {
		d.ignore(name, invalid(name+" to be an object", nameOfKind(v)))
		return nil
	}
	all := map[string]string{}
	for key := range inner.members {
		if rawURL := inner.endpoint(key, owner); rawURL != "" {
			all[key] = rawURL
		}
	}
	for _, p := range inner.problems {
		d.ignore(name+"."+p.Member, p.Err)
	}
	return all
}

// sorted returns the problems in a fixed order.
func (d *document) sorted() []Problem {
	sort.SliceStable(d.problems, func(i, j int) bool { return d.problems[i].Member < d.problems[j].Member })
	return d.problems
}

func nameOfKind(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "another list"
	case 't', 'f':
		return "a boolean"
	}
	return "a number"
}

// checkEndpoint returns an error for a URL that is not http or https, is not
// encrypted, or points into this machine or its network although owner is
// public.
func checkEndpoint(name, rawURL, owner string) *diagnosis.Diagnosis {
	if rawURL == "" {
		return nil
	}
	home, host := hostOf(owner), hostOf(rawURL)
	u, err := url.Parse(rawURL)
	if err == nil && u.Scheme == "http" && host != "" && !(safehttp.IsLoopback(host) && safehttp.IsLoopback(home)) {
		return &diagnosis.Diagnosis{ID: diagnosis.InsecureEndpoint, Expected: diagnosis.Values{name + " to be https"}, Got: diagnosis.Values{rawURL}}
	}
	if _, err := safehttp.CheckURL(rawURL); err != nil || strings.Contains(rawURL, "#") {
		return invalid(name+" to be an https URL", rawURL)
	}
	if isInside(host) && !isInside(home) {
		return invalid(name+" at a public address, as that of "+diagnosis.Quote(owner)+" is", rawURL)
	}
	return nil
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// isInside reports whether host is known to be this machine or in a private
// network (RFC 9728, section 7.7). It does not resolve names.
func isInside(host string) bool {
	if safehttp.IsLoopback(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}
