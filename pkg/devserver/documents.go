package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	documentLimit = 16 << 10 // bytes
	documentWait  = 5 * time.Second
	documentTTL   = time.Minute
	maxDocuments  = 256
)

// documents fetches client id metadata documents. A client_id that is an https URL
// is the URL of a document that describes the client
// (draft-ietf-oauth-client-id-metadata-document).
type documents struct {
	insecure bool // allow http and private addresses

	mu    sync.Mutex
	known map[string]*document
}

// document is the result of a fetch.
type document struct {
	client  *client
	problem string
	expires time.Time
}

// clientOf returns a registered client, or one that is described by the
// document at its id. It returns nil if there is neither.
func (s *Server) clientOf(ctx context.Context, id string) *client {
	if c := s.clients.find(id); c != nil {
		return c
	}
	if !s.documents.isID(id) {
		return nil
	}
	return s.documents.get(ctx, id, s.now(), s.config.AnyRedirectURI).client
}

// whyUnknown returns why there is no client with that id.
func (s *Server) whyUnknown(ctx context.Context, id string) string {
	if s.documents.isID(id) {
		return "The client id metadata document " + quoted(id) + " is not valid: " + s.documents.get(ctx, id, s.now(), s.config.AnyRedirectURI).problem + "."
	}
	return "No client with the client_id " + quoted(id) + " is registered. Without a state file, registrations are lost when the server stops: register the client again, or configure it at start."
}

// isID reports whether a client_id is the URL of a document: https, with a path,
// without a fragment, user information or dot segments.
func (d *documents) isID(id string) bool {
	u, err := url.Parse(id)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(id, "#") || len(u.Path) < 2 {
		return false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return u.Scheme == "https" || d.insecure && u.Scheme == "http"
}

func (d *documents) get(ctx context.Context, id string, now time.Time, anyRedirect bool) *document {
	d.mu.Lock()
	found := d.known[id]
	d.mu.Unlock()
	if found != nil && now.Before(found.expires) {
		return found
	}
	fetched := &document{expires: now.Add(documentTTL)}
	m, err := d.fetch(ctx, id)
	if err == nil {
		fetched.client, err = m.client(id, anyRedirect)
	}
	if err != nil {
		fetched.problem = err.Error()
		fetched.expires = now.Add(time.Second) // its author will probably correct it soon
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxDocuments {
		d.known = map[string]*document{}
	}
	d.known[id] = fetched
	return fetched
}

// fetch requests a document without following redirects. Unless insecure is
// set, it connects to public addresses only, because the sender of the request
// chose the URL.
func (d *documents) fetch(ctx context.Context, id string) (*registration, error) {
	ctx, cancel := context.WithTimeout(ctx, documentWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, http.NoBody)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	req.Header.Set("Accept", "application/json")
	dialer := &net.Dialer{Timeout: documentWait}
	if !d.insecure {
		dialer.Control = onlyPublic
	}
	transport := &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: documentLimit}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("the request failed: %w", err)
	}
	defer res.Body.Close()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(res.Body, documentLimit+1))
	var m registration
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the response has status %d", res.StatusCode)
	case kind != "application/json" && !strings.HasSuffix(kind, "+json"):
		return nil, fmt.Errorf("the response is %s, not application/json", quoted(kind))
	case err != nil || len(body) > documentLimit:
		return nil, errors.New("the response is incomplete, or larger than 16 KiB")
	case json.Unmarshal(body, &m) != nil:
		return nil, errors.New("the response is not a JSON object with client metadata")
	}
	return &m, nil
}

// onlyPublic refuses connections to addresses that are not public.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || shared.Contains(ip) || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return fmt.Errorf("%s is not a public address", ip)
	}
	return nil
}

// client returns the client that a document describes.
func (m *registration) client(id string, anyRedirect bool) (*client, error) {
	switch {
	case m.ClientID != id:
		return nil, fmt.Errorf("its client_id is %s, not its own address", quoted(m.ClientID))
	case m.ClientSecret != "":
		return nil, errors.New("it has a client_secret, which everyone can read")
	case m.TokenEndpointAuthMethod == "":
		m.TokenEndpointAuthMethod = "none"
	}
	if !slices.Contains([]string{"none", "private_key_jwt"}, m.TokenEndpointAuthMethod) {
		return nil, fmt.Errorf("its token_endpoint_auth_method is %s, and a document has no secret", quoted(m.TokenEndpointAuthMethod))
	}
	if refused := m.check(anyRedirect); refused != nil {
		return nil, errors.New(refused.Description)
	}
	c := &client{id: id, authMethod: m.TokenEndpointAuthMethod, name: m.ClientName, redirectURIs: m.RedirectURIs, afterLogout: m.AfterLogout, grantTypes: m.GrantTypes}
	if m.TokenEndpointAuthMethod == "private_key_jwt" {
		keys, refused := readKeys(m.JWKS)
		if refused != nil {
			return nil, errors.New(refused.Description)
		}
		c.keys = keys
	}
	return c, nil
}
