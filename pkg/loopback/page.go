package loopback

import (
	"io"
	"net/http"
)

// Outcome is what the browser is shown at the end of a login.
type Outcome int

// The outcomes.
const (
	InTerminal Outcome = iota // not known here: the terminal shows it
	Succeeded                 // every check passed and the session is stored
	Failed
)

func (o Outcome) page() page {
	switch o {
	case Succeeded:
		return page{"You are logged in", "You can close this window and return to the terminal."}
	case Failed:
		return page{"The login failed", "The terminal shows the reason. You can close this window."}
	}
	return page{"Return to the terminal to finish", "The terminal shows whether the login succeeded. You can close this window."}
}

// A page is constant text: nothing that came with a request is ever shown.
type page struct{ title, text string }

var strayPage = page{"Nothing to do here", "This address waits for the end of a login, and this request is not it."}

func (p page) write(w http.ResponseWriter, status int) {
	writeHeader(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>"+p.title+" · oauthctl</title>\n"+
		"<style>"+style+"</style>\n<main>\n<h1>"+p.title+"</h1>\n<p>"+p.text+"</p>\n</main>\n</html>\n")
}

// writeRedirect sends the browser to path by a GET, which replaces the address
// with its parameters in the history.
func writeRedirect(w http.ResponseWriter, path string) {
	writeHeader(w)
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

func writeHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Connection", "close")
}

const style = `:root{color-scheme:light dark}body{display:grid;place-items:center;min-height:90vh;margin:0;padding:1rem;font:1.1rem/1.5 system-ui,sans-serif}main{max-width:32rem}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:0}`

// styleHash is the SHA-256 of style in base64, which the policy names so that no
// other style runs. The test computes it anew.
const styleHash = "CidxNwIZ78BLlhR8F3nkSjpvuMHVrdFC7yHFFHzoVRI="
