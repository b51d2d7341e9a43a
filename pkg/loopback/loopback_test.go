package loopback_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// state plays the check that the caller brings along.
func judge(got *url.Values) func(url.Values) error {
	return func(v url.Values) error {
		switch v.Get("state") {
		case "right":
			*got = v
			return nil
		case "fatal":
			return errors.New("fatal")
		}
		return fmt.Errorf("wrong state: %w", loopback.ErrStray)
	}
}

type wait struct {
	receiver *loopback.Receiver
	got      url.Values
	err      chan error
}

func start(t *testing.T, redirectURI string) *wait {
	t.Helper()
	r, err := loopback.Listen(redirectURI, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &wait{receiver: r, err: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	go func() { defer cancel(); w.err <- r.Receive(ctx, judge(&w.got)) }()
	return w
}

func request(t *testing.T, method, target, host string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func TestReceiveSurvivesStrays(t *testing.T) {
	w := start(t, "")
	uri := w.receiver.RedirectURI()
	base := strings.TrimSuffix(uri, "/callback")
	strays := []struct {
		method, target, host string
		want                 int
	}{
		{"GET", uri, "", 400},
		{"GET", uri + "?state=wrong&code=x", "", 400},
		{"GET", uri + "?state=%zz", "", 400},
		{"GET", base + "/favicon.ico", "", 404},
		{"GET", base + "/callback/?state=right", "", 404},
		{"POST", uri + "?state=right", "", 405},
		{"HEAD", uri + "?state=right", "", 405},
		{"GET", uri + "?state=right", "evil.example", 421},
		{"GET", uri + "?state=right", "localhost:" + strings.Split(base, ":")[2], 421},
	}
	for _, s := range strays {
		if status, _, body := request(t, s.method, s.target, s.host); status != s.want || strings.Contains(body, "wrong") {
			t.Errorf("%s %s Host %q: %d, want %d; %s", s.method, s.target, s.host, status, s.want, body)
		}
	}
	if got := w.receiver.Strays(); got != len(strays) {
		t.Errorf("Strays() = %d, want %d", got, len(strays))
	}
	status, _, body := request(t, "GET", uri+"?state=right&code=abc", "")
	if err := <-w.err; err != nil || status != 200 || w.got.Get("code") != "abc" || !strings.Contains(body, "You are logged in") {
		t.Errorf("the real request: %d, %v, %v\n%s", status, err, w.got, body)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(base, "http://"), time.Second); err == nil {
		t.Error("the port is still open")
	}
}

func TestJudgeEndsTheWait(t *testing.T) {
	w := start(t, "")
	status, _, body := request(t, "GET", w.receiver.RedirectURI()+"?state=fatal&error_description=%3Cscript%3E", "")
	if err := <-w.err; err == nil || err.Error() != "fatal" || status != 400 || strings.Contains(body, "script>") {
		t.Errorf("%d, %v\n%s", status, err, body)
	}
}

func TestPageIsLocked(t *testing.T) {
	w := start(t, "")
	_, header, body := request(t, "GET", w.receiver.RedirectURI()+"?state=right", "")
	if err := <-w.err; err != nil {
		t.Fatal(err)
	}
	style := regexp.MustCompile(`<style>(.*)</style>`).FindStringSubmatch(body)
	sum := sha256.Sum256([]byte(style[1]))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	if csp := header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-"+hash+"'") {
		t.Errorf("Content-Security-Policy = %q, the style's hash is %s", csp, hash)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestLocalhostListensOnBothFamilies(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		l.Close()
	}
	w := start(t, "http://localhost:0/cb")
	u, err := url.Parse(w.receiver.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if status, _, _ := request(t, "GET", "http://"+net.JoinHostPort(host, u.Port())+"/cb", u.Host); status != 400 {
			t.Errorf("%s: %d", host, status)
		}
	}
	if status, _, _ := request(t, "GET", w.receiver.RedirectURI()+"?state=right", ""); status != 200 || <-w.err != nil {
		t.Errorf("status %d", status)
	}
}

func TestListenRefuses(t *testing.T) {
	held, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, uri := range []string{
		"https://127.0.0.1:0/cb", "http://example.com:0/cb", "http://0.0.0.0:0/cb", "http://u@127.0.0.1:0/", "http://127.0.0.1:0/?a=b",
		"http://127.0.0.1:0/#f", "127.0.0.1:0", "http://" + held.Addr().String() + "/cb", "http://localhost:" + strings.Split(held.Addr().String(), ":")[1],
	} {
		if r, err := loopback.Listen(uri, ""); err == nil {
			r.Close()
			t.Errorf("Listen(%q) = %s, want an error", uri, r.RedirectURI())
		}
	}
}

func TestReceiveEndsWithTheContext(t *testing.T) {
	r, err := loopback.Listen("", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.Receive(ctx, func(url.Values) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
