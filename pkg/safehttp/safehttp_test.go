package safehttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostile serves the faults that a client must handle, by path.
func hostile(t *testing.T) *httptest.Server {
	t.Helper()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	z.Close()
	stop := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"accept":%q}`, r.Header.Get("Accept"))
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-stop })
	mux.HandleFunc("/stall", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "a")
		w.(http.Flusher).Flush()
		<-stop
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 12 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	mux.HandleFunc("/reset", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "some")
		w.(http.Flusher).Flush()
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/x?token=canary", http.StatusTemporaryRedirect)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { close(stop); server.Close() })
	return server
}

func client(t *testing.T) *safehttp.Client {
	transport := safehttp.NewTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &safehttp.Client{Transport: transport, Timeout: 200 * time.Millisecond}
}

func TestGet(t *testing.T) {
	server := hostile(t)
	tests := map[string]struct {
		path string
		want diagnosis.ID // "" for the positive control
	}{
		"good":                       {"/good", ""},
		"redirect within the origin": {"/here", ""},
		"redirect elsewhere":         {"/away", diagnosis.RedirectRefused},
		"redirects without end":      {"/round", diagnosis.RedirectRefused},
		"no header":                  {"/hang", diagnosis.Timeout},
		"no next byte":               {"/stall", diagnosis.Timeout},
		"too large":                  {"/large", diagnosis.ResponseTooLarge},
		"gzip bomb":                  {"/bomb", diagnosis.ResponseTooLarge},
		"reset in the body":          {"/reset", diagnosis.ResponseBroken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := client(t).Get(t.Context(), server.URL+tt.path+"?secret=canary", "application/json", 1<<20)
			var d *diagnosis.Diagnosis
			switch {
			case tt.want == "":
				if err != nil || string(res.Body) != `{"accept":"application/json"}` {
					t.Errorf("got %+v, %v", res, err)
				}
			case !errors.As(err, &d) || d.ID != tt.want:
				t.Errorf("got %v, want %s", err, tt.want)
			case strings.Contains(err.Error(), "canary"):
				t.Errorf("the error shows the query: %v", err)
			}
		})
	}
}

func TestPostRefusesRedirects(t *testing.T) {
	server := hostile(t)
	form := url.Values{"code": {"x"}}
	_, err := client(t).PostForm(t.Context(), server.URL+"/here", form, nil, 1<<20)
	if !errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.RedirectRefused}) {
		t.Errorf("got %v, want REDIRECT_REFUSED", err)
	}
	if res, err := client(t).PostForm(t.Context(), server.URL+"/good", form, nil, 1<<20); err != nil || res.Status != 200 {
		t.Errorf("positive control: %+v, %v", res, err)
	}
}

func TestUnreachableAndUntrusted(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for rawURL, want := range map[string]diagnosis.ID{
		closed.URL:                  diagnosis.Unreachable,
		secure.URL:                  diagnosis.TLSUntrusted,
		"http://auth.example.com/x": diagnosis.InsecureURL,
	} {
		c := client(t)
		c.Timeout = 0 // a handshake on a busy machine takes long, and none of these waits
		_, err := c.Get(t.Context(), rawURL, "", 10)
		var d *diagnosis.Diagnosis
		if !errors.As(err, &d) || d.ID != want {
			t.Errorf("%s: got %v, want %s", rawURL, err, want)
		}
	}
	trusting := safehttp.NewTransport(secure.Client().Transport.(*http.Transport).TLSClientConfig)
	defer trusting.CloseIdleConnections()
	if res, err := (&safehttp.Client{Transport: trusting}).Get(t.Context(), secure.URL, "", 100); err != nil || res.Status != 404 {
		t.Errorf("positive control: %+v, %v", res, err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	server := hostile(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t).Get(ctx, server.URL+"/hang", "", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestTraceHidesSecrets(t *testing.T) {
	const canary = "canary-77"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "http://127.0.0.1/cb?code="+canary+"&iss=x")
		w.Header().Set("Set-Cookie", canary)
		fmt.Fprintf(w, `{"access_token":%q,"n":{"id_token":[%[1]q]},"require_password":true,"refresh_token":null,"pin":1234,"expires_in":300}`, canary)
	}))
	defer server.Close()
	var seen []safehttp.Exchange
	show := func(e safehttp.Exchange) { seen = append(seen, e) }
	c := client(t)
	post := func() {
		header := http.Header{"Authorization": {"Basic " + canary}, "Dpop": {canary}}
		form := url.Values{"client_secret": {canary}, "grant_type": {"authorization_code"}}
		if _, err := c.PostForm(t.Context(), server.URL+"/token?code="+canary, form, header, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	c.Trace = &safehttp.Trace{Show: show}
	post()
	if all := fmt.Sprintf("%+v", seen); strings.Contains(all, canary) {
		t.Errorf("the trace shows a secret: %s", all)
	}
	got := seen[0]
	want := []string{
		server.URL + "/token?code=[redacted]",
		"client_secret=[redacted]&grant_type=authorization_code",
		`{"access_token":"[redacted]","n":{"id_token":"[redacted]"},"require_password":true,"refresh_token":null,"pin":"[redacted]","expires_in":300}`,
		"Basic [redacted]", "http://127.0.0.1/cb?code=[redacted]&iss=x",
	}
	have := []string{got.URL, got.RequestBody, got.ResponseBody, got.RequestHeader.Get("Authorization"), got.ResponseHeader.Get("Location")}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	c.Trace = &safehttp.Trace{Show: show, ShowSecrets: true}
	post()
	if all := fmt.Sprintf("%+v", seen[1]); strings.Count(all, canary) < 6 {
		t.Errorf("positive control: ShowSecrets shows them: %s", all)
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{"https://a.example", "http://127.0.0.1:80/x?y#z", "http://[::1]/", "http://LOCALHOST:1", "http://127.9.9.9"} {
		if _, err := safehttp.CheckURL(good); err != nil {
			t.Errorf("CheckURL(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a.example", "//a.example", "ftp://a.example", "javascript:alert(1)", "file:///etc/passwd", "https://", "https://u:p@a.example",
		"http://a.example", "http://localhost.a.example", "http://127.0.0.1.a.example", "http://0.0.0.0", "http://[::]", "ht\ntp://x", "https://:443",
	} {
		if _, err := safehttp.CheckURL(bad); err == nil {
			t.Errorf("CheckURL(%q) = nil, want an error", bad)
		}
	}
	for _, leaky := range []string{
		"https://a.example/?code=s3cr3t\x17", "https://u:s3cr3t@a.example/\x17", "ftp://a.example/#s3cr3t", "ftp://u:s3cr3t@a.example", "https:///?s3cr3t", "http://a.example?s3cr3t",
	} {
		if _, err := safehttp.CheckURL(leaky); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("CheckURL(%q) = %v, want an error without the secret", leaky, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	for rawURL, want := range map[string]string{
		"https://A.example":         "https://a.example:443",
		"HTTPS://a.example:443/x?y": "https://a.example:443",
		"http://a.example":          "http://a.example:80",
		"http://[::1]:9000":         "http://[::1]:9000",
	} {
		u, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		if got := safehttp.Origin(u); got != want {
			t.Errorf("Origin(%q) = %q, want %q", rawURL, got, want)
		}
	}
}

func FuzzTrace(f *testing.F) {
	f.Add(`{"a":[{"code":"s3cr3t"}]}`, "application/json", "state=s3cr3t")
	f.Add(`code=s3cr3t`, "application/x-www-form-urlencoded", "a&token=s3cr3t")
	f.Add("", "", "\x17")
	f.Fuzz(func(t *testing.T, body, contentType, query string) {
		var out string
		trace := &safehttp.Trace{Show: func(e safehttp.Exchange) { out = fmt.Sprint(e) }}
		c := &safehttp.Client{Trace: trace, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("away")
		})}
		req, err := http.NewRequest("POST", "https://a.example/", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		req.URL.RawQuery = "client_secret=s3cr3t&" + query
		req.Header.Set("Content-Type", contentType)
		_, _ = c.Do(req, 10)
		if strings.Contains(out, "client_secret=s3cr3t") {
			t.Errorf("trace shows the secret: %s", out)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An event stream may be idle for longer than the limit after its header. The
// limit applies before the header, and to any other client.
func TestPatient(t *testing.T) {
	synctest.Test(t, testPatient)
}

func testPatient(t *testing.T) {
	const limit = 50 * time.Millisecond
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		body, late := io.Pipe()
		go func() {
			select {
			case <-time.After(6 * limit):
				io.WriteString(late, "late")
				late.Close()
			case <-r.Context().Done():
				late.CloseWithError(r.Context().Err())
			}
		}()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
	})
	read := func(path string, patient bool) (string, error) {
		c := &safehttp.Client{Transport: transport, Timeout: limit, Patient: patient}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Stream(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	if body, err := read("/", true); err != nil || body != "late" {
		t.Errorf("patient: %q, %v", body, err)
	}
	var d *diagnosis.Diagnosis
	if _, err := read("/", false); !errors.As(err, &d) || d.ID != diagnosis.Timeout {
		t.Errorf("not patient: %v", err)
	}
	if _, err := read("/hang", true); !errors.As(err, &d) || d.ID != diagnosis.Timeout {
		t.Errorf("patient, no header: %v", err)
	}
}

// A trace has no secret, even if the server sends back what it received.
func TestTraceHidesEchoes(t *testing.T) {
	const secret = "s3cr3t+c4n4ry/value"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		_, password, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", password)
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"no %s, no %s, but harmless"}`, r.Form.Get("refresh_token"), password)
	}))
	defer server.Close()
	for _, show := range []bool{false, true} {
		var seen string
		c := &safehttp.Client{Trace: &safehttp.Trace{ShowSecrets: show, Show: func(e safehttp.Exchange) { seen = fmt.Sprint(e) }}}
		request, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(url.Values{"refresh_token": {secret}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("app", secret)
		if _, err := c.Do(request, 1<<20); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(seen, secret) != show || !strings.Contains(seen, "harmless") {
			t.Errorf("with ShowSecrets %v: %s", show, seen)
		}
	}
}
