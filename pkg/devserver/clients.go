package devserver

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// client is a registered client. It is immutable.
type client struct {
	id           string
	secret       secret.String // empty for a public client, and for one with keys
	keys         *jwks.Set     // of a client that signs assertions; nil for others
	authMethod   string
	name         string
	redirectURIs []string
	grantTypes   []string
}

func (c *client) isPublic() bool { return c.secret.IsZero() && c.keys == nil }

// clients is the register of clients.
type clients struct {
	mu   sync.Mutex
	byID map[string]*client
}

func newClients() clients {
	return clients{byID: map[string]*client{
		"oauthctl-dev": {
			id: "oauthctl-dev", authMethod: "none", name: "oauthctl",
			redirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"},
			grantTypes:   []string{"authorization_code", "refresh_token", grantDeviceCode, grantTokenExchange},
		},
		"service": {
			id: "service", secret: secret.New("secret"), authMethod: "client_secret_basic", name: "service",
			grantTypes: []string{"client_credentials", grantTokenExchange},
		},
	}}
}

func (c *clients) find(id string) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

// add keeps a client.
func (c *clients) add(n *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[n.id] = n
}

// configure adds a client that is there from the start: a public one may do all
// that a user can, one with a secret acts for itself as well.
func (c *clients) configure(n Client) error {
	if n.ID == "" {
		return errors.New("a client needs an id")
	}
	for _, uri := range n.RedirectURIs {
		if !isRedirectURI(uri) {
			return fmt.Errorf("client %q: expected a redirect URI that is https or loopback, got %s", diagnosis.Quote(n.ID), diagnosis.Quote(uri))
		}
	}
	added := &client{
		id: n.ID, secret: secret.New(n.Secret), authMethod: "none", name: n.ID, redirectURIs: n.RedirectURIs,
		grantTypes: []string{"authorization_code", "refresh_token", grantDeviceCode, grantTokenExchange},
	}
	if n.RedirectURIs == nil {
		added.redirectURIs = []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"}
	}
	if n.Secret != "" {
		added.authMethod = "client_secret_basic"
		added.grantTypes = append(added.grantTypes, "client_credentials")
	}
	c.add(added)
	return nil
}

// redirectsTo reports whether a redirect URI is one of the client's: the same
// string, or for a loopback one the same but for the port (RFC 8252, section 7.3).
func (c *client) redirectsTo(raw string) bool {
	return slices.ContainsFunc(c.redirectURIs, func(registered string) bool {
		return registered == raw || sameButPort(registered, raw)
	})
}

func sameButPort(registered, raw string) bool {
	a, err := url.Parse(registered)
	b, bErr := url.Parse(raw)
	if err != nil || bErr != nil || a.Scheme != "http" || b.Scheme != "http" || !safehttp.IsLoopback(a.Hostname()) || a.Hostname() != b.Hostname() {
		return false
	}
	a.Host, b.Host = a.Hostname(), b.Hostname()
	return a.String() == b.String()
}

// isRedirectURI reports whether a redirect URI may be registered: https, http on
// a loopback address, or a private-use scheme with a dot (RFC 8252, section 7.1),
// none of them with a fragment.
func isRedirectURI(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || strings.Contains(raw, "#") || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		return safehttp.IsLoopback(u.Hostname())
	}
	return strings.Contains(u.Scheme, ".")
}
