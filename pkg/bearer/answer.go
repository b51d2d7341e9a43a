package bearer

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = "5"

// problem is the JSON body of a refusal (RFC 9457): the diagnosis id and its
// fixed sentence, and what is needed; no value from the token.
type problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	ID     diagnosis.ID `json:"id"`
	Error  string       `json:"error,omitempty"`
	Scope  string       `json:"scope,omitempty"`
}

// refuse answers a request that is not let through (RFC 6750, section 3).
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, x *refusal) {
	if g.refused != nil {
		told := r
		if x.token != nil {
			told = r.WithContext(&admitted{r.Context(), x.token, g})
		}
		g.refused(told, x.why)
	}
	g.logRefusal(r, x)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	// What a page's script may not read otherwise: why it was refused.
	exposed := "WWW-Authenticate"
	if x.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
		exposed = "Retry-After"
	} else {
		for _, c := range g.challenges(x) {
			h.Add("WWW-Authenticate", c.String())
		}
	}
	if x.code == "use_dpop_nonce" && g.nonce != nil {
		h.Set("DPoP-Nonce", g.nonce())
		exposed += ", DPoP-Nonce"
	}
	h.Add("Access-Control-Expose-Headers", exposed)
	body, err := json.Marshal(problem{
		Title: http.StatusText(x.status), Status: x.status, Detail: x.why.Summary(), ID: x.why.ID, Error: x.code, Scope: x.scope,
	})
	w.WriteHeader(x.status)
	if err == nil && r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n'))
	}
}

func (g *gate) logRefusal(r *http.Request, x *refusal) {
	if g.log == nil {
		return
	}
	level := slog.LevelInfo
	if x.status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	g.log.LogAttrs(
		r.Context(), level, "request refused",
		slog.Int("status", x.status), slog.String("id", string(x.why.ID)), slog.String("reason", x.why.Error()),
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
	)
}

// challenges are one for each scheme that would do. The error stands with the
// scheme that was used; without credentials there is none.
func (g *gate) challenges(x *refusal) []challenge.Challenge {
	var all []challenge.Challenge
	if x.scheme != schemeDPoP {
		all = append(all, g.challenge(schemeBearer, x, true))
	}
	if g.dpop != nil {
		all = append(all, g.challenge(schemeDPoP, x, x.scheme == schemeDPoP))
	}
	return all
}

func (g *gate) challenge(scheme string, x *refusal, withError bool) challenge.Challenge {
	c := challenge.Challenge{Scheme: scheme}
	add := func(name, value string) {
		if value != "" {
			c.Params = append(c.Params, challenge.Param{Name: name, Value: value})
		}
	}
	add("realm", g.realm)
	if x.code != "" && withError {
		add("error", x.code)
		add("error_description", string(x.why.ID)+": "+x.why.Summary())
	}
	add("scope", x.scope)
	if scheme == schemeDPoP {
		add("algs", g.algorithms())
	}
	add("resource_metadata", g.metadata)
	return c
}

// algorithms are those that a proof may be signed with (RFC 9449, section 7.1).
func (g *gate) algorithms() string {
	if g.dpop.Algorithms != nil {
		return strings.Join(g.dpop.Algorithms, " ")
	}
	return strings.Join(jwks.PublicKeyAlgorithms(), " ")
}
