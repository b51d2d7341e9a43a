package devserver

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// api is the demo API: items can be listed and added, and users can be deleted.
type api struct {
	mu    sync.Mutex
	items []item
}

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// apiScopes returns the scopes of the API's operations.
func apiScopes() []string { return []string{"items:read", "items:write", "users:delete"} }

const resourceMetadata = "/.well-known/oauth-protected-resource"

// newAPI protects the API with the packages of this module.
func (s *Server) newAPI() (http.Handler, error) {
	// The host does not matter: the handler itself serves the keys, including
	// faults.
	keys := jwks.NewRemote("http://127.0.0.1"+s.at("/jwks"), jwks.RemoteOptions{
		HTTP: &safehttp.Client{Transport: within{s.authorizationServer}}, Now: s.now,
	})
	verifier, err := token.NewVerifier(s.config.Issuer, []string{s.config.API}, keys, token.Options{Now: s.now})
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(bearer.Metadata{
		Resource: s.config.API, AuthorizationServers: []string{s.config.Issuer}, ResourceName: "oauthctl dev",
		ScopesSupported: []string{"items:read", "items:write"}, BearerMethodsSupported: []string{"header"},
	})
	if err != nil {
		return nil, err
	}
	plain, demanding := s.proofs(false), s.proofs(true)
	require := func(scope string, next http.HandlerFunc) http.Handler {
		protect := func(more ...bearer.Option) http.Handler {
			return bearer.Require(verifier, append(more, bearer.Scopes(scope), bearer.Revocation(&s.grants), bearer.OnRefusal(noteRefusal), bearer.ResourceMetadata(s.config.API+resourceMetadata))...)(next)
		}
		withNonce := protect(bearer.DPoP(demanding, s.config.API), bearer.DPoPNonce(func() string { return s.nonce }))
		without := protect(bearer.DPoP(plain, s.config.API))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if faultsOf(r).has(FaultDPoPNonce) {
				withNonce.ServeHTTP(w, r)
				return
			}
			without.ServeHTTP(w, r)
		})
	}
	a := &api{items: []item{{1, "Widget"}, {2, "Gadget"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+resourceMetadata, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, jsontext.Value(document))
	})
	mux.Handle("GET /api/items", require("items:read", a.list))
	mux.Handle("POST /api/items", require("items:write", a.add))
	mux.Handle("DELETE /api/users/{id}", require("users:delete", a.deleteUser))
	mux.HandleFunc("GET /{$}", s.serveAPIIndex)
	return s.withBodyLimit(s.withConsole(laneAPI, withCORSEverywhere(s.withFaults(mux)))), nil
}

// noteRefusal records the API's refusal for the console.
func noteRefusal(r *http.Request, d *diagnosis.Diagnosis) {
	if n := stepOf(r); n != nil {
		n.refusal = &refusal{d.ID, d.Error()}
	}
}

const apiPage markup = `<h1>Demo API</h1>
<p>This API accepts access tokens from <code>%s</code> for the resource <code>%s</code>.</p>
<ul>
<li>List items <code>GET /api/items</code> <code>items:read</code></li>
<li>Add an item <code>POST /api/items</code> <code>items:write</code></li>
<li>Delete a user <code>DELETE /api/users/{id}</code> <code>users:delete</code></li>
</ul>
<p><a href="%s">Metadata of this API</a></p>
<h2>Next commands</h2>
<pre tabindex="0"><code>oauthctl login %s
oauthctl call GET /api/items</code></pre>
`

// serveAPIIndex shows the operations of the API and the next commands.
func (s *Server) serveAPIIndex(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "Demo API", fill(apiPage, s.config.Issuer, s.config.API, resourceMetadata, s.config.API), "")
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	items := slices.Clone(a.items)
	a.mu.Unlock()
	writeJSON(w, http.StatusOK, items)
}

// maxItems is the maximum number of stored items.
const maxItems = 1000

func (a *api) add(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		writeProblem(w, http.StatusRequestEntityTooLarge, "the body is larger than 64 KiB", nil)
		return
	}
	n, faults, err := readItem(body)
	switch {
	case err != nil:
		writeProblem(w, http.StatusBadRequest, "the body is not one JSON object", nil)
		return
	case len(faults) > 0:
		writeProblem(w, http.StatusUnprocessableEntity, "the item is not valid", faults)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.items, func(one item) bool { return one.ID == n.ID })
	switch {
	case i >= 0:
		a.items[i] = n
	case len(a.items) >= maxItems:
		writeProblem(w, http.StatusInsufficientStorage, "the maximum number of items is reached", nil)
		return
	default:
		a.items = append(a.items, n)
	}
	writeJSON(w, http.StatusCreated, n)
}

// fieldFault describes an error in a field of the body.
type fieldFault struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// readItem parses an item and returns all fields with errors.
func readItem(body []byte) (item, []fieldFault, error) {
	var fields map[string]jsontext.Value
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return item{}, nil, fmt.Errorf("expected a JSON object: %w", io.ErrUnexpectedEOF)
	}
	var (
		n      item
		faults []fieldFault
	)
	if json.Unmarshal(fields["id"], &n.ID) != nil || fields["id"].Kind() != '0' || n.ID < 1 {
		faults = append(faults, fieldFault{"id", "expected an integer of at least 1"})
	}
	if json.Unmarshal(fields["name"], &n.Name) != nil || strings.TrimSpace(n.Name) == "" || len(n.Name) > 200 {
		faults = append(faults, fieldFault{"name", "expected a string of 1 to 200 bytes"})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "id" && name != "name" {
			faults = append(faults, fieldFault{name, "unknown field"})
		}
	}
	return n, faults, nil
}

// deleteUser does not delete the user, because later tests need it.
func (a *api) deleteUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 {
		writeProblem(w, http.StatusNotFound, "user not found", nil)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// writeProblem sends problem details (RFC 9457).
func writeProblem(w http.ResponseWriter, status int, title string, faults []fieldFault) {
	body, err := json.Marshal(struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Errors []fieldFault `json:"errors,omitempty"`
	}{"about:blank", title, status, faults})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// within is a transport that calls a handler without a network.
type within struct{ handler http.Handler }

// RoundTrip calls the handler.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &recorded{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(answer, r.WithContext(withLane(r.Context(), laneAPI)))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.header, Body: io.NopCloser(&answer.body), ContentLength: int64(answer.body.Len()), Request: r,
	}, nil
}

type recorded struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (a *recorded) Header() http.Header         { return a.header }
func (a *recorded) Write(p []byte) (int, error) { return a.body.Write(p) }
func (a *recorded) WriteHeader(status int)      { a.status = status }
