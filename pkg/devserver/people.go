package devserver

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// defaultPassword is the password of users without one.
const defaultPassword = "password"

// DefaultUsers returns the built-in users. A user in [Config.Users] with the same
// name replaces one of them.
func DefaultUsers() []User {
	return []User{
		{Name: "alice", Password: defaultPassword, FullName: "Alice Example", Email: "alice@example.com"},
		{Name: "bob", Password: defaultPassword, FullName: "Bob Example", Email: "bob@example.com"},
	}
}

// addUsers adds the built-in users before the configured ones.
func (s *Server) addUsers() error {
	s.users = append(DefaultUsers(), s.config.Users...)
	for i, u := range s.users {
		if u.Name == "" {
			return errors.New("a user needs a name")
		}
		if err := checkClaims(u.Claims); err != nil {
			return fmt.Errorf("user %s: %w", diagnosis.Quote(u.Name), err)
		}
		if u.Password == "" {
			s.users[i].Password = defaultPassword
		}
	}
	if _, known := s.user(s.config.AutoUser); !known {
		return fmt.Errorf("the user %s for automatic logins does not exist", diagnosis.Quote(s.config.AutoUser))
	}
	return nil
}

// user returns the last user with that name, so that a configured user replaces
// a built-in one.
func (s *Server) user(name string) (User, bool) {
	for _, u := range slices.Backward(s.users) {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

// hinted returns the user with the name or e-mail address in login_hint.
func (s *Server) hinted(hint string) (User, bool) {
	if u, ok := s.user(hint); ok {
		return u, true
	}
	for _, u := range slices.Backward(s.users) {
		if u.Email != "" && u.Email == hint {
			return u, true
		}
	}
	return User{}, false
}

// addIdentity adds the user's claims that the scopes allow (OpenID Connect Core,
// section 5.4), and the configured ones.
func (s *Server) addIdentity(claims map[string]any, subject string, scope []string) {
	who, known := s.user(subject)
	if !known {
		return
	}
	if slices.Contains(scope, "profile") {
		claims["name"], claims["preferred_username"] = who.FullName, who.Name
	}
	if slices.Contains(scope, "email") && who.Email != "" {
		claims["email"], claims["email_verified"] = who.Email, true
	}
	maps.Copy(claims, who.Claims)
}

// addConfigured adds the configured claims of a grant's user and client. Those of
// the user override those of the client.
func (s *Server) addConfigured(claims map[string]any, g *grant) {
	if c := s.clients.find(g.clientID); c != nil {
		maps.Copy(claims, c.claims)
	}
	if who, known := s.user(g.subject); known {
		maps.Copy(claims, who.Claims)
	}
	maps.Copy(claims, g.claims)
}
