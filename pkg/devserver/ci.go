package devserver

import (
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// ciTTL is the lifetime of a CI job's identity token.
const ciTTL = 5 * time.Minute

// ciSystems lists the CI systems whose identity tokens this server can sign, to
// try out pipelines.
func ciSystems() []string { return []string{"github", "gitlab"} }

// ciIssuers holds the key of each CI system, generated when it is first needed.
type ciIssuers struct {
	mu   sync.Mutex
	keys map[string]*jwks.PrivateKey
}

func newCIIssuers() *ciIssuers { return &ciIssuers{keys: map[string]*jwks.PrivateKey{}} }

func (c *ciIssuers) key(system string) (*jwks.PrivateKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys[system] == nil {
		key, err := generate("RS256", 0)
		if err != nil {
			return nil, err
		}
		c.keys[system] = key
	}
	return c.keys[system], nil
}

func (c *ciIssuers) keySet(system string) token.KeySet {
	key, err := c.key(system)
	if err != nil {
		return jwks.NewSet()
	}
	return jwks.NewSet(key.Public())
}

// ciSystem returns the CI system of an issuer identifier.
func (s *Server) ciSystem(issuer string) (string, bool) {
	system, ok := strings.CutPrefix(issuer, s.base+"/ci/")
	return system, ok && slices.Contains(ciSystems(), system)
}

// ciClaims returns the claims of a job on the main branch, as documented by the
// systems.
func ciClaims(system string) map[string]any {
	if system == "gitlab" {
		return map[string]any{
			"sub":            "project_path:example/project:ref_type:branch:ref:main",
			"namespace_path": "example", "project_path": "example/project", "project_id": "1",
			"ref": "main", "ref_type": "branch", "ref_protected": "true", "pipeline_source": "push", "job_id": "1", "user_login": "alice",
		}
	}
	return map[string]any{
		"sub":        "repo:example/project:ref:refs/heads/main",
		"repository": "example/project", "repository_owner": "example", "ref": "refs/heads/main", "ref_type": "branch",
		"workflow": "ci", "job_workflow_ref": "example/project/.github/workflows/ci.yml@refs/heads/main",
		"event_name": "push", "actor": "alice", "run_id": "1", "runner_environment": "github-hosted",
	}
}

// serveCIToken signs the identity token of a CI job. The parameter audience is
// its audience; any other parameter replaces the claim with its name. The
// response has the form of the system's own.
func (s *Server) serveCIToken(w http.ResponseWriter, r *http.Request) {
	system := r.PathValue("system")
	if !slices.Contains(ciSystems(), system) {
		http.NotFound(w, r)
		return
	}
	if !s.ownHost(r) || len(r.Header.Values("Origin")) > 0 {
		http.Error(w, "only programs can use this, not web pages", http.StatusForbidden)
		return
	}
	key, err := s.ci.key(system)
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	now := s.now()
	claims := ciClaims(system)
	for name, values := range r.URL.Query() {
		if name != "audience" && !slices.Contains([]string{"iss", "exp", "iat", "nbf", "jti", "aud"}, name) {
			claims[name] = values[0]
		}
	}
	claims["iss"], claims["jti"] = s.base+"/ci/"+system, rand.Text()
	claims["iat"], claims["nbf"], claims["exp"] = now.Unix(), now.Unix(), now.Add(ciTTL).Unix()
	claims["aud"] = s.config.Issuer
	if audience := r.URL.Query().Get("audience"); audience != "" {
		claims["aud"] = audience
	}
	raw, err := token.Sign(key, "JWT", claims)
	switch {
	case err != nil:
		http.Error(w, "the token cannot be signed", http.StatusInternalServerError)
	case system == "gitlab": // its jobs get the token in a variable
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, raw)
	default:
		writeJSON(w, http.StatusOK, map[string]any{"value": raw})
	}
}

// serveCIMetadata serves the metadata of a CI system's issuer.
func (s *Server) serveCIMetadata(w http.ResponseWriter, r *http.Request) {
	system := r.PathValue("system")
	if !slices.Contains(ciSystems(), system) {
		http.NotFound(w, r)
		return
	}
	issuer := s.base + "/ci/" + system
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/jwks", "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// serveCIKeys serves the key set of a CI system's issuer.
func (s *Server) serveCIKeys(w http.ResponseWriter, r *http.Request) {
	system := r.PathValue("system")
	if !slices.Contains(ciSystems(), system) {
		http.NotFound(w, r)
		return
	}
	key, err := s.ci.key(system)
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": []*jwks.Key{key.Public()}})
}
