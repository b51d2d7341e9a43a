package safehttp

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

const redacted = "[redacted]"

// Trace reports each exchange. Before Show is called, secrets are replaced with
// [redacted]: values that are secret by their names, and every credential of
// earlier requests of this trace, wherever it appears.
type Trace struct {
	// Show is called once for each exchange, possibly from several goroutines.
	Show func(Exchange)
	// ShowSecrets disables the replacement of tokens, codes and passwords.
	ShowSecrets bool
	// Labels replaces secrets with labels, so that equal secrets can be
	// recognised. If nil, they are replaced with [redacted].
	Labels *Labels

	secrets secret.Scrubber
}

// Exchange is one request and its response with secrets removed. Bodies are
// included only if they are forms or JSON, because secrets can be found only
// there.
type Exchange struct {
	Method         string
	URL            string
	RequestHeader  http.Header
	RequestBody    string
	Status         int // 0 without a response
	ResponseHeader http.Header
	ResponseBody   string
	Took           time.Duration
	Err            error
}

// bodyOf returns a copy of a request's body, or nil if it can be read only
// once.
func bodyOf(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	data, _ := io.ReadAll(body)
	return data
}

func (t *Trace) failed(req *http.Request, sent []byte, err error, took time.Duration) {
	if t == nil {
		return
	}
	e := t.request(req, sent)
	e.Err, e.Took = err, took
	t.show(e)
}

func (t *Trace) done(req *http.Request, sent []byte, res *http.Response, body []byte, took time.Duration) {
	if t == nil {
		return
	}
	e := t.request(req, sent)
	e.Status, e.Took = res.StatusCode, took
	e.ResponseHeader = t.header(res.Header)
	e.ResponseBody = t.body(res.Header.Get("Content-Type"), body)
	t.show(e)
}

// show reports an exchange. A server may send back secrets of this or an
// earlier exchange anywhere: in an error text, a link or a redirect.
func (t *Trace) show(e Exchange) {
	if !t.ShowSecrets {
		e.URL = t.scrub(e.URL)
		e.RequestBody = t.scrub(e.RequestBody)
		e.ResponseBody = t.scrub(e.ResponseBody)
		for _, header := range []http.Header{e.RequestHeader, e.ResponseHeader} {
			for _, values := range header {
				for i := range values {
					values[i] = t.scrub(values[i])
				}
			}
		}
		if e.Err != nil {
			if text := t.scrub(e.Err.Error()); text != e.Err.Error() {
				e.Err = &cause{text, e.Err}
			}
		}
	}
	t.Show(e)
}

func (t *Trace) scrub(text string) string { return t.secrets.Scrub(t.Labels.Replace(text)) }

func (t *Trace) mask() masker { return t.Labels.mask }

func (t *Trace) request(req *http.Request, sent []byte) Exchange {
	t.secrets.Add(Credentials(req)...)
	t.secrets.Add(inForm(req, sent)...)
	return Exchange{
		Method:        req.Method,
		URL:           t.url(req.URL.String()),
		RequestHeader: t.header(req.Header),
		RequestBody:   t.body(req.Header.Get("Content-Type"), sent),
	}
}

func (t *Trace) header(h http.Header) http.Header {
	h = h.Clone()
	if t.ShowSecrets {
		return h
	}
	for name, values := range h {
		for i, value := range values {
			values[i] = t.mask().field(name, value)
		}
	}
	return h
}

func (t *Trace) url(rawURL string) string {
	if t.ShowSecrets {
		return rawURL
	}
	return t.mask().url(rawURL)
}

// masker returns the replacement for a secret with that name.
type masker func(name, value string) string

// plainly is the masker that writes [redacted].
func plainly(_, _ string) string { return redacted }

// RedactField returns the value of a header with secrets removed.
func RedactField(name, value string) string { return masker(plainly).field(name, value) }

// RedactURL returns a URL without user information and fragment, and with the
// values of secret query parameters removed.
func RedactURL(rawURL string) string { return masker(plainly).url(rawURL) }

func (m masker) field(name, value string) string {
	switch http.CanonicalHeaderKey(name) {
	case "Location", "Content-Location", "Referer":
		return m.url(value)
	case "Link", "Refresh":
		return m.links(value)
	case "Authorization", "Proxy-Authorization":
		scheme, credentials, found := strings.Cut(value, " ")
		if !found {
			return m(name, value)
		}
		word := scheme
		if strings.EqualFold(scheme, "DPoP") || strings.EqualFold(scheme, "Bearer") {
			word = "token"
		}
		return scheme + " " + m(word, credentials)
	}
	if IsSecret(name) {
		return m(name, value)
	}
	return value
}

// links redacts the queries of URLs in a Link or Refresh header.
func (m masker) links(value string) string {
	var b strings.Builder
	for value != "" {
		i := strings.IndexByte(value, '?')
		if i < 0 {
			break
		}
		end := i + 1 + strings.IndexAny(value[i+1:]+">", ">\"' ,")
		b.WriteString(value[:i+1])
		b.WriteString(m.form(value[i+1 : min(end, len(value))]))
		value = value[min(end, len(value)):]
	}
	return b.String() + value
}

func (m masker) url(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err == nil && u.RawQuery == "" && u.Fragment == "" && u.User == nil {
		return rawURL
	}
	if err != nil {
		return redacted
	}
	u.User = nil
	u.RawQuery = m.form(u.RawQuery)
	if u.Fragment != "" {
		u.Fragment = redacted
	}
	return u.String()
}

// RedactBody returns a form or a JSON text with secrets removed. It returns
// false for another kind of body, in which secrets cannot be found.
func RedactBody(contentType string, body []byte) (string, bool) {
	t := Trace{}
	text := t.body(contentType, body)
	return text, text != ""
}

func (t *Trace) body(contentType string, body []byte) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case kind == "application/x-www-form-urlencoded":
		if t.ShowSecrets {
			return string(body)
		}
		return t.mask().form(string(body))
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		if t.ShowSecrets {
			return string(body)
		}
		return t.mask().json(body)
	}
	return ""
}

// form redacts an encoded form without changing its order.
func (m masker) form(encoded string) string {
	pairs := strings.Split(encoded, "&")
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); found && (err != nil || IsSecret(plain)) {
			if text, err := url.QueryUnescape(value); err == nil {
				value = text
			}
			pairs[i] = name + "=" + m(plain, value)
		}
	}
	return strings.Join(pairs, "&")
}

// json copies a JSON text token by token, replacing the values of secret
// members. Text that is not JSON is omitted.
func (m masker) json(data []byte) string {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true))
	enc := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true))
	for {
		name, err := dec.ReadToken()
		if err == io.EOF {
			return strings.TrimSpace(out.String())
		}
		if err != nil || enc.WriteToken(name) != nil {
			return ""
		}
		kind, length := dec.StackIndex(dec.StackDepth())
		if kind != '{' || length%2 == 0 || name.Kind() != '"' || !IsSecret(name.String()) {
			continue
		}
		member := name.String()
		value, err := dec.ReadValue()
		if err == nil && isConstant(value.Kind()) && enc.WriteValue(value) == nil {
			continue
		}
		if err != nil || enc.WriteToken(jsontext.String(m(member, textOf(value)))) != nil {
			return ""
		}
	}
}

// isConstant reports whether a JSON value is true, false or null, which are no
// secrets under any name.
func isConstant(kind jsontext.Kind) bool { return kind == 't' || kind == 'f' || kind == 'n' }

// textOf returns a JSON string without quotes, and any other value unchanged.
func textOf(value jsontext.Value) string {
	if text, err := jsontext.AppendUnquote(nil, value); err == nil {
		return string(text)
	}
	return string(value)
}

// inForm returns the secrets in a request's form.
func inForm(req *http.Request, sent []byte) []string {
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return nil
	}
	values, _ := url.ParseQuery(string(sent))
	return secretsOf(values)
}
