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
)

const redacted = "[redacted]"

// Trace tells somebody of each exchange. Secrets are replaced by [redacted]
// before Show sees them.
type Trace struct {
	// Show is called once per exchange, possibly from several goroutines.
	Show func(Exchange)
	// ShowSecrets leaves tokens, codes and passwords in place.
	ShowSecrets bool
}

// Exchange is one request and its answer as a person may see it. A body is kept
// only where its kind is known, a form or JSON, since only there can the secrets
// be found; otherwise it is empty.
type Exchange struct {
	Method         string
	URL            string
	RequestHeader  http.Header
	RequestBody    string
	Status         int // 0 if no answer came
	ResponseHeader http.Header
	ResponseBody   string
	Took           time.Duration
	Err            error
}

// requestBody reads a copy of the body, if somebody wants to see it.
func (t *Trace) requestBody(req *http.Request) []byte {
	if t == nil || req.GetBody == nil {
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
	t.Show(e)
}

func (t *Trace) done(req *http.Request, sent []byte, res *http.Response, body []byte, took time.Duration) {
	if t == nil {
		return
	}
	e := t.request(req, sent)
	e.Status, e.Took = res.StatusCode, took
	e.ResponseHeader = t.header(res.Header)
	e.ResponseBody = t.body(res.Header.Get("Content-Type"), body)
	if !t.ShowSecrets {
		// A server may repeat what it was sent, in an error's text for instance.
		echo := strings.NewReplacer(secretsOf(req, sent)...)
		e.ResponseBody = echo.Replace(e.ResponseBody)
		for _, values := range e.ResponseHeader {
			for i := range values {
				values[i] = echo.Replace(values[i])
			}
		}
	}
	t.Show(e)
}

// secretsOf lists the secrets that a request holds, each before what to show in
// its place.
func secretsOf(req *http.Request, sent []byte) []string {
	var pairs []string
	add := func(value string) {
		// Short ones would be found everywhere.
		if len(value) >= 6 {
			pairs = append(pairs, value, redacted)
		}
	}
	bodyForm, _ := url.ParseQuery(string(sent))
	for _, form := range []url.Values{bodyForm, req.URL.Query()} {
		for name, values := range form {
			for _, value := range values {
				if isSecret(name) {
					add(value)
				}
			}
		}
	}
	for name, values := range req.Header {
		for _, value := range values {
			if isSecret(name) {
				add(value)
			}
		}
	}
	if _, password, ok := req.BasicAuth(); ok {
		add(password)
		if plain, err := url.QueryUnescape(password); err == nil {
			add(plain)
		}
	}
	if _, credentials, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		add(credentials)
	}
	return pairs
}

func (t *Trace) request(req *http.Request, sent []byte) Exchange {
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
			switch {
			case name == "Location" || name == "Referer":
				values[i] = t.url(value)
			case name == "Authorization" || name == "Proxy-Authorization":
				scheme, _, _ := strings.Cut(value, " ")
				values[i] = scheme + " " + redacted
			case isSecret(name):
				values[i] = redacted
			}
		}
	}
	return h
}

func (t *Trace) url(rawURL string) string {
	u, err := url.Parse(rawURL)
	if t.ShowSecrets || err == nil && u.RawQuery == "" && u.Fragment == "" && u.User == nil {
		return rawURL
	}
	if err != nil {
		return redacted
	}
	u.User = nil
	u.RawQuery = form(u.RawQuery)
	if u.Fragment != "" {
		u.Fragment = redacted
	}
	return u.String()
}

func (t *Trace) body(contentType string, body []byte) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case kind == "application/x-www-form-urlencoded":
		if t.ShowSecrets {
			return string(body)
		}
		return form(string(body))
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		if t.ShowSecrets {
			return string(body)
		}
		return redactJSON(body)
	}
	return ""
}

// form redacts an encoded form in place, so that its order stays.
func form(encoded string) string {
	pairs := strings.Split(encoded, "&")
	for i, pair := range pairs {
		name, _, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); found && (err != nil || isSecret(plain)) {
			pairs[i] = name + "=" + redacted
		}
	}
	return strings.Join(pairs, "&")
}

// redactJSON copies a JSON text token by token, replacing the values of secret
// members. What is no JSON is not shown.
func redactJSON(data []byte) string {
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
		if kind != '{' || length%2 == 0 || name.Kind() != '"' || !isSecret(name.String()) {
			continue
		}
		if dec.SkipValue() != nil || enc.WriteToken(jsontext.String(redacted)) != nil {
			return ""
		}
	}
}

// isSecret knows the names of OAuth's secret parameters, members and header
// fields, in any letter case and with - for _.
func isSecret(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "-", "_") {
	case "access_token", "refresh_token", "id_token", "id_token_hint", "token",
		"code", "code_verifier", "device_code", "user_code", "verification_uri_complete", "state", "nonce", "request_uri",
		"client_secret", "client_assertion", "assertion", "subject_token", "actor_token", "request", "logout_token",
		"password", "registration_access_token", "session_state", "auth_req_id",
		"cookie", "set_cookie", "x_api_key", "dpop":
		return true
	}
	return false
}
