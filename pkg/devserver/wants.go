package devserver

import (
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// builtinScopes are the scopes that clients discover. users:delete is granted
// only to a client that requests it by name.
func builtinScopes() []string {
	return []string{"openid", "offline_access", "profile", "email", "items:read", "items:write"}
}

const hiddenScope = "users:delete"

// scopesSupported are the scopes of the metadata.
func (s *Server) scopesSupported() []string {
	return distinct(builtinScopes(), s.config.Scopes)
}

// resources are the APIs that tokens can be issued for.
func (s *Server) resources() []string {
	return distinct([]string{s.config.API}, s.config.Resources)
}

func distinct(lists ...[]string) []string {
	var all []string
	for _, one := range slices.Concat(lists...) {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// readScope reads the scopes of a request, or returns the default ones.
func (s *Server) readScope(text string) ([]string, *oauthError) {
	supported := append(s.scopesSupported(), hiddenScope)
	scope := distinct(strings.Fields(text))
	for _, one := range scope {
		if !slices.Contains(supported, one) {
			return nil, refuse("invalid_scope", "unknown scope "+quoted(one)+"; the scopes are "+strings.Join(supported, " "))
		}
	}
	if scope != nil {
		return scope, nil
	}
	if len(s.config.Scopes) > 0 {
		return s.config.Scopes[:1], nil
	}
	return []string{"items:read"}, nil
}

// requestedResources returns the APIs that a request names: resource (RFC 8707,
// section 2), and audience, which some products use for the same.
func requestedResources(form url.Values) []string {
	return distinct(form["resource"], form["audience"])
}

// readResource reads the APIs that a request names, or returns the default one.
func (s *Server) readResource(form url.Values) ([]string, *oauthError) {
	requested := requestedResources(form)
	for _, one := range requested {
		if !slices.Contains(s.resources(), one) {
			return nil, refuse("invalid_target", "unknown resource "+quoted(one)+"; the resources are "+strings.Join(s.resources(), " "))
		}
	}
	if requested != nil {
		return requested, nil
	}
	if len(s.config.Resources) > 0 {
		return s.config.Resources[:1], nil
	}
	return []string{s.config.API}, nil
}

// quoted puts a value from outside into an error description, which RFC 6749
// keeps to printable ASCII without quotes and backslashes (section 5.2).
func quoted(value string) string {
	return "'" + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, diagnosis.Shorten(value, 200)) + "'"
}

// withoutUser leaves out what only a login gives.
func withoutUser(scope []string) []string {
	return slices.DeleteFunc(slices.Clone(scope), func(one string) bool { return one == "openid" || one == "offline_access" })
}

// checkNarrower refuses with code what was not granted.
func checkNarrower(requested, granted []string, code string) *oauthError {
	for _, one := range requested {
		if !slices.Contains(granted, one) {
			return refuse(code, quoted(one)+" was not granted; granted are "+strings.Join(granted, " "))
		}
	}
	return nil
}

func narrowed(requested, granted []string) []string {
	if len(requested) == 0 {
		return granted
	}
	return requested
}
