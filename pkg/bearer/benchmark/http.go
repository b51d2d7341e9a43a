package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The comparison over HTTP: the same API, GET /api/items, in a separate process
// for each kind of check. The CPU time of that process is measured, so the client
// and other processes do not count.

// httpServer is one of the servers: how it starts, and which tokens it is sent.
type httpServer struct {
	name     string
	kind     string // of ours; "" is FastAPI
	repeated bool   // send the same token with each request
	requests int    // in a turn
}

var httpServers = []httpServer{
	{"Go, no check", "open", false, 20_000},
	{"Go, the bare signature check", "bare", false, 20_000},
	{"oauthctl bearer, distinct tokens", "bearer", false, 20_000},
	{"oauthctl bearer with cache, one token", "cached", true, 20_000},
	{"FastAPI with python-jose, distinct tokens", "", false, 1000},
	{"FastAPI with python-jose, one token", "", true, 1000},
}

const httpTokens = 2000 // number of distinct tokens

// runHTTP prints the requests per second of CPU time of each server.
func runHTTP(rounds int, algs []string) error {
	fmt.Printf("%s, %s/%s; requests for each second of the server's CPU time, median of %d turns\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds)
	for _, alg := range algs {
		rates, err := measureHTTP(alg, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
		fmt.Printf("\n%s\n", alg)
		for _, s := range httpServers {
			if of, ok := rates[s.name]; ok {
				fmt.Printf("%-44s %8.0f\n", s.name, median(of))
			} else {
				fmt.Printf("%-44s not installed\n", s.name)
			}
		}
	}
	return nil
}

func measureHTTP(alg string, rounds int) (map[string][]float64, error) {
	s, err := newSubject(alg)
	if err != nil {
		return nil, err
	}
	tokens, err := s.distinct(httpTokens)
	if err != nil {
		return nil, err
	}
	type running struct {
		httpServer
		*process
	}
	var all []running
	for _, server := range httpServers {
		p, err := startServer(server.kind, s)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", server.name, err)
		}
		defer p.stop()
		all = append(all, running{server, p})
	}
	rates := map[string][]float64{}
	for round := range rounds + 1 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, r := range all {
			sent := tokens
			if r.repeated {
				sent = tokens[:1]
			}
			used, err := r.turn(r.requests, sent)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if round > 0 { // the first warms up
				rates[r.name] = append(rates[r.name], float64(r.requests)/used.Seconds())
			}
		}
	}
	return rates, nil
}

// process is a server that runs.
type process struct {
	cmd    *exec.Cmd
	url    string
	client *http.Client
}

func (p *process) stop() {
	p.client.CloseIdleConnections()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// turn sends requests over eight connections and returns the CPU time that they
// cost the server.
func (p *process) turn(requests int, tokens []string) (time.Duration, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	var group sync.WaitGroup
	failed := make(chan error, 8)
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < requests; i += 8 {
				if err := p.get(tokens[i%len(tokens)]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	after, err := p.cpu()
	return after - before, err
}

func (p *process) get(raw string) error {
	req, err := http.NewRequest(http.MethodGet, p.url+"/api/items", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+raw)
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %w", res.StatusCode, err)
	}
	return nil
}

// cpu returns the CPU time of the process, as Linux counts it in hundredths of a
// second.
func (p *process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	user, err1 := strconv.Atoi(string(fields[11]))
	system, err2 := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// startServer starts a server and tests that it verifies tokens.
func startServer(kind string, s subject) (*process, error) {
	set, err := jwks.NewSet(s.key).MarshalJSON()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self)
	if kind == "" {
		python, err := findPython()
		if err != nil {
			return nil, err
		}
		c = exec.Command(python, "-m", "uvicorn", "items:app", "--host", "127.0.0.1", "--port", port, "--no-access-log", "--log-level", "warning")
		c.Dir = "testdata"
	}
	c.Env = append(os.Environ(), "BENCHMARK_SERVER="+kind, "BENCHMARK_ADDRESS="+address, "KEYS="+string(set), "ALG="+s.alg, "ISSUER="+issuer, "AUDIENCE="+audience, "PYTHONDONTWRITEBYTECODE=1")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &process{c, "http://" + address, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 30 * time.Second}}
	for range 1000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return p, p.prove(kind, s)
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, errors.New("the server does not listen")
}

func (p *process) prove(kind string, s subject) error {
	if err := p.get(s.raw); err != nil {
		return fmt.Errorf("refuses a valid token: %w", err)
	}
	if kind != "open" && p.get(s.forged()) == nil {
		return errors.New("accepts a forged token")
	}
	return nil
}

func findPython() (string, error) {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import fastapi, jose, uvicorn").Run() == nil {
			return python, nil
		}
	}
	return "", errors.ErrUnsupported
}

// serveHTTP is a server of ours, as a process started by startServer.
func serveHTTP(kind string) error {
	set, err := jwks.Parse([]byte(os.Getenv("KEYS")))
	if err != nil {
		return err
	}
	s := subject{alg: os.Getenv("ALG"), key: set.All()[0], public: set.All()[0].Public()}
	var items http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"id":1,"name":"Widget"}]`)
	})
	switch kind {
	case "bare":
		items = bareHandler(s, items)
	case "bearer", "cached":
		options := token.Options{}
		if kind == "cached" {
			options.CacheTokens = 10_000
		}
		v, err := token.NewVerifier(issuer, []string{audience}, set, options)
		if err != nil {
			return err
		}
		items = bearer.Require(v, bearer.Scopes("items:read"))(items)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /api/items", items)
	return (&http.Server{Addr: os.Getenv("BENCHMARK_ADDRESS"), Handler: mux, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}

// bareHandler checks the signature of the token and nothing else.
func bareHandler(s subject, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := s
		s.raw = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		check, err := bareCheck(s)
		if err != nil || check() != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
