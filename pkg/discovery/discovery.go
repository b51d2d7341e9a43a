// Package discovery finds what a client needs before it can log in: the
// authorization server of an API (RFC 9728), and the endpoints of an issuer
// (RFC 8414, OpenID Connect Discovery 1.0).
//
// Start with [Find], which accepts the URL of an API or an issuer. It combines
// [FindResource] and [FindServer]. The identifier in a document must match the
// URL where it was found exactly; an issuer that differs by one slash is
// another issuer. Members that are not needed may be malformed; they are
// reported as Problems. Each search returns a [Trail] for display.
//
// The package requests only the URL of the caller and the URLs in documents
// that passed their checks, over https. A public server cannot direct it to
// this machine. It stores nothing between calls and fetches no keys.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Found is the result of [Find]: the authorization server, and the API if the
// URL was one.
type Found struct {
	Resource *Resource // nil if the URL was an issuer
	Server   *Server
}

// Options changes a search. The zero value is the search of Find.
type Options struct {
	// Post allows one POST of an empty JSON object, without a token, to an API
	// whose response to GET is a 4xx other than 401, 403 and 429, because some
	// APIs challenge POST only. Set it for a login that the user started, and not
	// to show metadata.
	Post bool
}

// ServerAtOrigin is the error wrapped by METADATA_NOT_FOUND if the API has no
// metadata but its origin is the issuer of an authorization server, as with older
// MCP servers. Only the user can decide whether the API uses that server.
type ServerAtOrigin struct{ Issuer, API string }

// Error returns a message with the issuer.
func (e *ServerAtOrigin) Error() string {
	return fmt.Sprintf("there is an authorization server at %s", diagnosis.Quote(e.Issuer))
}

// Find determines whether rawURL is an API or an issuer, and finds the
// authorization server. It looks for an API's metadata first and uses the first
// authorization server in it. The server's metadata must have the endpoints that
// a login needs. Instead of an API or an issuer, rawURL may be the URL of its
// metadata document. Errors are those of [FindResource] and [FindServer];
// METADATA_NOT_FOUND may wrap a [*ServerAtOrigin].
func Find(ctx context.Context, c *safehttp.Client, rawURL string) (*Found, Trail, error) {
	return FindWith(ctx, c, rawURL, Options{})
}

// FindWith is like [Find], with options.
func FindWith(ctx context.Context, c *safehttp.Client, rawURL string, o Options) (*Found, Trail, error) {
	f := finder{client: c, login: true, post: o.Post}
	if u, err := safehttp.CheckURL(rawURL); err == nil {
		if _, ok := issuerOfDocument(u); ok {
			server, err := f.server(ctx, rawURL)
			return found(nil, server), f.trail, err
		}
	}
	resource, challenged, err := f.resource(ctx, rawURL)
	if err != nil {
		if challenged || f.gone || ctx.Err() != nil || f.trail == nil {
			return nil, f.trail, err
		}
		// On a shared host, metadata of another resource does not mean that
		// this URL is not an issuer.
		server, trail, serverErr := f.another(ctx, rawURL)
		if serverErr == nil {
			return found(nil, server), trail, nil
		}
		if err = moreSevere(err, serverErr, len(trail)); isNotFound(err) {
			return f.atOrigin(ctx, rawURL, trail, err)
		}
		return nil, trail, err
	}
	issuer := rawURL
	if len(resource.AuthorizationServers) > 0 {
		issuer = resource.AuthorizationServers[0]
	}
	server, trail, err := f.another(ctx, issuer)
	if err != nil && len(resource.AuthorizationServers) == 0 {
		err = fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
			ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"authorization_servers in the protected resource metadata"}, Got: diagnosis.None, Err: err,
		})
	}
	return found(resource, server), trail, err
}

func found(resource *Resource, server *Server) *Found {
	if server == nil {
		return nil
	}
	return &Found{Resource: resource, Server: server}
}

// another searches for a server with separate error handling, because the
// reason why the resource was not found does not apply to the server. The trail
// is shared.
func (f *finder) another(ctx context.Context, issuer string) (*Server, Trail, error) {
	next := finder{client: f.client, login: f.login, slow: f.slow}
	server, err := next.server(ctx, issuer)
	return server, append(f.trail, next.trail...), err
}

// atOrigin checks whether the origin of an API with a path is an issuer.
func (f *finder) atOrigin(ctx context.Context, api string, trail Trail, notFound error) (*Found, Trail, error) {
	u, err := safehttp.CheckURL(api)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return nil, trail, notFound
	}
	f.trail = trail
	server, trail, err := f.another(ctx, u.Scheme+"://"+u.Host)
	if err != nil {
		return nil, trail, notFound
	}
	return nil, trail, fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
		ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{"no metadata of the API"},
		Err: &ServerAtOrigin{Issuer: server.Issuer, API: api},
	})
}

func isNotFound(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.ID == diagnosis.MetadataNotFound
}

// moreSevere returns the more severe of two errors: a failed check first, then
// any error other than "not found".
func moreSevere(resource, server error, places int) error {
	switch {
	case severe(server), isNotFound(resource) && !isNotFound(server):
		return server
	case isNotFound(resource) && isNotFound(server):
		return fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
			ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{fmt.Sprintf("neither an API's nor an issuer's metadata at %d URLs", places)},
		})
	}
	return resource
}

// CompleteURL adds a missing scheme: http:// for a loopback host, otherwise
// https://. A URL with a scheme is not changed.
func CompleteURL(text string) string {
	scheme, _, absolute := strings.Cut(text, "://")
	if absolute && !strings.ContainsAny(scheme, "/?#") || text == "" || strings.HasPrefix(text, "/") {
		return text
	}
	if safehttp.IsLoopback(hostOf("https://" + text)) {
		return "http://" + text
	}
	return "https://" + text
}
