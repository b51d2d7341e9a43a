package doctor

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// The messages that are sent to an MCP server without a token.
const (
	mcpInitialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"oauthctl-doctor","version":"1"}}}`
	mcpDiscover   = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}`
	mcpListTools  = `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`
)

// looksLikeMCP reports whether the URL is probably an MCP server: the first response
// looks like one, or the last segment of the URL is mcp.
func (e *examination) looksLikeMCP() bool {
	u, err := url.Parse(e.config.URL)
	switch {
	case err != nil:
		return false
	case e.first == nil:
		return path.Base(u.Path) == "mcp"
	case e.first.header.Get("Mcp-Session-Id") != "", e.first.header.Get("MCP-Protocol-Version") != "":
		return true
	case bytes.Contains(e.first.body, []byte(`"jsonrpc"`)):
		return true
	}
	return path.Base(u.Path) == "mcp"
}

// greet sends the first message of an MCP session without a token.
func (e *examination) greet(ctx context.Context) {
	if e.first == nil && !isNotRecorded(e.firstErr) {
		return
	}
	a, _, err := e.post(ctx, mcpInitialize, nil)
	if e.greetErr = err; err != nil {
		return
	}
	e.greeting = a
	// The revision of 2026-07-28 has server/discover instead of initialize. -32601 is
	// JSON-RPC's "method not found".
	if a.status != http.StatusUnauthorized && bytes.Contains(a.body, []byte("-32601")) {
		if b, _, err := e.post(ctx, mcpDiscover, http.Header{"MCP-Protocol-Version": {"2026-07-28"}}); err == nil {
			e.greeting = b
		}
	}
}

func (e *examination) post(ctx context.Context, message string, header http.Header) (*answer, *Request, error) {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for name, values := range header {
		h[name] = values
	}
	return e.ask(ctx, http.MethodPost, e.config.URL, h, message)
}

// mcpStream checks the responses to a GET and to a message.
func (e *examination) mcpStream(context.Context) finding {
	invalid := func(a *answer, expected string) finding {
		f := failed(diagnosis.TransportInvalid, "the response to "+a.request.Method+" does not follow the MCP transport", a.request)
		f.expected, f.got = diagnosis.Values{expected}, diagnosis.Values{statusText(a.status) + ", " + mediaType(a)}
		return f
	}
	if g := e.greeting; g != nil && g.status < 300 && g.status != http.StatusAccepted && !isStream(g.header) && !g.isJSON() {
		return invalid(g, "JSON or an event stream")
	}
	switch a := e.first; {
	case a.status == http.StatusMethodNotAllowed, isStream(a.header) && a.status == http.StatusOK,
		a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return passed(statusText(a.status) + " to GET")
	case a.status == http.StatusBadRequest || a.status == http.StatusNotAcceptable || a.status == http.StatusNotFound:
		// A server with sessions refuses a GET without one.
		return passed(statusText(a.status) + " to GET without a session")
	default:
		return invalid(a, "405 or an event stream")
	}
}

// mcpOrigin sends a request like a page of another site, which must be refused.
func (e *examination) mcpOrigin(ctx context.Context) finding {
	a, r, err := e.post(ctx, mcpInitialize, http.Header{"Origin": {"https://attacker.example"}})
	switch {
	case err != nil:
		return failedWith(err, r)
	case a.status == http.StatusUnauthorized:
		return noted("not tested: the server requires a token before it checks Origin")
	case a.status >= 400:
		return passed(statusText(a.status) + " to an Origin of another site")
	}
	f := failed(diagnosis.OriginAccepted, "a request with the Origin of another site is accepted", r)
	f.expected, f.got = diagnosis.Values{"403"}, diagnosis.Values{statusText(a.status)}
	return f
}

// mcpRequests checks which requests need a token.
func (e *examination) mcpRequests(ctx context.Context) finding {
	switch {
	case e.greetErr != nil:
		return failedWith(e.greetErr, &Request{Method: http.MethodPost, URL: e.config.URL})
	case e.greeting == nil:
		return skipped("no response to initialize")
	case e.greeting.status == http.StatusUnauthorized:
		return passed("initialize needs a token")
	}
	header := http.Header{}
	for _, name := range []string{"Mcp-Session-Id", "MCP-Protocol-Version"} {
		if value := e.greeting.header.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	a, r, err := e.post(ctx, mcpListTools, header)
	switch {
	case err != nil:
		return failedWith(err, r)
	case a.status == http.StatusUnauthorized:
		return passed("tools/list needs a token")
	case a.status >= 300:
		return noted("tools/list without a token: " + statusText(a.status))
	}
	f := noted("initialize and tools/list are accepted without a token")
	f.id, f.request = diagnosis.NoTokenAccepted, r
	f.got = diagnosis.Values{statusText(a.status)}
	return f
}

// mcpScopes checks that the server publishes which scopes to request.
func (e *examination) mcpScopes(context.Context) finding {
	if e.resource == nil {
		return finding{}
	}
	switch scopes := e.resource.ScopesSupported; {
	case len(e.resource.ChallengeScope) > 0:
		return passed("the challenge requests " + strings.Join(e.resource.ChallengeScope, " "))
	case len(scopes) > 0:
		return passed(strings.Join(scopes, " "))
	}
	f := failed(diagnosis.ScopeRefused, "neither the challenge nor the metadata lists scopes", e.lastRequest(e.trail))
	f.expected, f.got = diagnosis.Values{"scopes_supported"}, diagnosis.None
	return f.warned().fixedBy("list the scopes in scopes_supported, so that a client does not request all or none")
}
