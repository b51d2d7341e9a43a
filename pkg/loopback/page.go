package loopback

import (
	"io"
	"net/http"
)

// A page is constant text: nothing that came with a request is ever shown.
type page struct{ title, text string }

var (
	donePage    = page{"You are logged in", "You can close this window and go back to the terminal."}
	failedPage  = page{"The login was not completed", "The terminal says why. You can close this window."}
	strayPage   = page{"Nothing to do here", "This address waits for the end of a login, and this request is not it."}
	alreadyPage = page{"This login has ended", "You can close this window."}
)

func (p page) write(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Connection", "close")
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>"+p.title+" · oauthctl</title>\n"+
		"<style>"+style+"</style>\n<main>\n<h1>"+p.title+"</h1>\n<p>"+p.text+"</p>\n</main>\n</html>\n")
}

const style = `:root{color-scheme:light dark}body{display:grid;place-items:center;min-height:90vh;margin:0;padding:1rem;font:1.1rem/1.5 system-ui,sans-serif}main{max-width:32rem}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:0}`

// styleHash is the SHA-256 of style in base64, which the policy names so that no
// other style runs. The test computes it anew.
const styleHash = "CidxNwIZ78BLlhR8F3nkSjpvuMHVrdFC7yHFFHzoVRI="
