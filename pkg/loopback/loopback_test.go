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
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// accept replaces the check of the caller. It compares only the state.
func accept(got *url.Values) func(url.Values) error {
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
	strays   []loopback.Stray
	got      url.Values
	err      chan error
}

func start(t *testing.T, redirectURI string) *wait {
	t.Helper()
	r, err := loopback.Listen(redirectURI, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w := &wait{receiver: r, err: make(chan error, 1)}
	r.OnStray = func(s loopback.Stray) { w.strays = append(w.strays, s) }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	go func() { defer cancel(); w.err <- r.Receive(ctx, accept(&w.got)) }()
	return w
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request and does not follow its redirect.
func send(ctx context.Context, method, target, host string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return answer{}, err
	}
	if host != "" {
		req.Host = host
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

func request(t *testing.T, method, target, host string) answer {
	t.Helper()
	a, err := send(t.Context(), method, target, host)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// done returns where a redirect leads.
func done(t *testing.T, uri string, a answer) string {
	t.Helper()
	base, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	next, err := base.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther || next.RawQuery != "" {
		t.Fatalf("got %d to %q, want a redirect without parameters", a.status, a.header.Get("Location"))
	}
	return next.String()
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
		{"GET", uri + "?state=wrong&code=x", "", 303},
		{"GET", uri + "?state=%zz", "", 303},
		{"GET", base + "/favicon.ico", "", 404},
		{"GET", base + "/callback/?state=right", "", 404},
		{"POST", uri + "?state=right", "", 405},
		{"HEAD", uri + "?state=right", "", 405},
		{"GET", uri + "?state=right", "evil.example", 421},
		{"GET", uri + "?state=right", "localhost:" + strings.Split(base, ":")[2], 421},
	}
	for _, s := range strays {
		a := request(t, s.method, s.target, s.host)
		if a.status == http.StatusSeeOther {
			done := done(t, uri, a)
			if a = request(t, "GET", done, ""); a.status != 400 {
				t.Errorf("%s: the page for %s has status %d, want 400", done, s.target, a.status)
			}
			a.status = http.StatusSeeOther
		}
		if a.status != s.want || strings.Contains(a.body, "wrong") {
			t.Errorf("%s %s Host %q: %d, want %d; %s", s.method, s.target, s.host, a.status, s.want, a.body)
		}
	}
	if got := w.receiver.Strays(); got != len(strays) {
		t.Errorf("Strays() = %d, want %d", got, len(strays))
	}
	var reasons []loopback.Reason
	for _, s := range w.strays {
		reasons = append(reasons, s.Reason)
		if (s.Err != nil) != (s.Reason == loopback.Refused) {
			t.Errorf("reason %d with %v", s.Reason, s.Err)
		}
	}
	want := []loopback.Reason{loopback.NoParameters, loopback.Refused, loopback.Refused, loopback.Posted, loopback.Posted, loopback.ForeignHost, loopback.ForeignHost}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error("reported strays:", diff)
	}
	page := done(t, uri, request(t, "GET", uri+"?state=right&code=abc", ""))
	if err := <-w.err; err != nil || w.got.Get("code") != "abc" {
		t.Errorf("the awaited request: %v, %v", err, w.got)
	}
	go w.receiver.Finish(loopback.Succeeded)
	if a := request(t, "GET", page, ""); a.status != 200 || !strings.Contains(a.body, "You are logged in") {
		t.Errorf("its page: %d\n%s", a.status, a.body)
	}
	w.receiver.Close()
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(base, "http://"), time.Second); err == nil {
		t.Error("the port is still open")
	}
}

// The browser shows the result of the login, and not before it is known.
func TestOutcome(t *testing.T) {
	for title, finish := range map[string]func(*loopback.Receiver){
		"You are logged in":                func(r *loopback.Receiver) { r.Finish(loopback.Succeeded) },
		"The login failed":                 func(r *loopback.Receiver) { r.Finish(loopback.Failed) },
		"Return to the terminal to finish": func(r *loopback.Receiver) { r.Close() },
	} {
		t.Run(title, func(t *testing.T) {
			w := start(t, "")
			uri := w.receiver.RedirectURI()
			page := done(t, uri, request(t, "GET", uri+"?state=right", ""))
			if err := <-w.err; err != nil {
				t.Fatal(err)
			}
			var decided atomic.Bool
			shown := make(chan answer)
			go func() {
				a, err := send(t.Context(), "GET", page, "")
				if err != nil || !decided.Load() {
					t.Errorf("the page came before the outcome (%v)", err)
				}
				shown <- a
			}()
			// A second response changes nothing and shows the same page.
			if again := done(t, uri, request(t, "GET", uri+"?state=fatal", "")); again != page {
				t.Errorf("the second answer leads to %s", again)
			}
			decided.Store(true)
			finish(w.receiver)
			if a := <-shown; a.status != 200 || !strings.Contains(a.body, "<h1>"+title+"</h1>") {
				t.Errorf("%d\n%s", a.status, a.body)
			}
			finish(w.receiver)
		})
	}
}

// If the browser never fetches the page, Finish waits for a second at most. If
// the browser waits too long, its page refers to the terminal.
func TestFinishDoesNotWaitForTheBrowser(t *testing.T) {
	w := start(t, "")
	request(t, "GET", w.receiver.RedirectURI()+"?state=right", "")
	if err := <-w.err; err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	w.receiver.Finish(loopback.Succeeded)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Finish took %s", took)
	}
}

func TestSlowLoginLeadsToTheTerminal(t *testing.T) {
	w := start(t, "")
	uri := w.receiver.RedirectURI()
	page := done(t, uri, request(t, "GET", uri+"?state=right", ""))
	if a := request(t, "GET", page, ""); a.status != 200 || !strings.Contains(a.body, "Return to the terminal") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
}

func TestAcceptEndsTheWait(t *testing.T) {
	w := start(t, "")
	uri := w.receiver.RedirectURI()
	page := done(t, uri, request(t, "GET", uri+"?state=fatal&error_description=%3Cscript%3E", ""))
	a := request(t, "GET", page, "")
	if err := <-w.err; err == nil || err.Error() != "fatal" || !strings.Contains(a.body, "The login failed") || strings.Contains(a.body, "script>") {
		t.Errorf("%v\n%s", err, a.body)
	}
}

// Other parameters do not hide the parameters of the response.
func TestReceiveReadsAnyQuery(t *testing.T) {
	for query, want := range map[string]url.Values{
		"code=c1&client_info=%E0%A&state=right": {"code": {"c1"}, "client_info": {"%E0%A"}, "state": {"right"}},
		"code=c1&x=a;b=c&state=right":           {"code": {"c1"}, "x": {"a;b=c"}, "state": {"right"}},
		"&&code=a+b%2B&state=right&=":           {"code": {"a b+"}, "state": {"right"}, "": {""}},
		"state=right&state=%zz&code=c":          {"code": {"c"}, "state": {"right", "%zz"}},
		"%zz=1&state=right":                     {"%zz": {"1"}, "state": {"right"}},
	} {
		w := start(t, "")
		request(t, "GET", w.receiver.RedirectURI()+"?"+query, "")
		if err := <-w.err; err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if diff := cmp.Diff(want, w.got); diff != "" {
			t.Errorf("%s:\n%s", query, diff)
		}
		go w.receiver.Close()
		_, _ = send(t.Context(), "GET", w.receiver.RedirectURI()+"/done", "")
	}
}

func TestPageIsLocked(t *testing.T) {
	w := start(t, "")
	a := request(t, "GET", w.receiver.RedirectURI(), "")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(a.body)
	sum := sha256.Sum256([]byte(style[1]))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	redirect := request(t, "GET", w.receiver.RedirectURI()+"?state=other&code=x", "")
	for _, a := range []answer{a, redirect} {
		if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-"+hash+"'") {
			t.Errorf("Content-Security-Policy = %q, the style's hash is %s", csp, hash)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	}
}

func TestLocalhostListensOnBothFamilies(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		l.Close()
	}
	for _, name := range []string{"localhost", "app.localhost"} {
		w := start(t, "http://"+name+":0/cb")
		u, err := url.Parse(w.receiver.RedirectURI())
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"127.0.0.1", "::1"} {
			if a := request(t, "GET", "http://"+net.JoinHostPort(host, u.Port())+"/cb?state=no", u.Host); a.status != 303 {
				t.Errorf("%s: %d", host, a.status)
			}
		}
	}
}

// The redirect URI is sent as registered; only port 0 is replaced.
func TestRedirectURIStaysAsGiven(t *testing.T) {
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fixed := strings.Split(free.Addr().String(), ":")[1]
	free.Close()
	for given, want := range map[string]string{
		"":                                     "http://127.0.0.1:PORT/callback",
		"http://127.0.0.1:0":                   "http://127.0.0.1:PORT",
		"http://127.0.0.1:0/":                  "http://127.0.0.1:PORT/",
		"http://LOCALHOST:0/cb":                "http://LOCALHOST:PORT/cb",
		"http://127.0.0.1:00/%63b%2Fx":         "http://127.0.0.1:PORT/%63b%2Fx",
		"http://[::1]:0":                       "http://[::1]:PORT",
		"http://127.0.0.1:0?tenant=a":          "http://127.0.0.1:PORT?tenant=a",
		"http://127.0.0.1:0" + fixed + "/cb":   "http://127.0.0.1:0" + fixed + "/cb",
		"HTTP://127.0.0.1:" + fixed + "/a%20b": "HTTP://127.0.0.1:" + fixed + "/a%20b",
	} {
		r, err := loopback.Listen(given, "")
		if err != nil {
			t.Errorf("Listen(%q): %v", given, err)
			continue
		}
		port := regexp.MustCompile(`:0*(\d+)(/|\?|$)`).FindStringSubmatch(r.RedirectURI())[1]
		if got := r.RedirectURI(); got != strings.Replace(want, "PORT", port, 1) || strings.Contains(want, "PORT") == (port == fixed) {
			t.Errorf("Listen(%q) shows %q, want %q", given, got, want)
		}
		// The request of a browser for this URI is received.
		received := make(chan error, 1)
		go func() { received <- r.Receive(t.Context(), func(url.Values) error { return nil }) }()
		separator := "?"
		if strings.Contains(given, "?") {
			separator = "&"
		}
		at := regexp.MustCompile(`:0*(\d+)(/|\?|$)`).ReplaceAllString(strings.ToLower(r.RedirectURI()), ":$1$2")
		a := request(t, "GET", at+separator+"code=c", "")
		closed := make(chan struct{})
		go func() { defer close(closed); r.Close() }()
		request(t, "GET", done(t, at, a), "")
		if err := <-received; err != nil {
			t.Errorf("%s: %v", given, err)
		}
		<-closed // the next row may need the same port
	}
}

func TestListenRefuses(t *testing.T) {
	held, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for uri, isLoopback := range map[string]bool{
		"https://127.0.0.1:0/cb": false, "http://example.com:0/cb": false, "http://0.0.0.0:0/cb": false, "http://u@127.0.0.1:0/": false,
		"http://127.0.0.1:0/#f": false, "127.0.0.1:0": false, "urn:ietf:wg:oauth:2.0:oob": false, "com.example.app:/cb": false,
		"http://127.0.0.2:0/cb": false, "http://localhost.example:0/cb": false, "http://[::2]:0/": false, "http://127.0.0.1:99999/": false,
		"http://" + held.Addr().String() + "/cb": true, "http://localhost:" + strings.Split(held.Addr().String(), ":")[1]: true,
	} {
		r, err := loopback.Listen(uri, "")
		if err == nil {
			r.Close()
			t.Errorf("Listen(%q) = %s, want an error", uri, r.RedirectURI())
		}
		if errors.Is(err, loopback.ErrNotLoopback) == isLoopback {
			t.Errorf("Listen(%q): %v, ErrNotLoopback wanted: %v", uri, err, !isLoopback)
		}
	}
}

func TestReceiveEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(context.CancelFunc, *loopback.Receiver)
		want error
	}{
		"context": {func(cancel context.CancelFunc, _ *loopback.Receiver) { cancel() }, context.Canceled},
		"Close":   {func(_ context.CancelFunc, r *loopback.Receiver) { r.Close() }, loopback.ErrClosed},
		"positive": {func(_ context.CancelFunc, r *loopback.Receiver) {
			_, _ = send(t.Context(), "GET", r.RedirectURI()+"?a=b", "")
		}, nil},
	} {
		r, err := loopback.Listen("", "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		received := make(chan error, 1)
		go func() { received <- r.Receive(ctx, func(url.Values) error { return nil }) }()
		tt.end(cancel, r)
		if err := <-received; !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		cancel()
		r.Close()
	}
}

func TestParsePasted(t *testing.T) {
	const own = "http://127.0.0.1:4711/callback"
	want := url.Values{"code": {"c/1"}, "state": {"s"}}
	for name, text := range map[string]string{
		"as shown":              own + "?code=c%2F1&state=s",
		"another loopback name": "http://localhost:4711/callback?code=c%2F1&state=s",
		"IPv6":                  "http://[::1]:4711/callback?code=c%2F1&state=s",
		"fragment":              own + "?code=c%2F1&state=s#top",
		"quoted":                `"` + own + `?code=c%2F1&state=s"`,
		"angle brackets":        "<" + own + "?code=c%2F1&state=s>",
		"both":                  "'<" + own + "?code=c%2F1&state=s>'",
		"typographic quotes":    "“" + own + "?code=c%2F1&state=s”",
		"wrapped":               own + "?code=c%2\nF1&state=s\n",
		"bracketed paste":       "\x1b[200~" + own + "?code=c%2F1&state=s\x1b[201~",
		"from the ? on":         "?code=c%2F1&state=s",
		"the parameters alone":  "code=c%2F1&state=s",
		"a slash at the end":    "http://127.0.0.1:4711/callback/?code=c%2F1&state=s",
	} {
		if got, err := loopback.ParsePasted(text, own); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"the code alone":  {"c1", loopback.ErrNoQuery},
		"nothing":         {" \n", loopback.ErrNoQuery},
		"no parameters":   {own, loopback.ErrNoQuery},
		"another host":    {"http://127.0.0.2:4711/callback?code=c&state=s", loopback.ErrOtherAddress},
		"another port":    {"http://127.0.0.1:4712/callback?code=c&state=s", loopback.ErrOtherAddress},
		"another path":    {"http://127.0.0.1:4711/?code=c&state=s", loopback.ErrOtherAddress},
		"another scheme":  {"https://127.0.0.1:4711/callback?code=c&state=s", loopback.ErrOtherAddress},
		"the login's URL": {"https://auth.example.com/authorize?state=s", loopback.ErrOtherAddress},
	} {
		if got, err := loopback.ParsePasted(tt.text, own); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tt.want)
		}
	}
	for uri, text := range map[string]string{
		"urn:ietf:wg:oauth:2.0:oob":         "urn:ietf:wg:oauth:2.0:oob?code=c%2F1&state=s",
		"com.example.app:/cb":               "com.example.app:/cb?code=c%2F1&state=s",
		"https://app.example.com/cb":        "https://app.example.com/cb?code=c%2F1&state=s",
		"https://app.example.com/cb?team=7": "https://app.example.com/cb?team=7&code=c%2F1&state=s",
	} {
		if got, err := loopback.ParsePasted(text, uri); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v, %v", uri, got, err)
		}
	}
}
