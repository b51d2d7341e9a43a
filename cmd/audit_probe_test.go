package cmd

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// An API is found to be ready if the flags accept its certificate.
func TestProbeUsesTheTLSFlags(t *testing.T) {
	api := httptest.NewTLSServer(http.NotFoundHandler())
	defer api.Close()
	target, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, insecure := range []bool{false, true} {
		env := &Env{
			Getenv: func(string) string { return "" }, Now: time.Now, ConfigDir: t.TempDir(), IsTerminal: func(any) bool { return false },
			global: globalFlags{insecureTLS: insecure, timeout: defaultTimeout},
		}
		client, err := env.probe()
		if err != nil {
			t.Fatal(err)
		}
		if got := answers(t.Context(), client, target); got != insecure {
			t.Errorf("with --insecure-skip-tls-verify=%v: %v", insecure, got)
		}
	}
}
