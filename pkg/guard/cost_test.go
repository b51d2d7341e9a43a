package guard_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// costRole makes this test binary run as one of the servers of [TestCost].
const costRole = "GUARD_COST_ROLE"

const costPolicy = "issuer: " + issuer + "\naudience: " + audience + `
routes:
  "GET /api/items": {scopes: [items:read]}
  "GET /healthz": {public: true}
`

// serveCost runs in the other process.
func serveCost(role string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	var handler http.Handler
	switch role {
	case "api":
		body := []byte(strings.Repeat("x", 1024))
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	case "bare":
		u, err := url.Parse(os.Getenv("GUARD_COST_API"))
		if err != nil {
			return err
		}
		_, transport, err := guard.ParseUpstream(u.String(), guard.TransportOptions{})
		if err != nil {
			return err
		}
		handler = &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded() }, Transport: transport}
	case "guard":
		if handler, err = costGuard(); err != nil {
			return err
		}
	case "proxy":
		if handler, err = costProxy(l.Addr().String()); err != nil {
			return err
		}
	}
	if role == "guard" || role == "proxy" {
		return guard.Serve(context.Background(), l, handler, time.Second)
	}
	return (&http.Server{Handler: handler}).Serve(l)
}

func costGuard() (http.Handler, error) {
	u, transport, err := guard.ParseUpstream(os.Getenv("GUARD_COST_API"), guard.TransportOptions{})
	if err != nil {
		return nil, err
	}
	set, err := jwks.Parse([]byte(os.Getenv("GUARD_COST_KEYS")))
	if err != nil {
		return nil, err
	}
	p, err := policyfile.Load([]byte(costPolicy), "policy.yaml")
	if err != nil {
		return nil, err
	}
	return guard.New(guard.Config{Upstream: u, Transport: transport, Policy: p, Keys: set, Requests: guard.LogNone, Verifier: token.Options{CacheTokens: 10_000}})
}

// oneToken is a source with one token.
type oneToken struct{}

// Token implements [apicall.TokenSource].
func (oneToken) Token(context.Context, secret.String) (apicall.AccessToken, error) {
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(strings.Repeat("t", 600))}, nil
}

// costProxy returns the handler of the command proxy, with one token.
func costProxy(address string) (http.Handler, error) {
	c := &apicall.Client{
		HTTP: &safehttp.Client{Secrets: &secret.Scrubber{}}, API: os.Getenv("GUARD_COST_API"),
		Source: apicall.Recent(oneToken{}, apicall.RecentOptions{Age: time.Second}),
	}
	return apicall.NewProxy(c, address, apicall.ProxyOptions{Open: true})
}

type costServer struct {
	url string
	pid int
}

func startCost(t *testing.T, role string, env ...string) costServer {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), costRole+"="+role), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return costServer{"http://" + strings.TrimSpace(line), cmd.Process.Pid}
}

// cpu returns the CPU time that the process has used, in ticks of 10 ms.
func (s costServer) cpu(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Skip(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// load sends n requests over 8 connections and returns the number of requests
// per second of the server's CPU time.
func (s costServer) load(t *testing.T, tokens []string, n int) float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	before := s.cpu(t)
	var group sync.WaitGroup
	for k := range 8 {
		group.Go(func() {
			for i := k; i < n; i += 8 {
				req, _ := http.NewRequest("GET", s.url+"/api/items", http.NoBody)
				req.Header.Set("Authorization", "Bearer "+tokens[i%len(tokens)])
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
					return
				}
			}
		})
	}
	group.Wait()
	return float64(n) / (float64(s.cpu(t)-before) / 100)
}

// costSetup returns n distinct tokens, and the environment of the servers in
// front of the API.
func costSetup(t *testing.T, n int) (tokens, env []string) {
	t.Helper()
	if os.Getenv("GUARD_COST") == "" {
		t.Skip("set GUARD_COST=1 to measure (docs/performance.md)")
	}
	key, err := jwks.GenerateRSA("RS256", 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	for i := range n {
		raw, err := token.Sign(key, "at+jwt", map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "client_id": "app", "jti": strconv.Itoa(i), "iat": now, "exp": now + 3600, "scope": "items:read"})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, raw)
	}
	keys, err := json.Marshal(jwks.NewSet(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	api := startCost(t, "api")
	return tokens, []string{"GUARD_COST_API=" + api.url, "GUARD_COST_KEYS=" + string(keys)}
}

// TestCost compares the requests per CPU second of a guard with those of a bare
// httputil.ReverseProxy, with tokens that repeat and tokens that do not. It
// reports medians and asserts only that requests succeed, because the machine
// may be busy.
func TestCost(t *testing.T) {
	n, rounds := 6000, 5
	tokens, env := costSetup(t, n)
	bare := startCost(t, "bare", env...)
	var distinct, repeated []float64
	for range rounds {
		g := startCost(t, "guard", env...) // a new one, whose cache is empty
		plain := bare.load(t, tokens, n)
		first := g.load(t, tokens, n)
		again := g.load(t, tokens[:100], n)
		t.Logf("bare %.0f/s, distinct %.0f/s, repeated %.0f/s", plain, first, again)
		distinct, repeated = append(distinct, first/plain), append(repeated, again/plain)
	}
	slices.Sort(distinct)
	slices.Sort(repeated)
	t.Logf("requests per CPU second of a bare ReverseProxy: %.2f distinct RS256 tokens, %.2f repeated", distinct[rounds/2], repeated[rounds/2])
}

// TestProxyCost compares the requests per CPU second of the proxy that adds a
// token with those of a bare httputil.ReverseProxy, like [TestCost].
func TestProxyCost(t *testing.T) {
	n, rounds := 6000, 5
	tokens, env := costSetup(t, 1)
	bare, proxy := startCost(t, "bare", env...), startCost(t, "proxy", env...)
	var shares []float64
	for range rounds {
		plain := bare.load(t, tokens, n)
		attached := proxy.load(t, tokens, n)
		t.Logf("bare %.0f/s, proxy %.0f/s", plain, attached)
		shares = append(shares, attached/plain)
	}
	slices.Sort(shares)
	t.Logf("requests per CPU second of a bare ReverseProxy: %.2f", shares[rounds/2])
}

// latencies sends n requests at a steady rate, without waiting for earlier
// responses, and returns the sorted durations.
func (s costServer) latencies(t *testing.T, tokens []string, n, perSecond int) []time.Duration {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	took := make([]time.Duration, n)
	var group sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		group.Go(func() {
			req, _ := http.NewRequest("GET", s.url+"/api/items", http.NoBody)
			req.Header.Set("Authorization", "Bearer "+tokens[i%len(tokens)])
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if took[i] = time.Since(due); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	return took
}

// TestLatency reports the time that a guard adds to a request at 300 requests a
// second, compared with a bare httputil.ReverseProxy: medians of interleaved
// rounds, with tokens that do not repeat. Like [TestCost], it asserts no time.
func TestLatency(t *testing.T) {
	n, rounds := 3000, 5
	tokens, env := costSetup(t, n)
	bare := startCost(t, "bare", env...)
	added := map[int][]time.Duration{50: nil, 99: nil}
	for range rounds {
		g := startCost(t, "guard", env...)
		for _, server := range []costServer{bare, g} { // connections are open and code is warm afterwards
			server.latencies(t, tokens[:100], 300, 300)
		}
		plain, guarded := bare.latencies(t, tokens, n, 300), g.latencies(t, tokens, n, 300)
		for percentile := range added {
			i := n * percentile / 100
			t.Logf("p%d: bare %s, guard %s", percentile, plain[i], guarded[i])
			added[percentile] = append(added[percentile], guarded[i]-plain[i])
		}
	}
	for percentile, all := range added {
		slices.Sort(all)
		t.Logf("added p%d: %s", percentile, all[rounds/2])
	}
}
