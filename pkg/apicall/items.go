package apicall

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Items is what request items say: parts of a request, written one by one.
type Items struct {
	Query url.Values
	// Header holds the Content-Type too where a file makes the body a form.
	Header http.Header

	fields   map[string]any // the JSON body, nested
	form     []part         // the same fields one by one, for a form
	files    bool
	boundary string
}

// part is one field of a form.
type part struct {
	item, name, value string
	file, json        bool
}

// maxForm bounds the files of one form, which are held in memory.
const maxForm = 256 << 20

// ParseItems reads request items:
//
//	name=value     a text field of the JSON body
//	name:=json     a field with any JSON value
//	name==value    a query parameter
//	Name:value     a header field
//	name@file      a file; it makes the body a form (RFC 7578)
//	a[b]=value     a field inside the object a; a[]=value adds to the array a,
//	               a[0]=value says at which place
//
// The sign that comes first decides; of two at one place the longer. A backslash
// before a sign or a bracket takes it into the name. Errors name the item at
// fault.
func ParseItems(items []string) (Items, error) {
	all := Items{Query: url.Values{}, Header: http.Header{}, fields: map[string]any{}}
	for _, item := range items {
		if err := all.add(item); err != nil {
			return Items{}, fmt.Errorf("apicall: the item %.200q: %w", item, err)
		}
	}
	if !all.files {
		return all, nil
	}
	for _, p := range all.form {
		if p.json {
			return Items{}, fmt.Errorf("apicall: the item %.200q: a form with a file has no JSON fields; use name=value", p.item)
		}
	}
	if all.Header.Get("Content-Type") != "" {
		return Items{}, fmt.Errorf("apicall: the item %.200q: a file sets the Content-Type by itself", "Content-Type")
	}
	// Here and not with the body, so that whoever takes the header has it.
	all.boundary = rand.Text()
	all.Header.Set("Content-Type", mime.FormatMediaType("multipart/form-data", map[string]string{"boundary": all.boundary}))
	return all, nil
}

const itemForms = "expected name=value, name:=json, name==value, Name:value or name@file"

func (all *Items) add(item string) error {
	i := separator(item)
	if i < 1 {
		return errors.New(itemForms)
	}
	name, rest := item[:i], item[i:]
	switch {
	case strings.HasPrefix(rest, "=="):
		all.Query.Add(unescape(name), rest[2:])
	case strings.HasPrefix(rest, ":="):
		if !jsontext.Value(rest[2:]).IsValid() {
			return fmt.Errorf("expected JSON behind :=, got %.200q; text is written name=text", rest[2:])
		}
		return all.field(part{item: item, name: name, value: rest[2:], json: true}, jsontext.Value(rest[2:]))
	case strings.HasPrefix(rest, "="):
		return all.field(part{item: item, name: name, value: rest[1:]}, rest[1:])
	case strings.HasPrefix(rest, "@"):
		if rest == "@" {
			return fmt.Errorf("expected a file's name behind @")
		}
		all.files = true
		return all.field(part{item: item, name: name, value: rest[1:], file: true}, nil)
	default:
		return all.header(unescape(name), rest[1:])
	}
	return nil
}

func (all *Items) header(name, value string) error {
	if strings.HasPrefix(value, "//") && (strings.EqualFold(name, "http") || strings.EqualFold(name, "https")) {
		return fmt.Errorf("a URL stands before the items, and once")
	}
	value = strings.Trim(value, " \t")
	if err := checkHeader(http.Header{name: {value}}, false); err != nil {
		return err
	}
	all.Header.Add(name, value)
	return nil
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

// unescape takes the backslashes out of a name.
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

func (all *Items) field(p part, value any) error {
	path, err := fieldPath(p.name)
	if err != nil {
		return err
	}
	p.name = unescape(p.name)
	all.form = append(all.form, p)
	return put(all.fields, path, value)
}

// Body returns the body that the fields make, nil if there are none: JSON, or a
// form if there are files. These are read now; the error names the item of one
// that cannot be.
func (all Items) Body() ([]byte, error) {
	if all.files {
		return all.formBody()
	}
	if len(all.fields) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(finished(all.fields), json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("apicall: %w", err)
	}
	return body, nil
}

func (all Items) formBody() ([]byte, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.SetBoundary(all.boundary); err != nil {
		return nil, fmt.Errorf("apicall: %w", err)
	}
	for _, p := range all.form {
		var err error
		if p.file {
			err = attach(w, p, maxForm-int64(body.Len()))
		} else {
			err = w.WriteField(p.name, p.value)
		}
		if err != nil {
			return nil, fmt.Errorf("apicall: the item %.200q: %w", p.item, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("apicall: %w", err)
	}
	return body.Bytes(), nil
}

// attach adds a file, at most limit bytes of it.
func attach(w *multipart.Writer, p part, limit int64) error {
	f, err := os.Open(p.value)
	if err != nil {
		return err
	}
	defer f.Close()
	name := filepath.Base(p.value)
	kind := mime.TypeByExtension(filepath.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", multipart.FileContentDisposition(p.name, name))
	h.Set("Content-Type", kind)
	to, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("the files are larger than %d MiB together; send one by itself with -d @FILE", maxForm>>20)
	}
	return err
}
