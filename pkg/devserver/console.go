package devserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// maxSteps is the number of steps that the console stores.
const maxSteps = 300

// console records the requests to both servers and shows them to browsers on
// this machine, see [console.guard].
type console struct {
	server *Server
	csrf   string // the CSRF token of the forms

	mu       sync.Mutex
	last     int64
	steps    []*step
	watchers map[chan *step]struct{}
}

func newConsole(s *Server) *console {
	return &console{server: s, csrf: rand.Text(), watchers: map[chan *step]struct{}{}}
}

func (c *console) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /_console/events", c.guard(c.serveEvents))
	mux.HandleFunc("GET /_console/steps/{id}", c.guard(c.serveStep))
	mux.HandleFunc("POST /_console/faults", c.guard(c.form(c.takeFaults)))
	mux.HandleFunc("POST /_console/clear", c.guard(c.form(c.takeClear)))
}

// isLocal reports whether a request comes from this machine, uses one of its
// loopback names, and did not pass a proxy or a tunnel.
func isLocal(r *http.Request) bool {
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !safehttp.IsLoopback(remote) {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return false
		}
	}
	return safehttp.IsLoopback(strings.Trim(host, "[]"))
}

// guard serves the console only to this machine.
func (c *console) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			http.Error(w, "the console is available only to browsers on this machine, at a loopback address", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// form checks a form of the console: it must come from the same origin and have
// the CSRF token.
func (c *console) form(take func(url.Values) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
		if r.ParseForm() != nil || http.NewCrossOriginProtection().Check(r) != nil ||
			subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(c.csrf)) != 1 {
			http.Error(w, "this form was not sent by the console; reload the page", http.StatusForbidden)
			return
		}
		if err := take(r.PostForm); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, c.server.at("/"), http.StatusSeeOther)
	}
}

// takeFaults replaces the active faults with those selected in the form.
func (c *console) takeFaults(form url.Values) error {
	var list []string
	for _, name := range form["fault"] {
		if value := form.Get("value-" + name); value != "" {
			name += "=" + value
		}
		list = append(list, name)
	}
	set, err := parseFaults(list)
	if err != nil {
		return err
	}
	c.server.setFaults(set)
	c.changed()
	return nil
}

func (c *console) takeClear(url.Values) error {
	c.mu.Lock()
	c.steps = nil
	c.mu.Unlock()
	return nil
}

// add stores a step and sends it to the open pages.
func (c *console) add(n *step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	n.id = c.last
	if len(c.steps) >= maxSteps {
		c.steps = slices.Delete(c.steps, 0, 1)
	}
	c.steps = append(c.steps, n)
	c.notify(n)
}

// changed sends the state to the open pages.
func (c *console) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify(nil)
}

// notify sends a value to every open page. A page that does not read is
// disconnected and loads again.
func (c *console) notify(n *step) {
	for watcher := range c.watchers {
		select {
		case watcher <- n:
		default:
			delete(c.watchers, watcher)
			close(watcher)
		}
	}
}

// since returns the steps after an id, and a channel for later steps.
func (c *console) since(id int64) ([]*step, chan *step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	watcher := make(chan *step, 64)
	c.watchers[watcher] = struct{}{}
	var missed []*step
	for _, one := range c.steps {
		if one.id > id {
			missed = append(missed, one)
		}
	}
	return missed, watcher
}

func (c *console) forget(watcher chan *step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, watcher)
}

func (c *console) all() []*step {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.steps)
}

func (c *console) find(id string) *step {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil
	}
	for _, one := range c.all() {
		if one.id == number {
			return one
		}
	}
	return nil
}

type stepKey struct{}

// stepOf returns the step of a request, or nil without a console.
func stepOf(r *http.Request) *step {
	n, _ := r.Context().Value(stepKey{}).(*step)
	return n
}

// withConsole records each request to a server as a step.
func (s *Server) withConsole(at lane, next http.Handler) http.Handler {
	if s.console == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, s.path)
		if at == laneServer && (path == "" || path == "/" || strings.HasPrefix(path, "/_console/")) || path == "/favicon.ico" || isPreflight(r) {
			next.ServeHTTP(w, r)
			return
		}
		n := &step{at: s.now(), to: at, method: r.Method, path: path}
		began := time.Now()
		if r.Body == nil { // from a handler in the same process
			r.Body = http.NoBody
		}
		sent := &copied{ReadCloser: r.Body}
		t := &tap{ResponseWriter: w}
		inner := r.WithContext(context.WithValue(r.Context(), stepKey{}, n))
		inner.Body = sent
		next.ServeHTTP(t, inner)
		n.took = time.Since(began)
		n.complete(s, r, sent.data.Bytes(), t)
		s.console.add(n)
	})
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// refusalOf maps the error codes of the protocols to ids.
func refusalOf(code string) diagnosis.ID {
	switch code {
	case "invalid_grant", "expired_token":
		return diagnosis.GrantInvalid
	case "invalid_client", "unauthorized_client":
		return diagnosis.ClientRefused
	case "invalid_scope":
		return diagnosis.ScopeRefused
	case "invalid_target":
		return diagnosis.ResourceRefused
	case "access_denied":
		return diagnosis.AccessDenied
	case "login_required", "consent_required", "interaction_required":
		return diagnosis.LoginRequired
	case "invalid_client_metadata", "invalid_redirect_uri":
		return diagnosis.DCRRefused
	case "use_dpop_nonce":
		return diagnosis.DPoPNonce
	case "invalid_dpop_proof":
		return diagnosis.DPoPInvalid
	case "server_error", "temporarily_unavailable":
		return diagnosis.ServerError
	case "invalid_token":
		return diagnosis.APIUnauthorized
	case "insufficient_scope":
		return diagnosis.ScopeMissing
	}
	return diagnosis.RequestRefused
}
