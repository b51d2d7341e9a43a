package cmd_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/cmd"
)

// Requests are sent to another host only if the user says that they may test it. On a terminal, the user must confirm.
func TestAuditOfAnotherHost(t *testing.T) {
	api := newAuditedAPI(t)
	inner, err := url.Parse(api.url)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		flags    []string
		terminal bool
		typed    string
		code     int
		sent     bool
	}{
		"without --i-own":      {nil, false, "", 2, false},
		"of another host":      {[]string{"--i-own", "example.com"}, false, "", 2, false},
		"with --i-own":         {[]string{"--i-own", "api.example.com"}, false, "", 0, true},
		"asked, no":            {[]string{"--i-own", "api.example.com"}, true, "n\n", 2, false},
		"asked, nothing typed": {[]string{"--i-own", "api.example.com"}, true, "", 2, false},
		"asked, yes":           {[]string{"--i-own", "api.example.com"}, true, "y\n", 0, true},
		"not asked":            {[]string{"--i-own", "api.example.com", "--no-input"}, true, "", 0, true},
	} {
		api.set()
		var stderr bytes.Buffer
		env := &cmd.Env{
			Stdin: strings.NewReader(tt.typed), Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) string { return "" }, Now: time.Now,
			ConfigDir: t.TempDir(), StateDir: t.TempDir(), IsTerminal: func(any) bool { return tt.terminal },
			HTTP: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host != "api.example.com" {
					t.Errorf("%s: a request to %s", name, r.URL.Host)
				}
				moved := r.Clone(r.Context())
				moved.URL.Scheme, moved.URL.Host = "http", inner.Host
				return http.DefaultTransport.RoundTrip(moved)
			}),
		}
		args := append([]string{"audit", "https://api.example.com"}, api.args("--operation", "GET /items=items:read", "--quick", "--rate", "1000")[1:]...)
		code := cmd.Run(t.Context(), env, append(args, tt.flags...))
		if code != tt.code || len(api.arrived) > 0 != tt.sent {
			t.Errorf("%s: %d, %d requests\n%s", name, code, len(api.arrived), &stderr)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
