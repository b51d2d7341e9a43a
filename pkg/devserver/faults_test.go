package devserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Every fault causes the diagnosis of its row, in this module's client or in
// the API. Without a fault there is none.
func TestFaultsFireTheirDiagnosis(t *testing.T) {
	for _, f := range append(devserver.Faults(), devserver.Fault{}) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			var faults []string
			switch {
			case f.Value != "":
				faults = []string{f.Name + "=1ms"}
			case f.Name != "":
				faults = []string{f.Name}
			}
			d := newDesk(t, devserver.Config{Faults: faults})
			if got := d.wholeWay(); got != f.Diagnosis {
				t.Errorf("got %q, want %q", got, f.Diagnosis)
			}
		})
	}
}

// wholeWay finds the server, logs in, calls the API and refreshes. It returns
// the first diagnosis.
func (d *desk) wholeWay() diagnosis.ID {
	d.t.Helper()
	ctx, c := d.t.Context(), &safehttp.Client{Timeout: time.Second}
	found, _, err := discovery.Find(ctx, c, d.api)
	if err != nil {
		return idOf(err)
	}
	client := &oauth.Client{ID: "oauthctl-dev", Server: found.Server, HTTP: c, Now: d.now}
	// The client does not verify the keys itself, so that the API meets their faults
	// first.
	scope := []string{"offline_access", "items:write", "items:read"}
	if d.faulty("wrong-nonce") {
		scope = append([]string{"openid"}, scope...)
	}
	request, err := client.NewAuthorizationRequest(oauth.AuthorizationParams{RedirectURI: redirectURI, Scope: scope, Resource: []string{d.api}})
	if err != nil {
		return idOf(err)
	}
	asked, err := url.Parse(request.URL())
	if err != nil {
		d.t.Fatal(err)
	}
	if page := d.get(asked.String()); page.StatusCode == http.StatusBadRequest {
		return diagnosis.RedirectMismatch // like the login command
	}
	code, err := request.Code(d.login(asked.Query()))
	if err != nil {
		return idOf(err)
	}
	res, err := client.Token(ctx, request.TokenRequest(code))
	if err != nil {
		return idOf(err)
	}
	if d.faulty("wrong-nonce") {
		if _, err := client.VerifyIDToken(ctx, res, request.IDTokenExpectation()); err != nil {
			return idOf(err)
		}
	}
	for range 2 { // the second time with a new key set
		if id := d.apiDiagnosis(res.AccessToken.Reveal()); id != "" {
			return id
		}
		d.offset.Add(int64(15 * time.Second))
	}
	if _, err := client.Token(ctx, oauth.Refresh(res.RefreshToken, nil, nil)); err != nil {
		return idOf(err)
	}
	return ""
}

func (d *desk) faulty(name string) bool { return strings.HasSuffix(d.t.Name(), "/"+name) }

func idOf(err error) diagnosis.ID {
	var found *diagnosis.Diagnosis
	if errors.As(err, &found) {
		return found.ID
	}
	return diagnosis.ID(fmt.Sprintf("no diagnosis: %v", err))
}

// apiDiagnosis calls the API and returns the id of its refusal, or "".
func (d *desk) apiDiagnosis(accessToken string) diagnosis.ID {
	d.t.Helper()
	got := d.call("GET", "/api/items", accessToken, "")
	if got.StatusCode == http.StatusOK {
		return ""
	}
	var problem struct {
		ID diagnosis.ID `json:"id"`
	}
	decodeInto(d.t, got.text, &problem)
	all, err := challenge.Parse(got.Header.Values("WWW-Authenticate"))
	if err != nil || got.StatusCode != http.StatusServiceUnavailable && (len(all) != 2 || all[0].Scheme != "Bearer") {
		d.t.Errorf("challenge %v, %v", got.Header.Values("WWW-Authenticate"), err)
	}
	return problem.ID
}

func TestFaultOfOneRequest(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	code := d.login(parameters()).Get("code")
	d.fault = "token-500"
	if got := d.token(codeRequest(code)); got.status != http.StatusInternalServerError {
		t.Errorf("with the header: %+v", got)
	}
	d.fault = "no-such-fault"
	if got := d.post(d.issuer+"/token", codeRequest(code)); got.StatusCode != http.StatusBadRequest {
		t.Errorf("with an unknown fault: %d", got.StatusCode)
	}
	d.fault = "no-expires-in, narrower-scope"
	if got := d.token(codeRequest(code)); got.AccessToken == "" || got.ExpiresIn != 0 || got.Scope != "openid offline_access items:read" {
		t.Errorf("with two: %+v", got)
	}
	d.fault = ""
	if got := d.token(codeRequest(d.login(parameters()).Get("code"))); got.ExpiresIn == 0 {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestControl(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	control := func(host, origin string, faults ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.issuer+"/_control/fault", strings.NewReader(url.Values{"fault": faults}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if host != "" {
			req.Host = host
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		got := d.do(req)
		return got.StatusCode, strings.TrimSpace(got.text)
	}
	for _, test := range []struct {
		host, origin string
		faults       []string
		status       int
	}{
		{"evil.example", "", []string{"jwks-500"}, 403},
		{"", "https://evil.example", []string{"jwks-500"}, 403},
		{"", d.issuer, []string{"jwks-500"}, 403},
		{"", "null", []string{"jwks-500"}, 403},
		{"", "", []string{"no-such-fault"}, 400},
		{"", "", []string{"expired=1"}, 400},
		{"", "", []string{"token-slow"}, 400},
	} {
		if status, text := control(test.host, test.origin, test.faults...); status != test.status {
			t.Errorf("%v: %d %s", test, status, text)
		}
		if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusOK {
			t.Errorf("%v had an effect: %d", test, got.StatusCode)
		}
	}
	status, text := control("", "", "jwks-500", "token-slow=1ms")
	if diff := cmp.Diff(`{"faults":["jwks-500","token-slow"]}`, text); status != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", status, diff)
	}
	if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("the fault has no effect: %d", got.StatusCode)
	}
	if status, text := control("", ""); status != http.StatusOK || text != `{"faults":[]}` {
		t.Errorf("%d %s", status, text)
	}
	if got := d.get(d.issuer + "/jwks"); got.StatusCode != http.StatusOK {
		t.Errorf("the fault has not gone: %d", got.StatusCode)
	}
}

func TestNewRefuses(t *testing.T) {
	good := devserver.Config{Issuer: "http://127.0.0.1:9000", API: "http://127.0.0.1:9001"}
	for name, spoil := range map[string]func(*devserver.Config){
		"no issuer":        func(c *devserver.Config) { c.Issuer = "" },
		"issuer and query": func(c *devserver.Config) { c.Issuer += "?x=1" },
		"issuer and user":  func(c *devserver.Config) { c.Issuer = "http://u@127.0.0.1:9000" },
		"a claim of iss": func(c *devserver.Config) {
			c.Users = []devserver.User{{Name: "eve", Claims: map[string]any{"iss": "x"}}}
		},
		"a client's aud": func(c *devserver.Config) {
			c.Clients = []devserver.Client{{ID: "web", Claims: map[string]any{"aud": "x"}}}
		},
		"a scope of two": func(c *devserver.Config) { c.Scopes = []string{"a b"} },
		"a relative API": func(c *devserver.Config) { c.Resources = []string{"/orders"} },
		"auto, no user":  func(c *devserver.Config) { c.AutoUser = "mallory" },
		"trust, no keys": func(c *devserver.Config) { c.Trust = []devserver.TrustedIssuer{{Issuer: "https://ci.example"}} },
		"http elsewhere": func(c *devserver.Config) {
			c.Clients = []devserver.Client{{ID: "web", RedirectURIs: []string{"http://app.local/cb"}}}
		},
		"API with a path": func(c *devserver.Config) { c.API += "/api" },
		"no scheme":       func(c *devserver.Config) { c.API = "127.0.0.1:9001" },
		"alg none":        func(c *devserver.Config) { c.Algorithm = "none" },
		"alg HS256":       func(c *devserver.Config) { c.Algorithm = "HS256" },
		"unknown fault":   func(c *devserver.Config) { c.Faults = []string{"no-such-fault"} },
		"negative TTL":    func(c *devserver.Config) { c.AccessTokenTTL = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := devserver.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := devserver.New(good); err != nil {
		t.Error(err)
	}
}
