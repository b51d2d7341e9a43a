package bearer

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "5"

// problem is the JSON body of a refusal (RFC 9457): the diagnosis id and its
// fixed sentence, and what is needed; no value from the token.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	ID     diagnosis.ID `json:"id"`
	Error  string       `json:"error,omitempty"`
	Scope  string       `json:"scope,omitempty"`
}

// refuse answers a request that is not let through (RFC 6750, section 3).
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, x *refusal) {
	if g.refused != nil {
		g.refused(r, x.why)
	}
	if g.log != nil {
		g.log.InfoContext(r.Context(), "request refused", "status", x.status, "id", string(x.why.ID), "reason", x.why.Error(), "method", r.Method, "path", r.URL.Path)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if x.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	} else {
		h.Add("WWW-Authenticate", g.challenge(x).String())
		// Without it a page's script cannot read why it was refused.
		h.Add("Access-Control-Expose-Headers", "WWW-Authenticate")
	}
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: x.why.Summary(), Status: x.status, ID: x.why.ID, Error: x.code, Scope: g.scope(x),
	})
	w.WriteHeader(x.status)
	if err == nil && r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}

func (g *guard) challenge(x *refusal) challenge.Challenge {
	c := challenge.Challenge{Scheme: "Bearer"}
	add := func(name, value string) {
		if value != "" {
			c.Params = append(c.Params, challenge.Param{Name: name, Value: value})
		}
	}
	add("realm", g.realm)
	add("error", x.code)
	if x.code != "" {
		add("error_description", string(x.why.ID)+": "+x.why.Summary())
	}
	add("scope", g.scope(x))
	add("resource_metadata", g.metadata)
	return c
}

// scope is what the operation needs, told where a client can act on it: when it
// has no token yet, or one that lacks a scope.
func (g *guard) scope(x *refusal) string {
	if x.status == http.StatusForbidden || x.status == http.StatusUnauthorized && x.code == "" {
		return strings.Join(append(append([]string(nil), g.need.Scopes...), g.need.AnyScopes...), " ")
	}
	return ""
}
