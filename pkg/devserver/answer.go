package devserver

import (
	"errors"
	"mime"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// bodyLimit is the maximum size of a request's body in bytes.
const bodyLimit = 64 << 10

// oauthError is an error response (RFC 6749, section 5.2), or the error in a
// redirect (section 4.1.2.1).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int    // 0 means 400
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refuse(code, description string) *oauthError {
	return &oauthError{Code: code, Description: description}
}

func serverError(err error) *oauthError {
	return &oauthError{Code: "server_error", Description: diagnosis.Shorten(err.Error(), 200), status: http.StatusInternalServerError}
}

// reason returns why a verifier refused something, without values.
func reason(err error) string {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.Summary()
	}
	return "it is not valid"
}

// idOf returns the id of a refusal.
func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return diagnosis.Malformed
}

func writeError(w http.ResponseWriter, e *oauthError) {
	status := e.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	writeJSON(w, status, e)
}

// writeJSON sends a response that must not be cached (RFC 6749, section 5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// readForm reads the parameters of a POST. Parameters in the URL are ignored, and
// only resource and audience may be repeated (RFC 6749, section 3.2; RFC 8707,
// section 2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return nil, refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		return nil, refuse("invalid_request", "the body is not a form of at most 64 KiB")
	}
	return r.PostForm, checkRepeated(r.PostForm)
}

func checkRepeated(form url.Values) *oauthError {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return refuse("invalid_request", "duplicate parameter "+quoted(name))
		}
	}
	return nil
}
