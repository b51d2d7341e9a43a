package cmd_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// TestMain makes this test binary act as the program itself, for scripts and for tests that need real processes. It
// also acts as the browser that the program opens (xdg-open), with a user who clicks through.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"oauthctl": func() {
			quietCoverage()
			code := cmd.Main()
			notePeak()
			os.Exit(code)
		},
		"xdg-open": func() { os.Exit(openAsBrowser()) },
		// The client that the conformance suite starts.
		"mcp-client": func() { os.Exit(runConformanceClient()) },
	})
}

// quietCoverage gives the program a folder for its coverage data, which testscript removes at the end. Without one,
// each process prints a warning under `go test -cover`.
func quietCoverage() {
	if testing.CoverMode() == "" || os.Getenv("GOCOVERDIR") != "" {
		return
	}
	if program, err := exec.LookPath(os.Args[0]); err == nil {
		_ = os.Setenv("GOCOVERDIR", filepath.Dir(program))
	}
}

// openAsBrowser acts as the user's browser. BROWSER_LOGIN signs in. BROWSER_FIRST is opened before: a stray request or
// a forged response, with PORT and STATE filled in from the authorization URL.
func openAsBrowser() int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	login := os.Getenv("BROWSER_LOGIN")
	if login == "" {
		login = "alice"
	}
	if _, err := clickThrough(ctx, os.Args[1], person{Login: login}); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		return 1
	}
	return 0
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(4 * time.Minute),
		Setup: func(env *testscript.Env) error {
			issuer, api, err := startDevServer(env, devserver.Config{})
			if err != nil {
				return err
			}
			home := filepath.Join(env.WorkDir, "home")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			env.Setenv("ISSUER", issuer)
			env.Setenv("API", api)
			env.Setenv("HOME", home)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
			env.Setenv("CI", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits CODE PROGRAM ARG... runs a program and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit code %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// cleaner is the part that tests and scripts have in common.
type cleaner interface{ Defer(func()) }

// startDevServer serves the development server on free loopback ports until the end.
func startDevServer(c cleaner, config devserver.Config) (issuer, api string, err error) {
	as, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	c.Defer(func() { as.Close() })
	rs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	c.Defer(func() { rs.Close() })
	config.Issuer, config.API = "http://"+as.Addr().String(), "http://"+rs.Addr().String()
	server, err := devserver.New(config)
	if err != nil {
		return "", "", err
	}
	for listener, handler := range map[net.Listener]http.Handler{as: server.AuthorizationServer(), rs: server.API()} {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = s.Serve(listener) }()
		c.Defer(func() { s.Close() })
	}
	return config.Issuer, config.API, nil
}
