package devserver

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

//go:embed templates
var templates embed.FS

//go:embed templates/style.css
var style string

func parsePages() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // this package's own file
	}).ParseFS(templates, "templates/*.html")
}

// permission is a scope in a person's words.
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
	return all
}

// page is what the templates are filled with.
type page struct {
	Title       string
	Request     string // the visit
	CSRF        string
	Client      string
	RedirectsTo string
	User        string // who has logged in, or is likely to
	Permissions []permission
	API         string
	Issuer      string
	Problem     string
}

func (s *Server) pageOf(title, id string, v *visit) page {
	name := v.request.client.name
	if name == "" {
		name = "An application without a name"
	}
	return page{
		Title: title, Request: id, CSRF: v.csrf, Client: name, RedirectsTo: placeOf(v.request.redirectURI),
		User: v.login.user, API: s.config.API, Issuer: s.config.Issuer,
	}
}

// placeOf says where a redirect goes in a person's words.
func placeOf(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return "an unknown place"
	case safehttp.IsLoopback(u.Hostname()):
		return "a program on this computer"
	case u.Host != "":
		return u.Host
	}
	return "the application " + u.Scheme
}

func (s *Server) showLogin(w http.ResponseWriter, status int, id string, v *visit, user, problem string) {
	p := s.pageOf("Sign in", id, v)
	p.Problem, p.User = problem, user
	s.show(w, status, "login.html", p, v.request.redirectURI)
}

func (s *Server) showConsent(w http.ResponseWriter, id string, v *visit) {
	p := s.pageOf("Allow access?", id, v)
	p.Permissions = permissions(v.request.scope)
	s.show(w, http.StatusOK, "consent.html", p, v.request.redirectURI)
}

// showError tells a user what no client can be told.
func (s *Server) showError(w http.ResponseWriter, status int, problem string) {
	s.show(w, status, "error.html", page{Title: "This does not work", Problem: problem}, "")
}

func (s *Server) serveIndex(w http.ResponseWriter, _ *http.Request) {
	s.show(w, http.StatusOK, "index.html", page{Title: "Development authorization server", API: s.config.API, Issuer: s.config.Issuer}, "")
}

// show writes a page that runs nothing, loads nothing and is shown in no frame.
func (s *Server) show(w http.ResponseWriter, status int, name string, p page, redirectURI string) {
	var body bytes.Buffer
	if err := s.pages.ExecuteTemplate(&body, name, p); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256([]byte(style))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; base-uri 'none'; frame-ancestors 'none'; form-action "+formTargets(redirectURI))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// no-referrer would make the forms' Origin null.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// formTargets are where the page's forms may lead: here, and to the client,
// since browsers hold the redirect that follows a form to it as well.
func formTargets(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || redirectURI == "":
		return "'none'"
	case u.Scheme != "http" && u.Scheme != "https":
		return "'self' " + u.Scheme + ":"
	case strings.ContainsAny(u.Host, "[;, '"):
		// A policy cannot name an IPv6 address.
		return "'self' " + u.Scheme + ":"
	}
	return "'self' " + u.Scheme + "://" + u.Host
}
