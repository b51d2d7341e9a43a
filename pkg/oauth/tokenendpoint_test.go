package oauth_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

func TestClientAuthentication(t *testing.T) {
	const odd = "s:e cret+/%ü"
	var form url.Values
	var header http.Header
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, header = r.PostForm, r.Header
		fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer"}`)
	})
	c.ID, c.Secret = "a:pp", secret.New(odd)
	ask := func(method string) {
		t.Helper()
		form, header = nil, nil
		c.AuthMethod = method
		if _, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"", oauth.AuthSecretBasic} {
		ask(method)
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape("a:pp")+":"+url.QueryEscape(odd)))
		if got := header.Get("Authorization"); got != want || form.Has("client_id") || form.Has("client_secret") {
			t.Errorf("%q: Authorization %q with %v, want %q", method, got, form, want)
		}
	}
	ask(oauth.AuthSecretPost)
	if form.Get("client_id") != "a:pp" || form.Get("client_secret") != odd || header.Get("Authorization") != "" {
		t.Errorf("post: %v", form)
	}
	for _, method := range []string{oauth.AuthNone, oauth.AuthTLS} {
		ask(method)
		if form.Get("client_id") != "a:pp" || form.Has("client_secret") || header.Get("Authorization") != "" {
			t.Errorf("%s: %v", method, form)
		}
	}
	c.Server.TokenEndpointAuthMethodsSupported = []string{oauth.AuthSecretPost}
	if ask(""); !form.Has("client_secret") {
		t.Errorf("the announced method was not chosen: %v", form)
	}
	c.Secret = secret.String{}
	for _, method := range []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthSecretJWT, oauth.AuthPrivateKeyJWT, "no_such"} {
		c.AuthMethod = method
		_, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil))
		refused(t, err, diagnosis.ClientIncomplete)
	}
}

// A client with a certificate uses the endpoint aliases for mTLS.
func TestMTLSAlias(t *testing.T) {
	var path string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		fmt.Fprint(w, `{"access_token":"a","token_type":"Bearer"}`)
	})
	c.Server.MTLSEndpointAliases = map[string]string{"token_endpoint": strings.TrimSuffix(c.Server.TokenEndpoint, "/token") + "/mtls"}
	for method, want := range map[string]string{oauth.AuthNone: "/token", oauth.AuthTLS: "/mtls"} {
		c.AuthMethod = method
		if _, err := c.Token(t.Context(), oauth.ClientCredentials(nil, nil, nil)); err != nil || path != want {
			t.Errorf("%s: asked %s, %v", method, path, err)
		}
	}
}

func TestTokenEndpointHostile(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	z.Close()
	var requests atomic.Int32
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) }
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		want    diagnosis.ID
	}{
		"positive control": {answer(200, "", `{"access_token":"a","token_type":"Bearer"}`), ""},
		"301":              {redirect(301), diagnosis.RedirectRefused},
		"302":              {redirect(302), diagnosis.RedirectRefused},
		"303":              {redirect(303), diagnosis.RedirectRefused},
		"307":              {redirect(307), diagnosis.RedirectRefused},
		"308":              {redirect(308), diagnosis.RedirectRefused},
		"hang": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, diagnosis.Timeout},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, diagnosis.ResponseTooLarge},
		"reset": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, diagnosis.ResponseBroken},
		"reset in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"access_token":`)
			w.(http.Flusher).Flush()
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, diagnosis.ResponseBroken},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			requests.Store(0)
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if r.URL.Path == "/elsewhere" {
					t.Error("the redirect was followed")
				}
				tt.handler(w, r)
			})
			login, _ := authorization(t, c, oauth.AuthorizationParams{})
			for _, req := range []oauth.TokenRequest{login.TokenRequest(secret.New("code-" + canary)), oauth.Refresh(secret.New("refresh-"+canary), nil, nil)} {
				requests.Store(0)
				_, err := c.Token(t.Context(), req)
				refused(t, err, tt.want)
				if n := requests.Load(); n != 1 {
					t.Errorf("%s: %d requests, want 1: what was sent is not sent again", req.GrantType, n)
				}
			}
		})
	}
}

// A server that sends a byte each second never exceeds the idle limit, but the
// limit of the whole response ends it. This takes ten seconds, so only the long
// run tests it.
func TestTokenEndpointDrips(t *testing.T) {
	if os.Getenv("OAUTHCTL_TEST_LONG") == "" {
		t.Skip("takes 10 s; set OAUTHCTL_TEST_LONG=1")
	}
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	_, err := c.Token(t.Context(), oauth.Refresh(secret.New(canary), nil, nil))
	refused(t, err, diagnosis.Timeout)
}

// dialer counts connections and refuses the first ones.
type dialer struct {
	refuse int
	tries  int
	next   http.RoundTripper
}

func (d *dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	d.tries++
	if d.tries <= d.refuse {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	return d.next.RoundTrip(r)
}

func TestRetryOnlyWhereNothingWasSent(t *testing.T) {
	c := client(t, answer(200, "", `{"access_token":"a","token_type":"Bearer"}`))
	login, _ := authorization(t, c, oauth.AuthorizationParams{})
	next := c.HTTP.Transport
	tests := map[string]struct {
		req    oauth.TokenRequest
		refuse int
		tries  int
		want   diagnosis.ID
	}{
		"refresh, second try":  {oauth.Refresh(secret.New("r"), nil, nil), 1, 2, ""},
		"refresh, no third":    {oauth.Refresh(secret.New("r"), nil, nil), 2, 2, diagnosis.Unreachable},
		"credentials":          {oauth.ClientCredentials(nil, nil, nil), 1, 2, ""},
		"code is never resent": {login.TokenRequest(secret.New("c")), 1, 1, diagnosis.Unreachable},
	}
	for name, tt := range tests {
		d := &dialer{refuse: tt.refuse, next: next}
		c.HTTP.Transport = d
		_, err := c.Token(t.Context(), tt.req)
		refused(t, err, tt.want)
		if d.tries != tt.tries {
			t.Errorf("%s: %d tries, want %d", name, d.tries, tt.tries)
		}
	}
}

func TestNoEndpoint(t *testing.T) {
	c := &oauth.Client{ID: "app"}
	ctx := t.Context()
	for name, err := range map[string]error{
		"token":      func() error { _, err := c.Token(ctx, oauth.ClientCredentials(nil, nil, nil)); return err }(),
		"revoke":     c.Revoke(ctx, secret.New("t"), ""),
		"introspect": func() error { _, err := c.Introspect(ctx, secret.New("t"), ""); return err }(),
		"userinfo":   func() error { _, err := c.Userinfo(ctx, secret.New("t"), "s"); return err }(),
		"device":     func() error { _, err := c.AuthorizeDevice(ctx, oauth.DeviceParams{}); return err }(),
		"authorize":  func() error { _, err := c.NewAuthorizationRequest(oauth.AuthorizationParams{}); return err }(),
	} {
		t.Run(name, func(t *testing.T) { refused(t, err, diagnosis.EndpointMissing) })
	}
}
