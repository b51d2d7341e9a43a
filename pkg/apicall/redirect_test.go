package apicall_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// neighbours starts servers with several host names, all on this machine.
// Requests are counted by host.
func neighbours(t *testing.T, answer http.HandlerFunc) (*apicall.Client, func() map[string][]string) {
	seen := newReceiver(t, ok)
	byHost := map[string][]string{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.mu.Lock()
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		byHost[scheme+r.Host] = append(byHost[scheme+r.Host], strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+r.Header.Get("X-Secret"))
		seen.mu.Unlock()
		answer(w, r)
	})
	secure, plain := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	transport := safehttp.NewTransport(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // names of other hosts
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		to := secure.Listener.Addr().String()
		if strings.HasSuffix(address, ":80") {
			to = plain.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c := &apicall.Client{HTTP: &safehttp.Client{Transport: transport}, API: "https://api.example.com/v1", Source: &tokens{}}
	return c, func() map[string][]string {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return byHost
	}
}

func TestTokenLeavesNoOrigin(t *testing.T) {
	const home = "https://api.example.com"
	tests := map[string]struct {
		to   string // where /v1/start leads
		want map[string][]string
		err  diagnosis.ID
	}{
		"control: within":   {"/v1/end", map[string][]string{"api.example.com": {canary + "-1s", canary + "-1s"}}, ""},
		"sub-domain":        {"https://sub.api.example.com/", map[string][]string{"api.example.com": {canary + "-1s"}, "sub.api.example.com": {""}}, ""},
		"parent domain":     {"https://example.com/", map[string][]string{"api.example.com": {canary + "-1s"}, "example.com": {""}}, ""},
		"other host":        {"https://evil.example/", map[string][]string{"api.example.com": {canary + "-1s"}, "evil.example": {""}}, ""},
		"other port":        {home + ":8443/", map[string][]string{"api.example.com": {canary + "-1s"}, "api.example.com:8443": {""}}, ""},
		"default port":      {home + ":443/end", map[string][]string{"api.example.com": {canary + "-1s"}, "api.example.com:443": {canary + "-1s"}}, ""},
		"name without care": {"https://API.example.com/end", map[string][]string{"api.example.com": {canary + "-1s"}, "API.example.com": {canary + "-1s"}}, ""},
		"away and back":     {"https://evil.example/back", map[string][]string{"api.example.com": {canary + "-1s", ""}, "evil.example": {""}}, ""},
		"https to http":     {"http://api.example.com/", map[string][]string{"api.example.com": {canary + "-1s"}}, diagnosis.RedirectRefused},
		"into this machine": {"http://127.0.0.1/", map[string][]string{"api.example.com": {canary + "-1s"}}, diagnosis.RedirectRefused},
		"user information":  {"https://a:b@api.example.com/", map[string][]string{"api.example.com": {canary + "-1s"}}, diagnosis.RedirectRefused},
		"no scheme of ours": {"file:///etc/passwd", map[string][]string{"api.example.com": {canary + "-1s"}}, diagnosis.RedirectRefused},
		"loop":              {"/v1/start", map[string][]string{"api.example.com": repeat(canary+"-1s", 11)}, diagnosis.RedirectRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, seen := neighbours(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v1/start":
					http.Redirect(w, r, tt.to, http.StatusFound)
				case "/back":
					http.Redirect(w, r, home+"/v1/end", http.StatusFound)
				}
			})
			_, err := do(t, c, apicall.Request{Target: "/start", Header: http.Header{"X-Secret": {"s"}}})
			var d *diagnosis.Diagnosis
			if got := errors.As(err, &d); got != (tt.err != "") || got && d.ID != tt.err {
				t.Errorf("Do: %v", err)
			}
			want := map[string][]string{}
			for host, tokens := range tt.want {
				want["https://"+host] = tokens
			}
			if diff := cmp.Diff(want, seen()); diff != "" {
				t.Errorf("what arrived (-want +got):\n%s", diff)
			}
		})
	}
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// A 401 from an origin that did not receive the token does not refresh it.
func TestForeign401RenewsNothing(t *testing.T) {
	c, seen := neighbours(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "api.example.com" {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	if status, err := do(t, c, apicall.Request{Target: "/x"}); err != nil || status != http.StatusUnauthorized {
		t.Errorf("%d, %v", status, err)
	}
	want := map[string][]string{"https://api.example.com": {canary + "-1"}, "https://evil.example": {""}}
	if diff := cmp.Diff(want, seen()); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
}

// After 307 and 308 within the origin, the same request is sent again. No other
// redirect repeats a request that changes data.
func TestRedirectedBodies(t *testing.T) {
	elsewhere := newReceiver(t, ok)
	tests := map[string]struct {
		method string
		status int
		away   bool
		stream bool
		want   []string // the bodies that the API receives
		final  int
	}{
		"308 within":       {method: "POST", status: 308, want: []string{"body", "body"}, final: 200},
		"307 within":       {method: "PUT", status: 307, want: []string{"body", "body"}, final: 200},
		"307 of a stream":  {method: "POST", status: 307, stream: true, want: []string{"body"}, final: 307},
		"307 away":         {method: "POST", status: 307, away: true, want: []string{"body"}, final: 307},
		"302":              {method: "POST", status: 302, want: []string{"body"}, final: 302},
		"303":              {method: "POST", status: 303, want: []string{"body"}, final: 303},
		"GET with a body":  {method: "GET", status: 302, away: true, want: []string{"body"}, final: 302},
		"DELETE moved 301": {method: "DELETE", status: 301, want: []string{"body"}, final: 301},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/start" {
					return
				}
				to := "/end"
				if tt.away {
					to = elsewhere.URL
				}
				w.Header().Set("Location", to)
				w.WriteHeader(tt.status)
			})
			r := apicall.Request{Method: tt.method, Target: "/start", Body: apicall.Text("body")}
			if tt.stream {
				r.Body = apicall.Stream(strings.NewReader("body"))
			}
			if status, err := do(t, newClient(t, api.URL), r); err != nil || status != tt.final {
				t.Errorf("%d, %v, want %d", status, err, tt.final)
			}
			if diff := cmp.Diff(tt.want, api.bodies); diff != "" {
				t.Errorf("bodies (-want +got):\n%s", diff)
			}
		})
	}
	if n := len(elsewhere.seen()); n != 0 {
		t.Errorf("%d requests arrived elsewhere", n)
	}
}

func TestDroppedTokenIsReported(t *testing.T) {
	c, _ := neighbours(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "api.example.com" {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}
	})
	var told []string
	c.Dropped = func(from, to *url.URL) { told = append(told, safehttp.Origin(from)+" "+safehttp.Origin(to)) }
	if _, err := do(t, c, apicall.Request{Target: "/x"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://api.example.com:443 https://evil.example:443"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
