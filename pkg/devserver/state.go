package devserver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const stateVersion = 1

// state survives a restart: the keys, the registered clients, and the refresh
// tokens as digests. Access tokens are verified with the keys; codes and device
// codes are too short-lived to matter.
type state struct {
	Version int              `json:"version"`
	Keys    []jsontext.Value `json:"keys"`
	Clients []clientState    `json:"clients"`
	Grants  []grantState     `json:"grants"`
	Refresh []refreshState   `json:"refresh_tokens"`
}

type clientState struct {
	ID           string    `json:"client_id"`
	Secret       string    `json:"client_secret,omitempty"`
	Keys         *jwks.Set `json:"jwks,omitzero"`
	AuthMethod   string    `json:"token_endpoint_auth_method"`
	Name         string    `json:"client_name,omitempty"`
	RedirectURIs []string  `json:"redirect_uris"`
	AfterLogout  []string  `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes   []string  `json:"grant_types"`
}

type grantState struct {
	ClientID string    `json:"client_id"`
	Subject  string    `json:"sub"`
	Scope    []string  `json:"scope"`
	Resource []string  `json:"resource"`
	AuthTime time.Time `json:"auth_time"`
	JKT      string    `json:"jkt,omitempty"`
	Revoked  bool      `json:"revoked,omitzero"`
}

type refreshState struct {
	Digest  string    `json:"sha256"`
	Grant   int       `json:"grant"` // index into the grants
	Expires time.Time `json:"expires"`
	Used    bool      `json:"used,omitzero"`
}

// save writes the state file, if there is one, atomically. A failure is reported
// by the next request whose result had to be stored.
func (s *Server) save() error {
	if s.config.State == "" {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	now, err := s.state()
	if err != nil {
		return err
	}
	data, err := json.Marshal(now, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(s.config.State), ".oauthctl-dev-*") // 0600
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	_, err = temporary.Write(data)
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), s.config.State)
	}
	if err != nil {
		return fmt.Errorf("state: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

func (s *Server) state() (*state, error) {
	now := &state{Version: stateVersion}
	s.keys.mu.Lock()
	for _, key := range s.keys.list {
		data, err := key.MarshalJWK()
		if err != nil {
			s.keys.mu.Unlock()
			return nil, fmt.Errorf("state: %w", err)
		}
		now.Keys = append(now.Keys, data)
	}
	s.keys.mu.Unlock()
	s.clients.mu.Lock()
	for _, c := range s.clients.byID {
		now.Clients = append(now.Clients, clientState{c.id, c.secret.Reveal(), c.keys, c.authMethod, c.name, c.redirectURIs, c.afterLogout, c.grantTypes})
	}
	s.clients.mu.Unlock()
	s.grants.mu.Lock()
	defer s.grants.mu.Unlock()
	indexes := map[*grant]int{}
	for d, t := range s.grants.refresh {
		i, known := indexes[t.grant]
		if !known {
			g := t.grant
			i = len(now.Grants)
			indexes[g] = i
			now.Grants = append(now.Grants, grantState{g.clientID, g.subject, g.scope, g.resource, g.authTime, g.jkt, g.revoked})
		}
		now.Refresh = append(now.Refresh, refreshState{hex.EncodeToString(d[:]), i, t.expires, t.used})
	}
	return now, nil
}

// restore reads the state file, if it exists.
func (s *Server) restore() error {
	if s.config.State == "" {
		return nil
	}
	data, err := os.ReadFile(s.config.State)
	if errors.Is(err, fs.ErrNotExist) {
		return s.save()
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	var before state
	if err := json.Unmarshal(data, &before, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s is not a state file of this server (%w); remove it to start again", s.config.State, err)
	}
	if before.Version != stateVersion || len(before.Keys) == 0 {
		return fmt.Errorf("%s: expected a state of version %d with keys, got version %d; remove it to start again", s.config.State, stateVersion, before.Version)
	}
	s.keys.list = nil
	for _, key := range before.Keys {
		read, err := jwks.ParsePrivate(key)
		if err != nil {
			return fmt.Errorf("%s: %w", s.config.State, err)
		}
		s.keys.list = append(s.keys.list, read)
	}
	s.config.Algorithm = s.keys.signing().Algorithm()
	for _, c := range before.Clients {
		if configured := s.clients.byID[c.ID]; configured != nil {
			continue // the configuration overrides the stored state
		}
		s.clients.byID[c.ID] = &client{
			id: c.ID, secret: secret.New(c.Secret), keys: c.Keys, authMethod: c.AuthMethod, name: c.Name,
			redirectURIs: c.RedirectURIs, afterLogout: c.AfterLogout, grantTypes: c.GrantTypes,
		}
	}
	return s.grants.restore(&before, s.config.State)
}

func (g *grants) restore(before *state, path string) error {
	all := make([]*grant, len(before.Grants))
	for i, old := range before.Grants {
		all[i] = &grant{clientID: old.ClientID, subject: old.Subject, scope: old.Scope, resource: old.Resource, authTime: old.AuthTime, jkt: old.JKT, revoked: old.Revoked}
	}
	for _, t := range before.Refresh {
		sum, err := hex.DecodeString(t.Digest)
		if err != nil || len(sum) != len(digest{}) || t.Grant < 0 || t.Grant >= len(all) {
			return fmt.Errorf("%s is damaged; remove it to start again", path)
		}
		g.refresh[digest(sum)] = &refreshToken{grant: all[t.Grant], expires: t.Expires, used: t.Used}
	}
	return nil
}
