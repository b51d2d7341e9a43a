// Package discovery finds what a client has to know before it can log in: from
// an API to its authorization server (RFC 9728), and from an issuer to its
// endpoints (RFC 8414, OpenID Connect Discovery 1.0).
//
// Start with [Find], which takes either; [FindResource] and [FindServer] are
// its two halves. What a document says about itself must match the place it was
// found at, exactly: an issuer that differs by one slash is another issuer, and
// is named as such. Members that nobody needs may be malformed: they are
// reported as Problems. Each search returns a [Trail] that a person can read.
//
// The package asks only what the caller named and what documents that passed
// their checks lead to, over https; a public server cannot point it at this
// machine. It keeps nothing between calls and fetches no keys.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Found is what [Find] found: the authorization server, and the API if the URL
// was one.
type Found struct {
	Resource *Resource // nil where the URL was an issuer
	Server   *Server
}

// Options is what a search may do beyond [Find]. The zero value is Find.
type Options struct {
	// Post allows one POST of an empty JSON object, without a token, to an API
	// that answers GET with a 4xx other than 401, 403 and 429: some APIs challenge
	// POST only. It is for a login, which the user asked for, and not for a search
	// that only looks.
	Post bool
}

// ServerAtOrigin is underneath a METADATA_NOT_FOUND where the API publishes
// nothing, but its origin is the issuer of an authorization server, as it is with
// older MCP servers. Whether that server is the API's is for the user to say.
type ServerAtOrigin struct{ Issuer, API string }

// Error names the issuer.
func (e *ServerAtOrigin) Error() string {
	return fmt.Sprintf("there is an authorization server at %s", diagnosis.Quote(e.Issuer))
}

// Find finds out whether rawURL is an API or an issuer, and finds the
// authorization server in both cases: an API's metadata is looked for first, and
// its first authorization server is used. The server's metadata has to name what
// a login needs. The URL of a metadata document stands for what it is made from.
// Errors are those of [FindResource] and [FindServer]; METADATA_NOT_FOUND may
// wrap a [*ServerAtOrigin].
func Find(ctx context.Context, c *safehttp.Client, rawURL string) (*Found, Trail, error) {
	return FindWith(ctx, c, rawURL, Options{})
}

// FindWith is [Find] with options.
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
		// Metadata of another resource at a shared host says nothing against
		// this URL being an issuer.
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

// another searches a server in addition, with a result of its own: why the
// resource was not found says nothing about the server. The trail is the whole.
func (f *finder) another(ctx context.Context, issuer string) (*Server, Trail, error) {
	next := finder{client: f.client, login: f.login, slow: f.slow}
	server, err := next.server(ctx, issuer)
	return server, append(f.trail, next.trail...), err
}

// atOrigin looks whether the origin of an API that has a path is an issuer.
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

// moreSevere chooses between the two searches' errors: a failed check first, then
// whatever says more than "not found".
func moreSevere(resource, server error, places int) error {
	switch {
	case severe(server), isNotFound(resource) && !isNotFound(server):
		return server
	case isNotFound(resource) && isNotFound(server):
		return fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
			ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{fmt.Sprintf("neither an API's nor an issuer's at %d places", places)},
		})
	}
	return resource
}

// CompleteURL adds the scheme that a user left out: http:// for a loopback host,
// else https://. A URL that has a scheme is returned as it is.
func CompleteURL(text string) string {
	if text == "" || strings.Contains(text, "://") || strings.HasPrefix(text, "/") {
		return text
	}
	if safehttp.IsLoopback(hostOf("https://"+text)) || strings.HasSuffix(hostOf("https://"+text), ".localhost") {
		return "http://" + text
	}
	return "https://" + text
}
