package cmd

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// requestItems is what request items say: parts of a request, in the order in
// which they were written.
type requestItems struct {
	query  []string // encoded pairs
	header http.Header
	fields *object // the JSON body, nested
	parts  []part  // the same fields one after the other, for a form
	files  bool
}

// part is one field of a form.
type part struct {
	item, name string
	value      string // or the file's path
	file       bool   // it is sent with a file name
	content    bool   // the value is a file's content
	json       bool
	kind       string // the Content-Type, "" by the file's name
	filename   string
}

// parseItems reads request items:
//
//	name=value     a text field of the body
//	name=@file     a text field with the file's content
//	name:=json     a field with any JSON value
//	name:=@file    a field with the JSON in a file
//	name==value    a query parameter
//	Name:value     a header field; without a value, none is sent
//	Name;          a header field with an empty value
//	name@file      a file in a form (RFC 7578); ;type= and ;filename= may follow
//	a[b]=value     a field inside the object a; a[]=value adds to the array a,
//	               a[0]=value sets the element with this index
//
// The sign that comes first decides; of two at one place the longer. A backslash
// before a sign or a bracket makes it part of the name, and one before @ part of
// the value. In a form, a name may be repeated. Errors name the item.
func parseItems(args []string, form bool) (*requestItems, error) {
	all := &requestItems{header: http.Header{}, fields: newObject()}
	var nested error
	for _, item := range args {
		p, isField, err := all.add(item)
		if err == nil && isField {
			all.parts = append(all.parts, p)
			all.files = all.files || p.file
			if put := all.put(p); put != nil && nested == nil {
				nested = fmt.Errorf("the item %.200q: %w", item, put)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the item %.200q: %w", item, err)
		}
	}
	if nested != nil && !form && !all.files {
		return nil, nested
	}
	return all, nil
}

const itemForms = "expected name=value, name:=json, name==value, Name:value or name@file"

// add reads one item. It reports whether the item is a field of the body.
func (all *requestItems) add(item string) (p part, isField bool, err error) {
	if name, ok := strings.CutSuffix(item, ";"); ok && separator(item) < 0 {
		return p, false, all.setHeader(unescape(name), []string{""})
	}
	i := separator(item)
	if i < 1 {
		return p, false, errors.New(itemForms)
	}
	name, rest := item[:i], item[i:]
	p = part{item: item, name: name}
	switch {
	case strings.HasPrefix(rest, "=="):
		all.query = append(all.query, url.QueryEscape(unescape(name))+"="+url.QueryEscape(rest[2:]))
		return p, false, nil
	case strings.HasPrefix(rest, ":="):
		p.json = true
		p.value, p.content = valueOrFile(rest[2:])
	case strings.HasPrefix(rest, "="):
		p.value, p.content = valueOrFile(rest[1:])
	case strings.HasPrefix(rest, "@"):
		p.file = true
		p.value, p.kind, p.filename = fileOptions(rest[1:])
	default:
		return p, false, all.addHeader(unescape(name), rest[1:])
	}
	if p.content {
		p.value, p.kind, p.filename = fileOptions(p.value)
	}
	return p, true, p.read()
}

// valueOrFile reports whether a value is the name of a file that holds it.
func valueOrFile(text string) (value string, isFile bool) {
	if strings.HasPrefix(text, `\@`) {
		return text[1:], false
	}
	return strings.CutPrefix(text, "@")
}

// fileOptions reads FILE;type=KIND;filename=NAME.
func fileOptions(text string) (path, kind, filename string) {
	for {
		i := strings.LastIndexByte(text, ';')
		if i < 0 {
			return text, kind, filename
		}
		name, value, found := strings.Cut(strings.TrimSpace(text[i+1:]), "=")
		switch {
		case found && name == "type":
			kind = value
		case found && name == "filename":
			filename = strings.Trim(value, `"`)
		default:
			return text, kind, filename // part of the file's name
		}
		text = text[:i]
	}
}

// maxField bounds a file whose content is the value of one field.
const maxField = 64 << 20

// read gets the value of a field that is a file's content, and checks it.
func (p *part) read() error {
	switch {
	case (p.file || p.content) && p.value == "":
		return errors.New("expected a file's name after @")
	case strings.ContainsFunc(p.kind+p.filename, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("the type or file name contains a control character")
	case p.file && !p.content:
		_, err := apicall.File(p.value)
		return err
	case p.content:
		data, err := readFile(p.value, maxField)
		if err != nil {
			return err
		}
		p.value = string(data)
	}
	switch {
	case p.json && !validJSON(p.value):
		return fmt.Errorf("expected JSON after :=, got %.200q; text is written name=text", p.value)
	case !p.json && p.content && !utf8.ValidString(p.value):
		return errors.New("the file is not UTF-8 text; send it with name@file")
	}
	return nil
}

func validJSON(text string) bool {
	return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true))
}

func (all *requestItems) put(p part) error {
	path, err := fieldPath(p.name)
	if err != nil {
		return err
	}
	if p.json {
		return all.fields.put(path, jsontext.Value(strings.TrimSpace(p.value)))
	}
	value, err := jsontext.AppendQuote(nil, p.value)
	if err != nil {
		return errors.New("the value is not UTF-8 text")
	}
	return all.fields.put(path, jsontext.Value(value))
}

func (all *requestItems) addHeader(name, value string) error {
	if strings.HasPrefix(value, "//") && (strings.EqualFold(name, "http") || strings.EqualFold(name, "https")) {
		return errors.New("the URL comes before the items, and only once")
	}
	value = strings.Trim(value, " \t")
	if value == "" {
		return all.setHeader(name, nil)
	}
	return all.setHeader(name, []string{value})
}

// setHeader adds values to a field, whose name is kept as it was first written.
func (all *requestItems) setHeader(name string, values []string) error {
	name = textproto.TrimString(name)
	if err := apicall.CheckHeader(http.Header{name: values}, false); err != nil {
		return err
	}
	for known := range all.header {
		if strings.EqualFold(known, name) {
			name = known
		}
	}
	all.header[name] = append(all.header[name], values...)
	return nil
}

// field returns the values of a header field, and whether it was written at all.
func (all *requestItems) field(name string) (values []string, set bool) {
	for known, values := range all.header {
		if strings.EqualFold(known, name) {
			return values, true
		}
	}
	return nil, false
}

// separator returns where the name of an item ends, -1 if it does not.
func separator(item string) int {
	for i := 0; i < len(item); i++ {
		switch item[i] {
		case '\\':
			i++
		case '=', ':', '@':
			return i
		}
	}
	return -1
}

// unescape removes the backslashes from a name.
func unescape(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+1 < len(name) && strings.IndexByte(`=:@[]\`, name[i+1]) >= 0 {
			i++
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
