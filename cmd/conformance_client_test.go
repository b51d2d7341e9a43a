package cmd_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// conformanceContext is what a scenario of the conformance suite provides to the client beforehand.
type conformanceContext struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PrivateKey   string `json:"private_key_pem"`
	Assertion    string `json:"valid_jwt"`
	IDPClientID  string `json:"idp_client_id"`
	IDPIssuer    string `json:"idp_issuer"`
	IDToken      string `json:"idp_id_token"`
}

// conformanceClient is the client that the conformance suite starts with the URL of an MCP server. It acts like a user
// with a terminal who runs oauthctl and follows its hints.
type conformanceClient struct {
	url      string
	scenario string
	version  string // of the protocol
	known    conformanceContext
	home     string
	env      []string
}

// runConformanceClient is the program mcp-client.
func runConformanceClient() int {
	home, err := os.MkdirTemp("", "mcp-client-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(home)
	c := &conformanceClient{url: os.Args[len(os.Args)-1], scenario: os.Getenv("MCP_CONFORMANCE_SCENARIO"), version: os.Getenv("MCP_CONFORMANCE_PROTOCOL_VERSION"), home: home}
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &c.known); err != nil {
			fmt.Fprintln(os.Stderr, "MCP_CONFORMANCE_CONTEXT:", err)
			return 1
		}
	}
	c.env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_STATE_HOME="+home, "NO_COLOR=1", "CI=")
	if c.known.ClientSecret != "" {
		c.env = append(c.env, "OAUTHCTL_CLIENT_SECRET="+c.known.ClientSecret)
	}
	return c.run()
}

func (c *conformanceClient) run() int {
	if code := c.logIn(); code != 0 {
		return code
	}
	methods := []string{"initialize", "tools/list", "tools/call"}
	if c.version == newestMCP {
		methods = methods[1:] // which has no handshake
	}
	for _, method := range methods {
		if code := c.call(method); code != 0 {
			return code
		}
	}
	return 0
}

// newestMCP is the newest version of the protocol that the suite knows.
const newestMCP = "2026-07-28"

// logIn gets the first token in the way of the scenario's client.
func (c *conformanceClient) logIn() int {
	switch strings.TrimPrefix(c.scenario, "auth/") {
	case "basic-cimd":
		c.env = append(c.env, "OAUTHCTL_CLIENT_METADATA_URL=https://conformance-test.local/client-metadata.json")
		return c.login(c.url)
	case "pre-registration":
		return c.login(c.url, "--client-id", c.known.ClientID)
	case "client-credentials-basic":
		return c.login(c.url, "--grant-type", "client_credentials", "--client-id", c.known.ClientID)
	case "client-credentials-jwt":
		key := c.file("key.pem", c.known.PrivateKey)
		return c.login(c.url, "--grant-type", "client_credentials", "--client-id", c.known.ClientID, "--signing-key", key, "--auth-method", "private_key_jwt")
	case "dpop", "dpop-nonce":
		return c.login(c.url, "--dpop")
	case "wif-jwt-bearer":
		return c.login(c.url, "--grant-type", "jwt-bearer", "--client-id", c.known.ClientID, "--assertion", "@"+c.file("workload.jwt", c.known.Assertion))
	case "enterprise-managed-authorization":
		return c.enterprise()
	}
	return c.login(c.url)
}

// login logs in, and follows a hint to another kind of login once.
func (c *conformanceClient) login(args ...string) int {
	args = append([]string{"login"}, args...)
	if !slices.Contains(args, "--grant-type") {
		args = append(args, "--browser")
	}
	code, _, stderr := c.oauthctl(args...)
	if hinted := hintedLogin(stderr); code != 0 && hinted != nil {
		code, _, _ = c.oauthctl(append(hinted, "--browser")...)
	}
	return code
}

// enterprise exchanges the ID token of the identity provider for an assertion grant, and the grant for a token of the
// API's server.
func (c *conformanceClient) enterprise() int {
	api, issuer, code := c.discover()
	if code != 0 {
		return code
	}
	ours := c.env
	c.env = append(slices.Clone(ours), "OAUTHCTL_ISSUER="+c.known.IDPIssuer, "OAUTHCTL_CLIENT_SECRET=")
	code, assertion, _ := c.oauthctl("exchange", "--client-id", c.known.IDPClientID, "--auth-method", "none",
		"--subject-token", "@"+c.file("id.jwt", c.known.IDToken), "--subject-token-type", "id_token",
		"--requested-token-type", "id-jag", "--audience", issuer, "--resource", api)
	c.env = ours
	if code != 0 {
		return code
	}
	return c.login(c.url, "--grant-type", "jwt-bearer", "--client-id", c.known.ClientID, "--assertion", "@"+c.file("grant.jwt", assertion))
}

// discover returns the identifiers of the API and of its authorization server.
func (c *conformanceClient) discover() (api, issuer string, code int) {
	code, stdout, _ := c.oauthctl("discover", c.url, "--json")
	if code != 0 {
		return "", "", code
	}
	var found struct {
		Resource struct{ Resource string } `json:"resource"`
		Server   struct{ Issuer string }   `json:"server"`
	}
	if err := json.Unmarshal([]byte(stdout), &found, json.MatchCaseInsensitiveNames(true)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return "", "", 1
	}
	return found.Resource.Resource, found.Server.Issuer, 0
}

// call sends one message, and logs in again as the hint says, at most twice.
func (c *conformanceClient) call(method string) int {
	for tries := 0; ; tries++ {
		code, _, stderr := c.oauthctl("call", "POST", c.url, "-d", message(method), "Accept:application/json, text/event-stream",
			"MCP-Protocol-Version:"+cmp.Or(c.version, "2025-11-25"), "Mcp-Method:"+method)
		hinted := hintedLogin(stderr)
		if code == 0 || hinted == nil || tries == 2 {
			return code
		}
		if code, _, _ := c.oauthctl(append(hinted, "--browser")...); code != 0 {
			return code
		}
	}
}

// message is a JSON-RPC request in the form of the newest specification, which older servers accept.
func message(method string) string {
	params := map[string]any{
		"_meta": map[string]any{
			"io.modelcontextprotocol/protocolVersion":    newestMCP,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "oauthctl", "version": "0"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		},
	}
	switch method {
	case "initialize":
		params["protocolVersion"], params["capabilities"] = "2025-11-25", map[string]any{}
		params["clientInfo"] = map[string]any{"name": "oauthctl", "version": "0"}
	case "tools/call":
		params["name"], params["arguments"] = "test-tool", map[string]any{}
	}
	data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(data)
}

var hint = regexp.MustCompile("(?m)^oauthctl: hint: .*?oauthctl (login\\b[^`;\n]*)")

// hintedLogin returns the arguments of the login in a hint, or nil if there is none.
func hintedLogin(stderr string) []string {
	found := hint.FindStringSubmatch(stderr)
	if found == nil {
		return nil
	}
	args := strings.Fields(strings.ReplaceAll(found[1], "'", ""))
	for _, a := range args {
		if strings.ToUpper(a) == a && strings.ToLower(a) != a {
			return nil // a placeholder that only a person can fill in
		}
	}
	return args
}

func (c *conformanceClient) file(name, content string) string {
	path := filepath.Join(c.home, name)
	if err := os.WriteFile(path, []byte(strings.TrimSpace(content)+"\n"), 0o600); err != nil {
		panic(err)
	}
	return path
}

// oauthctl runs the program and shows its output.
func (c *conformanceClient) oauthctl(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := exec.Command("oauthctl", args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &errs
	_ = cmd.Run()
	fmt.Fprintf(os.Stderr, "$ oauthctl %s\n%s%s(exit code %d)\n", strings.Join(args, " "), out.String(), errs.String(), cmd.ProcessState.ExitCode())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
