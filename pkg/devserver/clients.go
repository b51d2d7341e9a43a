package devserver

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// client is a registered client. It is immutable.
type client struct {
	id           string
	secret       secret.String // empty for a public client, and for one with keys
	keys         *jwks.Set     // of a client that signs assertions, otherwise nil
	authMethod   string
	name         string
	redirectURIs []string
	afterLogout  []string // post_logout_redirect_uris; nil means the origins of redirectURIs
	grantTypes   []string
	claims       map[string]any
}

func (c *client) isPublic() bool { return c.secret.IsZero() && c.keys == nil }

func (c *client) uses(grantType string) bool { return slices.Contains(c.grantTypes, grantType) }

// clients holds the registered clients.
type clients struct {
	mu   sync.Mutex
	byID map[string]*client
}

// nativeRedirects lists the redirect URIs of a native client, with any port.
func nativeRedirects() []string {
	return []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"}
}

// userGrants lists the grants with which a client acts for a user.
func userGrants() []string {
	return []string{"authorization_code", "refresh_token", grantDeviceCode, grantTokenExchange, grantJWTBearer}
}

func newClients() clients {
	return clients{byID: map[string]*client{
		"oauthctl-dev": {
			id: "oauthctl-dev", authMethod: "none", name: "oauthctl",
			redirectURIs: nativeRedirects(), grantTypes: userGrants(),
		},
		"service": {
			id: "service", secret: secret.New("secret"), authMethod: "client_secret_basic", name: "service",
			grantTypes: []string{"client_credentials", grantTokenExchange, grantJWTBearer},
		},
	}}
}

func (c *clients) find(id string) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

// all returns the clients sorted by id.
func (c *clients) all() []*client {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*client
	for _, one := range c.byID {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *client) int { return strings.Compare(a.id, b.id) })
	return list
}

func (c *clients) add(n *client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID[n.id] = n
}

// configure adds a client at start. A public client may use every grant for
// users; a client with a secret may also use client credentials.
func (c *clients) configure(n Client, anyRedirect bool) error {
	if n.ID == "" {
		return errors.New("a client needs an id")
	}
	if err := checkClaims(n.Claims); err != nil {
		return fmt.Errorf("client %s: %w", diagnosis.Quote(n.ID), err)
	}
	for _, uri := range slices.Concat(n.RedirectURIs, n.PostLogoutRedirectURIs) {
		if !isRedirectURI(uri, anyRedirect) {
			err := fmt.Errorf("client %s: %s, got %s", diagnosis.Quote(n.ID), redirectRule(anyRedirect), diagnosis.Quote(uri))
			if isRedirectURI(uri, true) {
				return refusedAs{err, ErrRedirectURI}
			}
			return err
		}
	}
	added := &client{
		id: n.ID, secret: secret.New(n.Secret), authMethod: "none", name: n.ID, claims: n.Claims,
		redirectURIs: n.RedirectURIs, afterLogout: n.PostLogoutRedirectURIs, grantTypes: userGrants(),
	}
	if n.RedirectURIs == nil {
		added.redirectURIs = nativeRedirects()
	}
	if n.Secret != "" {
		added.authMethod = "client_secret_basic"
		added.grantTypes = append(added.grantTypes, "client_credentials")
	}
	c.add(added)
	return nil
}

// redirectsTo reports whether a redirect URI is registered for the client: it is
// the same string, or the same loopback URI with another port (RFC 8252, section
// 7.3).
func (c *client) redirectsTo(raw string) bool { return isOneOf(c.redirectURIs, raw) }

func isOneOf(registered []string, raw string) bool {
	return slices.ContainsFunc(registered, func(one string) bool { return one == raw || sameButPort(one, raw) })
}

// leavesTo reports whether a browser may be redirected there after a logout.
func (c *client) leavesTo(raw string) bool {
	if c.afterLogout != nil {
		return isOneOf(c.afterLogout, raw)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return c.redirectsTo(raw)
	}
	return slices.ContainsFunc(c.redirectURIs, func(one string) bool {
		registered, err := url.Parse(one)
		if err != nil || registered.Host == "" {
			return false
		}
		anyPort := registered.Scheme == "http" && u.Scheme == "http" && safehttp.IsLoopback(u.Hostname()) && u.Hostname() == registered.Hostname()
		return anyPort || safehttp.Origin(registered) == safehttp.Origin(u)
	}) || c.redirectsTo(raw)
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

// redirectRule describes which redirect URIs can be registered.
func redirectRule(anyRedirect bool) string {
	if anyRedirect {
		return "expected a redirect URI with http, https or a private-use scheme, without a fragment"
	}
	return "expected a redirect URI with https, with http on a loopback address, or with a private-use scheme that has a dot, and without a fragment; the server can be configured to accept any"
}

// isRedirectURI reports whether a redirect URI can be registered: https, http on
// a loopback address, or a private-use scheme with a dot (RFC 8252, section 7.1),
// without a fragment. With anyHost, http may have any host, and a scheme needs no
// dot; schemes that browsers handle themselves are never allowed.
func isRedirectURI(raw string, anyHost bool) bool {
	u, err := url.Parse(raw)
	if err != nil || strings.Contains(raw, "#") || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		return u.Host != "" && (anyHost || safehttp.IsLoopback(u.Hostname()))
	case "", "javascript", "data", "vbscript", "file", "blob", "about", "view-source":
		return false
	}
	return anyHost || strings.Contains(u.Scheme, ".")
}
