package devserver

import (
	"crypto/sha256"
	_ "embed" // for the style
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

//go:embed style.css
var style string

// markup is HTML. [fill] escapes any other text.
type markup string

// fill inserts values into HTML, between tags or inside double quotes. Values are
// escaped unless they are markup. The templates of the standard library call
// methods by name, so the linker could not remove unused methods, which would
// add 2.5 MB to the program.
func fill(format markup, values ...any) markup {
	for i, v := range values {
		if text, ok := v.(string); ok {
			values[i] = html.EscapeString(text)
		}
	}
	return markup(fmt.Sprintf(string(format), values...))
}

// permission describes a scope for the user.
type permission struct {
	Scope, Words string
	Danger       bool
}

func permissions(scope []string) []permission {
	var all []permission
	for _, p := range []permission{
		{Scope: "openid", Words: "Know who you are"},
		{Scope: "profile", Words: "See your name"},
		{Scope: "email", Words: "See your e-mail address"},
		{Scope: "items:read", Words: "Read items"},
		{Scope: "items:write", Words: "Add items"},
		{Scope: "users:delete", Words: "Delete users", Danger: true},
		{Scope: "offline_access", Words: "Stay signed in without asking you again"},
	} {
		if slices.Contains(scope, p.Scope) {
			all = append(all, p)
		}
	}
	for _, one := range scope {
		if !slices.ContainsFunc(all, func(p permission) bool { return p.Scope == one }) {
			all = append(all, permission{Scope: one, Words: "Permission"})
		}
	}
	return all
}

// placeOf describes the target of a redirect for the user.
func placeOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return "an invalid address"
	case safehttp.IsLoopback(u.Hostname()):
		return "a program on this computer"
	case u.Host != "":
		return u.Host
	}
	return "the application " + u.Scheme
}

// place describes where the user returns to.
func (q *authorizationRequest) place() string {
	if q.device != nil {
		return "the device whose code you entered"
	}
	return placeOf(q.redirectURI)
}

func (v *visit) clientName() string {
	if name := v.request.client.name; name != "" {
		return name
	}
	return "An application without a name"
}

const loginPage markup = `<h1>Sign in</h1>
<p>to continue to <strong>%s</strong></p>
%s<form method="post" action="%s">
<input type="hidden" name="request" value="%s">
<input type="hidden" name="csrf" value="%s">
<label for="username">User name</label>
<input id="username" name="username" value="%s" autocomplete="username" autocapitalize="none" spellcheck="false" required%s>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required%s>
<button type="submit">Sign in</button>
</form>
<p class="soft">Development server: sign in as <code>alice</code> or <code>bob</code> with the password <code>password</code>.</p>
`

func (s *Server) showLogin(w http.ResponseWriter, status int, id string, v *visit, name, problem string) {
	var alert, invalid markup
	if problem != "" {
		alert = fill("<p class=\"problem\" role=\"alert\" id=\"problem\">%s</p>\n", problem)
		invalid = ` aria-invalid="true" aria-describedby="problem"`
	}
	// The caret is in the field to fill in next.
	user, password := invalid+" autofocus", invalid
	if name != "" {
		user, password = password, user
	}
	body := fill(loginPage, v.clientName(), alert, s.at("/authorize/login"), id, v.csrf, name, user, password)
	show(w, status, "Sign in", body, v.request.target(s.base))
}

const consentPage markup = `<h1>Allow access?</h1>
<p><strong>%s</strong> requests access to the account of <strong>%s</strong>:</p>
<ul>
%s</ul>
<p class="soft">API: %s. You will return to %s.</p>
<form method="post" action="%s">
<input type="hidden" name="request" value="%s">
<input type="hidden" name="csrf" value="%s">
<button type="submit" name="decision" value="allow" autofocus>Allow</button>
<button type="submit" name="decision" value="deny">Deny</button>
</form>
`

func (s *Server) showConsent(w http.ResponseWriter, id string, v *visit) {
	var list markup
	for _, p := range permissions(v.request.scope) {
		var class markup
		if p.Danger {
			class = ` class="danger"`
		}
		list += fill("<li%s>%s <code>%s</code></li>\n", class, p.Words, p.Scope)
	}
	body := fill(consentPage, v.clientName(), v.login.user, list, strings.Join(v.request.resource, ", "), v.request.place(), s.at("/authorize/consent"), id, v.csrf)
	show(w, http.StatusOK, "Allow access?", body, v.request.target(s.base))
}

// showError shows the user an error that cannot be sent to a client.
func (s *Server) showError(w http.ResponseWriter, status int, problem string) {
	s.showRefusal(w, status, diagnosis.RequestRefused, problem)
}

// showRefusal is like showError, with the id of the refusal for the console.
func (s *Server) showRefusal(w http.ResponseWriter, status int, id diagnosis.ID, problem string) {
	refusedPage(w, id, problem)
	showMessage(w, status, signFailure, "Something went wrong", problem)
}

// The signs of a message page.
const (
	signNone    markup = ""
	signSuccess markup = "<p class=\"sign success\" aria-hidden=\"true\">✓</p>\n"
	signFailure markup = "<p class=\"sign failure\" aria-hidden=\"true\">✗</p>\n"
)

// showMessage shows a page with a sign, a title and a text.
func showMessage(w http.ResponseWriter, status int, sign markup, title, text string) {
	show(w, status, title, fill("%s<h1>%s</h1>\n<p>%s</p>\n", sign, title, text), "")
}

const indexPage markup = `<h1>Development authorization server</h1>
<p>For development only: the passwords of its users are public.</p>
<dl>
<dt>Issuer</dt><dd><code>%s</code></dd>
<dt>Metadata</dt><dd><a href="%s">RFC 8414</a>, <a href="%s">OpenID Connect</a>, <a href="%s">keys</a></dd>
<dt>Protected API</dt><dd><code>%s</code></dd>
<dt>Users</dt><dd><code>alice</code> and <code>bob</code>, password <code>password</code></dd>
</dl>
<h2>Next commands</h2>
<pre tabindex="0"><code>oauthctl login %s
oauthctl call GET /api/items</code></pre>
`

// serveIndex shows the console to browsers on this machine if it is enabled, and
// a description of the server to others.
func (s *Server) serveIndex(w http.ResponseWriter, r *http.Request) {
	if s.console != nil && isLocal(r) {
		s.console.serveIndex(w, r)
		return
	}
	show(w, http.StatusOK, "Development authorization server", fill(indexPage, s.config.Issuer, s.at("/.well-known/oauth-authorization-server"), s.at("/.well-known/openid-configuration"), s.at("/jwks"), s.config.API, s.config.API), "")
}

const formPostPage markup = `<h1>Continue</h1>
<form method="post" action="%s">
%s<button type="submit" autofocus>Continue to the application</button>
</form>
`

// formPostScript submits the form automatically if scripts are enabled.
const formPostScript = "document.forms[0].submit()"

// showFormPost sends an authorization response as a form (OAuth 2.0 Form Post
// Response Mode, section 2).
func showFormPost(w http.ResponseWriter, redirectURI string, values url.Values) {
	var fields markup
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fields += fill("<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", name, values.Get(name))
	}
	showWith(w, http.StatusOK, "Continue", fill(formPostPage, redirectURI, fields), redirectURI, formPostScript)
}

const layout markup = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s · oauthctl dev</title>
<style>%s</style>
</head>
<body>
<main>
%s</main>
%s</body>
</html>
`

// show writes a page without scripts and external resources that cannot be framed.
func show(w http.ResponseWriter, status int, title string, body markup, redirectURI string) {
	showWith(w, status, title, body, redirectURI, "")
}

// showWith is like show, for a page with one script.
func showWith(w http.ResponseWriter, status int, title string, body markup, redirectURI, script string) {
	var allowed string
	var run markup
	if script != "" {
		allowed = "; script-src " + hashOf(script)
		run = fill("<script>%s</script>\n", markup(script))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+hashOf(style)+allowed+
		"; base-uri 'none'; frame-ancestors 'none'; form-action "+formTargets(redirectURI))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// no-referrer would make the forms' Origin null.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, string(fill(layout, title, markup(style), body, run)))
}

// hashOf returns the hash of an inline text for a Content-Security-Policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// formTargets returns the allowed targets of a page's forms: this server, and the
// client, because browsers also check the redirect after a form.
func formTargets(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || redirectURI == "":
		return "'none'"
	case u.Scheme != "http" && u.Scheme != "https":
		return "'self' " + u.Scheme + ":"
	case strings.ContainsAny(u.Host, "[;, '"):
		// A policy cannot contain an IPv6 address.
		return "'self' " + u.Scheme + ":"
	}
	return "'self' " + u.Scheme + "://" + u.Host
}
