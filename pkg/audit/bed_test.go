package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const audience = "http://api.test"

// operations are those of the planted API.
func operations() []audit.Operation {
	id := func(value, absent string) []audit.Param {
		return []audit.Param{{Name: "id", In: "path", Value: value, Absent: absent, Required: true}}
	}
	return []audit.Operation{
		{Method: "GET", Path: "/health", Access: audit.Public},
		{Method: "GET", Path: "/items", Scopes: []string{"items:read"}},
		{Method: "GET", Path: "/me"},
		{Method: "GET", Path: "/items/{id}", Scopes: []string{"items:read"}, Params: id("1", "999")},
		{Method: "POST", Path: "/items", Scopes: []string{"items:write"}, Body: &audit.Body{MediaType: "application/json", Valid: []byte(`{"name":"x"}`), Invalid: []byte(`{}`)}},
		{Method: "DELETE", Path: "/users/{id}", Scopes: []string{"users:delete"}, Params: id("1", "999")},
	}
}

// configOf returns the configuration that audits an API which trusts the
// issuer.
func configOf(t testing.TB, issuer *audit.Issuer, target string, transport http.RoundTripper) audit.Config {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Config{
		Target: u, Operations: operations(), Transport: transport, Unsafe: audit.Dry,
		Tokens:     &audit.Signer{Issuer: issuer.URL(), Audience: audience, Own: issuer},
		Revocation: true, Rotation: 50 * time.Millisecond,
	}
}

// setup returns the planted API with its issuer, and a configuration that
// audits it in this process.
func setup(t testing.TB, bugs ...string) (*planted, audit.Config) {
	t.Helper()
	issuer, err := audit.NewIssuer("http://issuer.test", "")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlanted(issuer.URL(), issuer.JWKSURI(), bugs)
	p.http, p.revoked = &http.Client{Transport: audit.InProcess(issuer.Handler())}, issuer.IsRevoked
	return p, configOf(t, issuer, "http://localhost", audit.InProcess(p))
}

func newPlanted(issuer, keySet string, bugs []string) *planted {
	p := &planted{bugs: map[string]bool{}, issuer: issuer, audience: audience, keySet: keySet, http: http.DefaultClient}
	for _, bug := range bugs {
		p.bugs[bug] = true
	}
	return p
}

// overHTTP serves an API on a free port and changes the configuration to audit
// it there.
func overHTTP(t testing.TB, c *audit.Config, api http.Handler) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Target, c.Transport = target, nil
}

// behind protects an API with the middleware of this module, and returns the
// configuration that audits it by its policy.
func behind(t testing.TB, text, algorithm string, api http.HandlerFunc) audit.Config {
	t.Helper()
	issuer, err := audit.NewIssuer("http://issuer.test", algorithm)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policyfile.Load([]byte("issuer: http://issuer.test\n"+text), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := rules.Verifier(issuer, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := configOf(t, issuer, "http://localhost", audit.InProcess(bearer.Require(verifier, bearer.Policy(rules))(api)))
	c.Operations, c.Revocation, c.Rotation = audit.FromPolicy(rules, "policy.yaml", nil), false, 0
	return c
}

// The planted API as a separate process: this test binary again. The variable
// has the issuer and the bugs.
const plantedVariable = "OAUTHCTL_TEST_PLANTED"

// revocationList is a path of the issuer that only says whether a token was
// revoked. Introspection would also refuse forged tokens, and so hide the bugs.
const revocationList = "/revocation-list"

func TestMain(m *testing.M) {
	if given, ok := os.LookupEnv(plantedVariable); ok {
		os.Exit(servePlanted(strings.Fields(given)))
	}
	os.Exit(m.Run())
}

// servePlanted prints the URL of the API and serves it until standard input ends.
func servePlanted(given []string) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	issuer := given[0]
	p := newPlanted(issuer, issuer+"/jwks", given[1:])
	p.revoked = func(raw string) bool {
		res, err := http.PostForm(issuer+revocationList, url.Values{"token": {raw}})
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusGone
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	fmt.Println("http://" + l.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = server.Close()
	return 0
}

// process starts the planted API as a process that trusts an issuer in this
// process, and audits it over the network.
func process(t testing.TB, bugs ...string) audit.Config {
	t.Helper()
	own := httptest.NewUnstartedServer(nil)
	issuer, err := audit.NewIssuer("http://"+own.Listener.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	served := http.NewServeMux()
	served.Handle("/", issuer.Handler())
	served.HandleFunc("POST "+revocationList, func(w http.ResponseWriter, r *http.Request) {
		if issuer.IsRevoked(r.PostFormValue("token")) {
			w.WriteHeader(http.StatusGone)
		}
	})
	own.Config.Handler = served
	own.Start()
	t.Cleanup(own.Close)

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), plantedVariable+"="+strings.Join(append([]string{issuer.URL()}, bugs...), " "))
	child.Stderr, child.WaitDelay = os.Stderr, 5*time.Second
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := child.Wait(); err != nil {
			t.Errorf("the API's process: %v", err)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return configOf(t, issuer, strings.TrimSpace(address), nil)
}

func run(t testing.TB, c audit.Config) *audit.Report {
	t.Helper()
	a, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a.Run(t.Context())
}
