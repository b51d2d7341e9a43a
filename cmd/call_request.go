package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// maxHeld is how many bytes of standard input are read before a request is
// sent, so that the body has a length and can be sent again.
const maxHeld = 1 << 20

// request makes the request from the flags and items.
func (o *callOptions) request(env *Env) (apicall.Request, error) {
	request := apicall.Request{Method: strings.ToUpper(o.method), Target: o.target}
	if apicall.LonePercent(o.target) {
		env.warn("a %% that begins no escape is sent as %%25")
	}
	items, err := parseItems(o.items, o.form || o.multipart)
	if err != nil {
		return request, usage("%w", err)
	}
	if err := o.headers(items); err != nil {
		return request, err
	}
	o.parsed = items
	request.Query, request.Header = strings.Join(items.query, "&"), items.header
	kind, err := o.body(env, items, &request)
	if err != nil {
		return request, err
	}
	if _, set := items.field("Content-Type"); !set && kind != "" {
		request.Header["Content-Type"] = []string{kind}
	}
	if _, set := items.field("Accept"); !set {
		request.Header["Accept"] = []string{o.accept()}
	}
	return request, nil
}

func (o *callOptions) accept() string {
	if o.stream {
		return "text/event-stream, application/x-ndjson, application/json;q=0.5, */*;q=0.1"
	}
	return "application/json, */*;q=0.5"
}

// headers adds the fields of --header to those of the items. As for curl, "Name:"
// removes a field that would be sent, and "Name;" sends it empty.
func (o *callOptions) headers(items *requestItems) error {
	for _, line := range o.header {
		name, value, ok := strings.Cut(line, ":")
		var err error
		switch {
		case ok && strings.TrimSpace(name) != "":
			err = items.addHeader(name, value)
		case !ok && strings.HasSuffix(line, ";"):
			err = items.setHeader(strings.TrimSuffix(line, ";"), []string{""})
		default:
			return usage(`--header: expected "NAME: VALUE", got %q`, line)
		}
		if err != nil {
			return usage("--header: %w", err)
		}
	}
	return nil
}

// body makes the body and returns its Content-Type.
func (o *callOptions) body(env *Env, items *requestItems, request *apicall.Request) (kind string, err error) {
	fields := len(items.parts) > 0
	switch {
	case fields && o.data != "":
		return "", usage("--data and fields such as name=value both make the body; use one of them")
	case !fields && !o.multipart && o.data == "" && !o.dataGiven:
		return "", nil
	case o.dataGiven || o.data != "":
		return o.dataBody(env, request)
	case o.multipart || items.files:
		if request.Body, kind, err = items.multipartForm(); err != nil {
			return "", usage("%w", err)
		}
		return kind, o.formType(items, kind)
	case o.form:
		request.Body = apicall.Text(items.encodedForm())
		return urlEncoded, agrees(items, urlEncoded)
	}
	data, err := appendJSON(nil, items.fields)
	if err != nil {
		return "", usage("%w", err)
	}
	request.Body = apicall.Bytes(data)
	return "application/json", agrees(items, "application/json")
}

// agrees refuses a Content-Type that does not match the body made from the
// fields.
func agrees(items *requestItems, kind string) error {
	values, _ := items.field("Content-Type")
	for _, value := range values {
		written, _, _ := mime.ParseMediaType(value)
		switch {
		case written == kind, kind == "application/json" && (strings.HasSuffix(written, "+json") || written == "text/json"):
		case written == urlEncoded:
			return &usageError{what: fmt.Sprintf("the fields make a body of type %s, and the Content-Type says %q", kind, value), hint: "add --form to send a URL-encoded form"}
		case strings.HasPrefix(written, "multipart/"):
			return &usageError{what: fmt.Sprintf("the fields make a body of type %s, and the Content-Type says %q", kind, value), hint: "add --multipart to send a multipart form"}
		default:
			return &usageError{what: fmt.Sprintf("the fields make a body of type %s, and the Content-Type says %q", kind, value), hint: "send a body of another type with -d"}
		}
	}
	return nil
}

// formType gives a multipart type that the user wrote the form's boundary.
func (o *callOptions) formType(items *requestItems, kind string) error {
	values, set := items.field("Content-Type")
	if !set || len(values) == 0 {
		return nil
	}
	written, params, _ := mime.ParseMediaType(values[0])
	_, own, _ := mime.ParseMediaType(kind)
	if !strings.HasPrefix(written, "multipart/") || params["boundary"] != "" || len(values) > 1 {
		return usage("the fields make a multipart form, and the Content-Type says %q", values[0])
	}
	values[0] = mime.FormatMediaType(written, own)
	return nil
}

// dataBody is the body of --data.
func (o *callOptions) dataBody(env *Env, request *apicall.Request) (kind string, err error) {
	var start []byte
	switch {
	case o.data == "-":
		stdin, taken := env.takeStdin()
		if taken != nil {
			return "", usage("--data: %w", taken)
		}
		request.Body, start, err = stdinBody(stdin)
	case strings.HasPrefix(o.data, "@"):
		request.Body, start, err = fileBody(o.data[1:])
		if err == nil && !o.form && !looksJSON(start) {
			if kind = mime.TypeByExtension(filepath.Ext(o.data)); kind != "" {
				return kind, nil
			}
		}
	default:
		start = []byte(o.data)
		request.Body = apicall.Bytes(start)
	}
	if err != nil {
		return "", usage("--data: %w", err)
	}
	if o.form {
		return urlEncoded, nil
	}
	return kindOf(start), nil
}

// kindOf returns the Content-Type of a body by its beginning.
func kindOf(start []byte) string {
	switch {
	case len(start) == 0, looksJSON(start):
		return "application/json"
	case isForm(string(start)):
		return urlEncoded
	case utf8.Valid(start) && !bytes.ContainsRune(start, 0):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// looksJSON reports whether a text that begins so is JSON.
func looksJSON(start []byte) bool {
	trimmed := bytes.TrimLeft(start, " \t\r\n")
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		return true
	}
	return jsontext.Value(trimmed).IsValid()
}

// isForm reports whether text is a URL-encoded form, as users of curl write
// one.
func isForm(text string) bool {
	if !strings.Contains(text, "=") {
		return false
	}
	for pair := range strings.SplitSeq(text, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == "" || strings.ContainsAny(pair, " \t\r\n\"<>{}") {
			return false
		}
	}
	return true
}

// fileBody is a file, and how it begins. A pipe is left unread until the request
// is sent.
func fileBody(path string) (*apicall.Body, []byte, error) {
	body, err := apicall.File(path)
	if err != nil || body.Once {
		return body, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	start := make([]byte, 512)
	n, err := io.ReadFull(f, start)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return body, start[:n], err
}

// stdinBody returns standard input as a body: a file from its current position,
// or the input read now if it is short; the rest of a long input is read while
// it is sent.
func stdinBody(stdin io.Reader) (*apicall.Body, []byte, error) {
	if f, ok := stdin.(*os.File); ok {
		if body, start, ok := rewindable(f); ok {
			return body, start, nil
		}
	}
	head, err := io.ReadAll(io.LimitReader(stdin, maxHeld+1))
	if err != nil {
		return nil, nil, fmt.Errorf("standard input: %w", err)
	}
	start := head[:min(len(head), 512)]
	if len(head) <= maxHeld {
		return apicall.Bytes(head), start, nil
	}
	return apicall.Stream(io.MultiReader(bytes.NewReader(head), stdin)), start, nil
}

// rewindable is what a regular file holds from its present position on.
func rewindable(f *os.File) (*apicall.Body, []byte, bool) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || at > info.Size() {
		return nil, nil, false
	}
	section := func() *io.SectionReader { return io.NewSectionReader(f, at, info.Size()-at) }
	start := make([]byte, 512)
	n, _ := io.ReadFull(section(), start)
	body := &apicall.Body{
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(section()), nil },
		Length: info.Size() - at,
	}
	return body, start[:n], true
}

// plainHeader returns a header as lines, ordered by name.
func plainHeader(h http.Header) []string {
	var lines []string
	for _, name := range sortedKeys(h) {
		for _, value := range h[name] {
			lines = append(lines, name+": "+value)
		}
	}
	return lines
}
