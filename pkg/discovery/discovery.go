// Package discovery finds what a client has to know before it can log in: from
// an API to its authorization server (RFC 9728), and from an issuer to its
// endpoints (RFC 8414, OpenID Connect Discovery 1.0).
//
// Start with [Find], which takes either; [FindResource] and [FindServer] are
// its two halves. What a document says about itself must match the place it was
// found at, exactly: an issuer that differs by one slash is another issuer, and
// is named as such. Each search returns a [Trail] that a person can read.
//
// The package asks only what the caller named and what documents that passed
// their checks lead to, over https; a public server cannot point it at this
// machine. It keeps nothing between calls and fetches no keys.
package discovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Found is what [Find] found: the authorization server, and the API if the URL
// was one.
type Found struct {
	Resource *Resource // nil where the URL was an issuer
	Server   *Server
}

// Find tells whether rawURL is an API or an issuer, and finds the authorization
// server in both cases: an API's metadata is looked for first, and its first
// authorization server is the one taken. Errors are those of [FindResource] and
// [FindServer].
func Find(ctx context.Context, c *safehttp.Client, rawURL string) (*Found, Trail, error) {
	f := finder{client: c}
	resource, challenged, err := f.resource(ctx, rawURL)
	if err != nil {
		if challenged || f.gone || ctx.Err() != nil || f.trail == nil {
			return nil, f.trail, err
		}
		// Metadata of another resource at a shared host says nothing against
		// this URL being an issuer.
		server, trail, serverErr := FindServer(ctx, c, rawURL)
		trail = append(f.trail, trail...)
		if serverErr == nil {
			return &Found{Server: server}, trail, nil
		}
		return nil, trail, heavier(err, serverErr, len(trail))
	}
	issuer := rawURL
	if len(resource.AuthorizationServers) > 0 {
		issuer = resource.AuthorizationServers[0]
	}
	server, trail, err := FindServer(ctx, c, issuer)
	trail = append(f.trail, trail...)
	if err != nil && len(resource.AuthorizationServers) == 0 {
		err = fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
			ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"authorization_servers in the protected resource metadata"}, Got: diagnosis.None, Err: err,
		})
	}
	if err != nil {
		return nil, trail, err
	}
	return &Found{Resource: resource, Server: server}, trail, nil
}

// heavier chooses between the two searches' errors: a broken check first, then
// whatever says more than "not found".
func heavier(resource, server error, places int) error {
	notFound := &diagnosis.Diagnosis{ID: diagnosis.MetadataNotFound}
	isNotFound := func(err error) bool {
		var d *diagnosis.Diagnosis
		return errors.As(err, &d) && d.ID == notFound.ID
	}
	switch {
	case grave(server), isNotFound(resource) && !isNotFound(server):
		return server
	case isNotFound(resource) && isNotFound(server):
		notFound.Got = diagnosis.Values{fmt.Sprintf("neither an API's nor an issuer's at %d places", places)}
		return fmt.Errorf("discovery: %w", notFound)
	}
	return resource
}
