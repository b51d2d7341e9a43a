// Command gosdk is an MCP server of the Go SDK behind the SDK's own bearer middleware, with go-jose to verify the access
// tokens. It prints its address as a line of JSON, then reads the issuer whose tokens it accepts, and ends with its stdin.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	fmt.Printf("{\"url\":%q}\n", base)
	stdin := bufio.NewReader(os.Stdin)
	issuer, err := stdin.ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: handler(base, strings.TrimSpace(issuer)), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = stdin.ReadString('\n')
		os.Exit(0)
	}()
	log.Fatal(server.Serve(listener))
}

// handler serves two MCP endpoints that need different scopes, and their metadata.
func handler(base, issuer string) http.Handler {
	verifier := &verifier{issuer: issuer, audience: base + "/mcp"}
	tools := mcp.NewServer(&mcp.Implementation{Name: "gosdk", Version: "1"}, nil)
	mcp.AddTool(tools, &mcp.Tool{Name: "whoami"}, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "user " + req.Extra.TokenInfo.UserID}}}, nil, nil
	})
	endpoint := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	require := func(scope string) http.Handler {
		return auth.RequireBearerToken(verifier.verify, &auth.RequireBearerTokenOptions{
			ResourceMetadataURL: base + "/.well-known/oauth-protected-resource/mcp", Scopes: []string{scope},
		})(endpoint)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", require("items:read"))
	mux.Handle("/mcp/write", require("items:write"))
	mux.Handle("/.well-known/oauth-protected-resource/mcp", auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: base + "/mcp", AuthorizationServers: []string{issuer}, ScopesSupported: []string{"items:read", "items:write"},
	}))
	return mux
}

// verifier verifies the JWTs of one issuer for one audience. Its keys are fetched once.
type verifier struct {
	issuer, audience string

	once sync.Once
	keys jose.JSONWebKeySet
	err  error
}

func (v *verifier) fetch() {
	var res *http.Response
	if res, v.err = http.Get(v.issuer + "/jwks"); v.err == nil {
		defer res.Body.Close()
		v.err = json.NewDecoder(res.Body).Decode(&v.keys)
	}
}

func (v *verifier) verify(_ context.Context, raw string, _ *http.Request) (*auth.TokenInfo, error) {
	if v.once.Do(v.fetch); v.err != nil {
		return nil, v.err
	}
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err == nil {
		err = parsed.Claims(v.keys, &claims)
	}
	if err == nil {
		err = claims.ValidateWithLeeway(jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{v.audience}, Time: time.Now()}, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
	}
	return &auth.TokenInfo{Scopes: strings.Fields(claims.Scope), Expiration: claims.Expiry.Time(), UserID: claims.Subject}, nil
}
