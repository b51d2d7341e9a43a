package apicall_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// fresh returns a different token for each request.
type fresh struct {
	mu  sync.Mutex
	n   int
	err error
}

func (f *fresh) Token(context.Context, secret.String) (apicall.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	return apicall.AccessToken{Type: "Bearer", Value: secret.New(fmt.Sprint(canary, "-", f.n))}, f.err
}

// startProxy serves a proxy to api, and returns the API's URL at the proxy.
func startProxy(t *testing.T, c *apicall.Client, open bool) (root, address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	address = server.Listener.Addr().String()
	p, err := apicall.NewProxy(c, address, apicall.ProxyOptions{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	t.Cleanup(server.Close)
	return p.URL(), address
}

// ask sends one request and follows no redirect.
func ask(t *testing.T, method, url string, body io.Reader, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func TestProxyRefuses(t *testing.T) {
	api := newReceiver(t, ok)
	root, address := startProxy(t, newClient(t, api.URL), false)
	key := strings.TrimPrefix(root, "http://"+address)
	tests := map[string]struct {
		url    string
		change func(*http.Request)
		want   int
	}{
		"control":               {root + "/x", nil, 200},
		"control: localhost":    {root + "/x", func(r *http.Request) { r.Host = "localhost" + address[strings.LastIndex(address, ":"):] }, 200},
		"control: same-origin":  {root + "/x", header("Sec-Fetch-Site", "same-origin"), 200},
		"no secret":             {"http://" + address + "/x", nil, 404},
		"another secret":        {"http://" + address + "/" + strings.Repeat("A", 26) + "/x", nil, 404},
		"secret in small":       {"http://" + address + strings.ToLower(key) + "/x", nil, 404},
		"secret as a prefix":    {root + "x/y", nil, 404},
		"foreign host":          {root + "/x", func(r *http.Request) { r.Host = "evil.example" }, 403},
		"rebound host":          {root + "/x", func(r *http.Request) { r.Host = "evil.example" + address[strings.LastIndex(address, ":"):] }, 403},
		"another port":          {root + "/x", func(r *http.Request) { r.Host = "127.0.0.1:1" }, 403},
		"an origin":             {root + "/x", header("Origin", "https://evil.example"), 403},
		"its own origin":        {root + "/x", header("Origin", "http://"+address), 200},
		"its own WebSocket":     {root + "/x", header("Origin", "ws://localhost"+address[strings.LastIndex(address, ":"):]), 200},
		"its own, https":        {root + "/x", header("Origin", "https://"+address), 403},
		"its own, no secret":    {"http://" + address + "/x", header("Origin", "http://"+address), 404},
		"its own, another port": {root + "/x", header("Origin", "http://127.0.0.1:1"), 403},
		"the origin null":       {root + "/x", header("Origin", "null"), 403},
		"an image on a page":    {root + "/x", header("Sec-Fetch-Site", "cross-site"), 403},
		"climbing":              {root + "/../x", nil, 400},
		"climbing encoded":      {root + "/%2e%2e/x", nil, 400},
		"climbing twice":        {root + "/%252e%252e/x", nil, 400},
		"climbing by backslash": {root + `/..%5cx`, nil, 400},
	}
	for name, tt := range tests {
		before := len(api.seen())
		res, body := ask(t, "GET", tt.url, nil, tt.change)
		if res.StatusCode != tt.want {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, tt.want)
		}
		if passed := len(api.seen()) > before; passed != (tt.want == 200) {
			t.Errorf("%s: passed on: %v", name, passed)
		}
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// Each request has a token, and only the API receives it.
func TestProxyPassesOn(t *testing.T) {
	type received struct{ Method, URI, Host, Authorization, Referer, Body string }
	var got []received
	api := newReceiver(t, nil)
	api.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, received{r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), r.Header.Get("Referer"), string(body)})
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, "answer")
	})
	c := newClient(t, api.URL+"/v1/")
	c.Source = &fresh{}
	root, address := startProxy(t, c, false)
	key := strings.TrimPrefix(root, "http://"+address)
	res, body := ask(t, "POST", root+"/a%2Fb?q=1&to=/v1/next?p=2", strings.NewReader("sent"), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer theirs")
		r.Header.Set("Referer", root)
	})
	if res.StatusCode != http.StatusAccepted || body != "answer" || res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Location") != key+"/next?p=2" {
		t.Errorf("%d %s, %v", res.StatusCode, body, res.Header)
	}
	for to, want := range map[string]string{
		"https://evil.example/x": "https://evil.example/x", "/v2/x": api.URL + "/v2/x", "/v1": key, "next": key + "/next", "/v1x": api.URL + "/v1x",
	} {
		if res, _ := ask(t, "GET", root+"/here?to="+to, nil, nil); res.Header.Get("Location") != want {
			t.Errorf("a redirect to %s leads to %s, want %s", to, res.Header.Get("Location"), want)
		}
	}
	host := strings.TrimPrefix(api.URL, "http://")
	want := received{"POST", "/v1/a%2Fb?q=1&to=/v1/next?p=2", host, "Bearer " + canary + "-1", "", "sent"}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("passed on (-want +got):\n%s", diff)
	}
	if last := got[len(got)-1].Authorization; !strings.HasPrefix(last, "Bearer "+canary) {
		t.Errorf("request %d went with %s", len(got), last)
	}
}

func TestProxyRenews(t *testing.T) {
	api := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary+"-2" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	root, _ := startProxy(t, newClient(t, api.URL), true)
	if res, _ := ask(t, "POST", root+"/x", strings.NewReader("body"), nil); res.StatusCode != http.StatusOK {
		t.Errorf("not renewed: %d", res.StatusCode)
	}
	if diff := cmp.Diff([]string{"body", "body"}, api.bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
	root, _ = startProxy(t, newClient(t, api.URL), true)
	stream := io.MultiReader(strings.NewReader("body")) // its length is not known
	if res, _ := ask(t, "POST", root+"/x", stream, nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stream was sent again: %d", res.StatusCode)
	}
}

// Errors of the proxy itself are marked as such, and contain no token.
func TestProxyFails(t *testing.T) {
	api := newReceiver(t, ok)
	c := newClient(t, api.URL)
	c.Source = &fresh{err: &diagnosis.Diagnosis{ID: diagnosis.LoginRequired}}
	root, _ := startProxy(t, c, true)
	if res, body := ask(t, "GET", root+"/x", nil, nil); res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "LOGIN_REQUIRED") {
		t.Errorf("nobody is logged in: %d %s", res.StatusCode, body)
	}
	c = newClient(t, api.URL)
	root, _ = startProxy(t, c, true)
	if res, _ := ask(t, "GET", root+"/x", nil, nil); res.StatusCode != http.StatusOK {
		t.Errorf("positive control: %d", res.StatusCode)
	}
	api.Close()
	if res, body := ask(t, "GET", root+"/x", nil, nil); res.StatusCode != http.StatusBadGateway || strings.Contains(body, canary) {
		t.Errorf("the API is away: %d %s", res.StatusCode, body)
	}
	for _, address := range []string{"0.0.0.0:80", "192.0.2.1:80", "example.com:80", "127.0.0.1", ""} {
		if _, err := apicall.NewProxy(c, address, apicall.ProxyOptions{}); err == nil {
			t.Errorf("a proxy listens on %q", address)
		}
	}
}

// Events are forwarded one by one while the stream is open.
func TestProxyStreams(t *testing.T) {
	next := make(chan string)
	api := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			_ = http.NewResponseController(w).Flush()
		}
	})
	root, _ := startProxy(t, newClient(t, api.URL), true)
	go func() { next <- "0" }()
	req, err := http.NewRequestWithContext(t.Context(), "GET", root+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read := bufio.NewReader(res.Body)
	for i := range 5 {
		if i > 0 {
			next <- fmt.Sprint(i) // only after the previous one was read
		}
		if line, err := read.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		_, _ = read.ReadString('\n')
	}
	close(next)
	if _, err := read.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

// The handshake of a WebSocket has a token, and both sides can send afterwards.
func TestProxyUpgrades(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Authorization") != "Bearer "+canary+"-1" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for {
			line, err := buffered.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(conn, "echo ", line)
		}
	}))
	defer api.Close()
	root, address := startProxy(t, newClient(t, api.URL), false)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", strings.TrimPrefix(root, "http://"+address), address)
	read := bufio.NewReader(conn)
	res, err := http.ReadResponse(read, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	for _, word := range []string{"one", "two"} {
		fmt.Fprintln(conn, word)
		if line, err := read.ReadString('\n'); err != nil || line != "echo "+word+"\n" {
			t.Errorf("%q, %v", line, err)
		}
	}
}

// pageProxy serves a proxy that a page may use.
func pageProxy(t *testing.T, c *apicall.Client, page string) (*httptest.Server, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	p, err := apicall.NewProxy(c, server.Listener.Addr().String(), apicall.ProxyOptions{PageOrigin: page})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	return server, p.URL()
}
