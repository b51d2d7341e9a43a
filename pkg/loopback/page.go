package loopback

import (
	"crypto/sha256"
	_ "embed" // for the style
	"encoding/base64"
	"io"
	"net/http"
)

// Outcome is the result of a login, as the browser shows it.
type Outcome int

// The outcomes.
const (
	InTerminal Outcome = iota // not known yet: the terminal shows it
	Succeeded                 // every check passed and the session is stored
	Failed
)

func (o Outcome) page() page {
	switch o {
	case Succeeded:
		return page{"You are logged in", "You can close this window and return to the terminal.", `<p class="sign success" aria-hidden="true">✓</p>` + "\n"}
	case Failed:
		return page{"The login failed", "The terminal shows the reason. You can close this window.", `<p class="sign failure" aria-hidden="true">✗</p>` + "\n"}
	}
	return page{"Return to the terminal to finish", "The terminal shows whether the login succeeded. You can close this window.", `<p class="sign" aria-hidden="true">…</p>` + "\n"}
}

// A page is constant text. It never contains anything from a request.
type page struct{ title, text, sign string }

var strayPage = page{"Nothing to do here", "This page only completes a login that is in progress.", ""}

func (p page) write(w http.ResponseWriter, status int) {
	writeHeader(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>"+p.title+" · oauthctl</title>\n"+
		"<style>"+style+"</style>\n<main>\n"+p.sign+"<h1>"+p.title+"</h1>\n<p>"+p.text+"</p>\n</main>\n</html>\n")
}

// writeRedirect redirects the browser to path with a GET. In the history, path
// replaces the address with its parameters.
func writeRedirect(w http.ResponseWriter, path string) {
	writeHeader(w)
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

func writeHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash()+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Connection", "close")
}

//go:embed page.css
var style string

// styleHash returns the hash of style that allows it in the Content-Security-Policy.
func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}
