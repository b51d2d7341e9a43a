package bearer

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// refuse sends the response to a refused request (RFC 6750, section 3).
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, x *refusal) {
	if g.refused != nil {
		g.refused(r.WithContext(&admitted{r.Context(), x.token, g, x.pattern}), x.why)
	}
	g.logRefusal(r, x)
	h := w.Header()
	// Scripts in browsers can read the reason only if it is exposed.
	exposed := ""
	switch {
	case x.Status == http.StatusServiceUnavailable:
		exposed = "Retry-After"
	case x.Challenges():
		exposed = "WWW-Authenticate"
		for _, c := range g.challenges(x) {
			h.Add("WWW-Authenticate", c.String())
		}
	}
	if x.Code == "use_dpop_nonce" && g.nonce != nil {
		h.Set("DPoP-Nonce", g.nonce())
		exposed += ", DPoP-Nonce"
	}
	if exposed != "" {
		h.Add("Access-Control-Expose-Headers", exposed)
	}
	if g.body != nil {
		contentType, body := g.body(r, x.Problem)
		x.WriteBody(w, r, contentType, body)
		return
	}
	x.Write(w, r)
}

func (g *gate) logRefusal(r *http.Request, x *refusal) {
	if g.log == nil {
		return
	}
	level := slog.LevelInfo
	if x.Status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	g.log.LogAttrs(
		r.Context(), level, "request refused",
		slog.Int("status", x.Status), slog.String("id", string(x.why.ID)), slog.String("reason", x.why.Error()),
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("route", x.pattern),
	)
}

// challenges returns one challenge for each accepted scheme. The error is in
// the challenge of the request's scheme; without credentials there is none.
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
	if x.Code != "" && withError {
		add("error", x.Code)
		add("error_description", string(x.why.ID)+": "+x.why.Summary())
	}
	add("scope", x.Scope)
	if withError {
		add("acr_values", x.acr)
		if x.maxAge > 0 {
			add("max_age", strconv.Itoa(int(x.maxAge/time.Second)))
		}
	}
	if scheme == schemeDPoP {
		add("algs", g.algorithms())
	}
	add("resource_metadata", g.metadata)
	return c
}

// algorithms lists the algorithms that are accepted for proofs (RFC 9449,
// section 7.1).
func (g *gate) algorithms() string {
	if g.dpop.Algorithms != nil {
		return strings.Join(g.dpop.Algorithms, " ")
	}
	return strings.Join(jwks.PublicKeyAlgorithms(), " ")
}
