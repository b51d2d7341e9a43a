package cmd

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// curlCommand is a request as a command for a POSIX shell and curl.
type curlCommand struct {
	words []string
	// lacks lists what `oauthctl call` does and the command does not.
	lacks []string
}

// printCurl prints the request as a curl command. The command does not contain
// the token, and neither do curl's arguments when it runs: a command that
// prints the Authorization field runs first, and curl reads the field from a
// file descriptor.
func (env *Env) printCurl(p *profile.Profile, req *http.Request, request apicall.Request, o *callOptions) error {
	c := curlCommand{words: []string{"curl", "--globoff"}}
	c.connection(env, p, req.URL, o)
	switch {
	case req.Method == http.MethodHead:
		c.words = append(c.words, "--head")
	case req.Method != http.MethodGet || request.Body != nil:
		c.words = append(c.words, "-X", shellQuote(req.Method))
	}
	c.answer(req.Method, o)
	if !o.noToken {
		c.words = append(c.words, "-H", "@/dev/fd/3")
	}
	body, form, err := o.curlBody()
	if err != nil {
		return err
	}
	c.header(request.Header, body != nil, form)
	c.words = append(append(c.words, body...), shellQuote(req.URL.String()))
	command := strings.Join(c.words, " ")
	if !o.noToken {
		// A login that is needed ends it before anything is sent.
		command = "header=$(" + env.tokenCommand() + ") && " + command + " 3<<EOF\n$header\nEOF"
	}
	for _, what := range c.lacks {
		env.warn("the curl command does not %s", what)
	}
	env.stdout().line("%s", command)
	return nil
}

// tokenCommand is the command that prints the Authorization field for the same
// profile.
func (env *Env) tokenCommand() string {
	args := []string{"token", "--format", "header"}
	g := &env.global
	for _, flag := range [][2]string{{"--ca-cert", g.caCert}, {"--client-cert", g.clientCert}, {"--client-key", g.clientKey}} {
		if flag[1] != "" {
			args = append(args, flag[0], flag[1])
		}
	}
	if g.insecureTLS {
		args = append(args, "--insecure-skip-tls-verify")
	}
	return env.command(args...)
}

// connection writes how curl reaches the server: certificates, times, sockets.
func (c *curlCommand) connection(env *Env, p *profile.Profile, u *url.URL, o *callOptions) {
	g := &env.global
	ca := p.Get(profile.CACert)
	for _, flag := range [][2]string{{"--cacert", ca}, {"--cert", p.Get(profile.ClientCert)}, {"--key", p.Get(profile.ClientKey)}, {"--unix-socket", o.unixSocket}} {
		if flag[1] != "" {
			c.words = append(c.words, flag[0], shellQuote(flag[1]))
		}
	}
	if ca != "" {
		c.lacks = append(c.lacks, "trust the system's certificates in addition to --ca-cert")
	}
	if g.insecureTLS {
		c.words = append(c.words, "--insecure")
	}
	if g.timeout != defaultTimeout {
		seconds := fmt.Sprint(max(1, int(g.timeout.Seconds()+0.5)))
		c.words = append(c.words, "--connect-timeout", seconds, "--speed-limit", "1", "--speed-time", seconds)
	}
	if safehttp.IsLoopback(u.Hostname()) && slices.ContainsFunc([]string{"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}, func(name string) bool { return env.Getenv(name) != "" }) {
		c.words = append(c.words, "--noproxy", shellQuote(u.Hostname()))
	}
}

// answer adds the options for curl's handling of the response.
func (c *curlCommand) answer(method string, o *callOptions) {
	if method == http.MethodGet || method == http.MethodHead {
		c.words = append(c.words, "--location", "--max-redirs", "10")
	} else {
		c.lacks = append(c.lacks, "repeat the request where the API redirects it with 307 or 308")
	}
	if o.include {
		c.words = append(c.words, "--include")
	}
	if o.output != "" {
		c.words = append(c.words, "--output", shellQuote(o.output))
	}
	if o.resume {
		c.words = append(c.words, "--continue-at", "-")
	}
	if o.retry > 0 {
		c.words = append(c.words, "--retry", fmt.Sprint(o.retry))
	}
	if o.stream {
		c.words = append(c.words, "--no-buffer")
	}
	for _, flag := range []struct {
		set  bool
		what string
	}{
		{o.paginate, "go on to the next page"},
		{o.graphql, "fail when a GraphQL answer has errors"},
		{o.reconnect, "connect again when a stream breaks off"},
	} {
		if flag.set {
			c.lacks = append(c.lacks, flag.what)
		}
	}
}

// header adds the header fields. The type of a multipart form is left to curl,
// which chooses the boundary.
func (c *curlCommand) header(h http.Header, body, form bool) {
	typed := false
	for _, name := range sortedKeys(h) {
		isType := strings.EqualFold(name, "Content-Type")
		typed = typed || isType
		if isType && form {
			continue
		}
		if len(h[name]) == 0 {
			c.words = append(c.words, "-H", shellQuote(name+":"))
		}
		for _, value := range h[name] {
			field := name + ": " + value
			if value == "" {
				field = name + ";"
			}
			c.words = append(c.words, "-H", shellQuote(field))
		}
	}
	if body && !typed && !form {
		c.words = append(c.words, "-H", "Content-Type:") // curl would call it a form
	}
}

// curlBody returns the body as curl's arguments, or nil if there is none; form
// reports whether curl makes the form.
func (o *callOptions) curlBody() (words []string, form bool, err error) {
	switch {
	case o.data == "-":
		return []string{"--data-binary", "@-"}, false, nil
	case strings.HasPrefix(o.data, "@"):
		return []string{"--data-binary", shellQuote(o.data)}, false, nil
	case o.data != "" || o.dataGiven:
		words, err = rawData(o.data)
		return words, false, err
	case o.multipart || o.parsed.files:
		for _, p := range o.parsed.parts {
			words = append(words, p.curl()...)
		}
		return words, true, nil
	case len(o.parsed.parts) == 0:
		return nil, false, nil
	case o.form:
		words, err = rawData(o.parsed.encodedForm())
		return words, false, err
	}
	data, err := appendJSON(nil, o.parsed.fields)
	if err != nil {
		return nil, false, usage("%w", err)
	}
	words, err = rawData(string(data))
	return words, false, err
}

func rawData(text string) ([]string, error) {
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, &usageError{what: "--curl: the body is not text, so it cannot be part of a command", hint: "put it into a file and use -d @FILE"}
	case len(text) > 64<<10:
		return nil, &usageError{what: "--curl: the body is too long to be part of a command", hint: "put it into a file and use -d @FILE"}
	}
	return []string{"--data-raw", shellQuote(text)}, nil
}

// curl is a part of a multipart form as curl's arguments.
func (p part) curl() []string {
	name := unescape(p.name)
	if !p.file && p.kind == "" && p.filename == "" && !p.json {
		return []string{"--form-string", shellQuote(name + "=" + p.value)}
	}
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	text := name + "="
	if p.file {
		text += "@"
	}
	text += quote(p.value)
	kind := p.kind
	if kind == "" && p.json {
		kind = "application/json"
	}
	if kind != "" {
		text += ";type=" + kind
	}
	if p.filename != "" {
		text += ";filename=" + quote(p.filename)
	}
	return []string{"-F", shellQuote(text)}
}
