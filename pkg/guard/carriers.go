package guard

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// either verifies JWTs by their signature and other tokens by asking about them.
type either struct{ signed, opaque bearer.Verifier }

func (e either) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if e.opaque != nil && strings.Count(raw, ".") != 2 {
		return e.opaque.Verify(ctx, raw)
	}
	return e.signed.Verify(ctx, raw)
}

// Carriers are places of a token for clients that cannot send Authorization. The
// zero value has none. A token in the query is never accepted.
type Carriers struct {
	// Header is a header whose value is the token.
	Header string
	// Cookie is a cookie whose value is the token. A browser sends it with every
	// request, even with those of other sites: set SameSite, and have the API
	// check Origin.
	Cookie string
	// Subprotocol accepts it from a browser's WebSocket, as the subprotocol after
	// "bearer": new WebSocket(url, ["bearer", token]).
	Subprotocol bool
}

const subprotocol = "bearer"

// find moves the token of a request to Authorization; ok is false if it is in
// several places. It removes the token from its place, so that the API does not
// receive it.
func (c Carriers) find(r *http.Request) (found *http.Request, ok bool) {
	if c == (Carriers{}) {
		return r, true
	}
	copied := *r
	copied.Header = r.Header.Clone()
	var tokens []string
	if c.Header != "" {
		name := http.CanonicalHeaderKey(c.Header)
		tokens = append(tokens, copied.Header[name]...)
		delete(copied.Header, name)
	}
	if c.Cookie != "" {
		tokens = append(tokens, takeCookie(copied.Header, c.Cookie)...)
	}
	if c.Subprotocol {
		tokens = append(tokens, takeSubprotocol(copied.Header)...)
	}
	switch given := len(r.Header["Authorization"]); {
	case len(tokens) == 0:
		return &copied, true
	case len(tokens)+given > 1:
		return &copied, false
	}
	copied.Header["Authorization"] = []string{"Bearer " + tokens[0]}
	return &copied, true
}

// takeCookie removes a cookie and returns its values.
func takeCookie(h http.Header, name string) []string {
	var values, rest []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if key, value, _ := strings.Cut(pair, "="); key == name {
				values = append(values, strings.Trim(value, `"`))
			} else if pair != "" {
				rest = append(rest, pair)
			}
		}
	}
	if values == nil {
		return nil
	}
	if delete(h, "Cookie"); rest != nil {
		h["Cookie"] = []string{strings.Join(rest, "; ")}
	}
	return values
}

// takeSubprotocol removes "bearer" and the next element from the subprotocols
// of a WebSocket request (RFC 6455, section 11.3.4).
func takeSubprotocol(h http.Header) []string {
	offered := strings.Split(strings.Join(h["Sec-Websocket-Protocol"], ","), ",")
	for i := range offered {
		offered[i] = strings.TrimSpace(offered[i])
	}
	i := slices.Index(offered, subprotocol)
	if i < 0 || i+1 >= len(offered) {
		return nil
	}
	value := offered[i+1]
	offered = slices.Delete(offered, i, i+2)
	if delete(h, "Sec-Websocket-Protocol"); len(offered) > 0 {
		h["Sec-Websocket-Protocol"] = []string{strings.Join(offered, ", ")}
	}
	return []string{value}
}
