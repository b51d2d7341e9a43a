package cmd_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/cmd"
	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A program with the proxy's URL calls the API with the token. A program without the secret, and a web page, are
// refused.
func TestProxyAddsTheToken(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("proxy"); code != 5 {
		t.Errorf("before the login: %d", code)
	}
	if code := w.run("login", w.api, "--browser", "-q"); code != 0 {
		t.Fatalf("login: %d %s", code, &w.stderr)
	}
	var stdout lockedBuffer
	env := &cmd.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now,
		ConfigDir: w.home + "/config", StateDir: w.home + "/state", IsTerminal: func(any) bool { return false },
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	ended := make(chan int, 1)
	go func() { ended <- cmd.Run(ctx, env, []string{"proxy"}) }()
	for stdout.String() == "" && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	base := strings.TrimSpace(stdout.String())
	root := base[:strings.Index(base[len("http://"):], "/")+len("http://")]
	for _, tt := range []struct {
		url, origin string
		want        int
	}{
		{strings.TrimSuffix(base, "/") + "/api/items", "", 200},
		{root + "/api/items", "", 404},
		{strings.TrimSuffix(base, "/") + "/api/items", "https://evil.example", 403},
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, tt.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.want {
			t.Errorf("%s from %q: %d, want %d", tt.url, tt.origin, res.StatusCode, tt.want)
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("proxy ended with %d", code)
	}
}
