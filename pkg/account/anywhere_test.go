package account_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// warned returns the texts of the warnings with an id.
func (u *user) warned(id diagnosis.ID) (texts []string) {
	for _, err := range u.warnings {
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) && d.ID == id {
			texts = append(texts, d.Got.String())
		}
	}
	return texts
}

// Requests that are not the response are reported, once for each kind, and the
// login continues.
func TestIgnoredCallbacksAreReported(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	u := &user{t: t}
	u.opened = func(address string) error {
		asked, err := url.Parse(address)
		if err != nil {
			return err
		}
		back := asked.Query().Get("redirect_uri")
		for range 2 {
			for _, query := range []string{"?error=access_denied", "?state=other&code=c", "?error=server_error&state=other", ""} {
				if err := visit(back + query); err != nil {
					return err
				}
			}
			res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest(http.MethodPost, back, strings.NewReader("code=c"))))
			if err != nil {
				return err
			}
			res.Body.Close()
		}
		return visit(address)
	}
	if _, err := h.login(u, r.URL, nil); err != nil {
		t.Fatal(err)
	}
	got := u.warned(diagnosis.CallbackIgnored)
	want := []string{
		"error=access_denied without state", "parameters with the state of another login", "error=server_error with the state of another login",
		"a request without parameters; a response in the fragment is not sent to this machine", "a POST, as response_mode form_post sends",
	}
	if !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
	quiet := &user{t: t}
	if _, err := newHome(t).login(quiet, r.URL, nil); err != nil || quiet.warned(diagnosis.CallbackIgnored) != nil {
		t.Errorf("without any: %v, %q", err, quiet.warnings)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// If the server refuses a scope that only we added, the login continues without
// it, for any error code. A scope that the user requested is an error.
func TestImpliedScopesAreLeftOut(t *testing.T) {
	atToken := func(code string) func(r *rigged) {
		return func(r *rigged) {
			r.answer = func(string, map[string]any) (int, any) {
				scope := ""
				for _, q := range r.requests {
					if q.path == "/authorize" {
						scope = q.form.Get("scope")
					}
				}
				if strings.Contains(scope, "offline_access") {
					return http.StatusBadRequest, map[string]any{"error": code, "error_description": "offline tokens are not for you"}
				}
				return http.StatusOK, nil
			}
		}
	}
	atPage := func(word string) func(r *rigged) {
		return func(r *rigged) { r.refuse, r.word = "offline_access", word }
	}
	for name, tt := range map[string]struct {
		rig     func(*rigged)
		leftOut bool
	}{
		"invalid_scope":                       {atPage(""), true},
		"a word of its own":                   {atPage("scope_not_permitted"), true},
		"the token endpoint":                  {atToken("not_allowed"), true},
		"invalid_scope at the token endpoint": {atToken("invalid_scope"), true},
		"the user's no":                       {atPage("access_denied"), false},
		"a broken request":                    {atToken("invalid_request"), false},
		"a code that was used":                {atToken("invalid_grant"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h, r := newHome(t), newRigged(t)
			tt.rig(r)
			u := &user{t: t}
			done, err := h.login(u, r.URL, nil)
			if warned := u.warned(diagnosis.ScopesLeftOut) != nil; (err == nil) != tt.leftOut || warned != tt.leftOut {
				t.Fatalf("%v, warned of %v", err, u.warnings)
			}
			requests := len(r.to("/authorize"))
			if !tt.leftOut && requests != 1 || tt.leftOut && (requests != 2 || slices.Contains(done.Asked, "offline_access")) {
				t.Errorf("%+v in %d requests", done, requests)
			}
			named := &user{t: t}
			_, err = newHome(t).login(named, r.URL, func(o *account.LoginOptions) { o.Scope = []string{"openid", "offline_access"} })
			if err == nil || named.warned(diagnosis.ScopesLeftOut) != nil {
				t.Errorf("named by the user: %v, %v", err, named.warnings)
			}
		})
	}
}

// Keycloak issues refresh tokens without offline_access, which starts an
// offline session there. So it is requested only if the user requests it.
func TestOfflineAccessIsNotAddedEverywhere(t *testing.T) {
	for name, tt := range map[string]struct {
		path string
		name []string
		want string
	}{
		"a realm of Keycloak":  {"/realms/shop", nil, "openid"},
		"below another path":   {"/auth/realms/shop", nil, "openid"},
		"named by the user":    {"/realms/shop", []string{"openid", "offline_access"}, "openid offline_access"},
		"a server of any kind": {"/tenants/shop", nil, "openid offline_access"},
	} {
		h, r := newHome(t), newRigged(t)
		r.metadata["issuer"] = r.URL + tt.path
		if _, err := h.login(&user{t: t}, r.URL+tt.path, func(o *account.LoginOptions) { o.Scope = tt.name }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.to("/authorize")[0].Get("scope"); got != tt.want {
			t.Errorf("%s: requested %q, want %q", name, got, tt.want)
		}
	}
}

// Any registered redirect URI can be used if the response can be pasted.
func TestPastedRedirectURI(t *testing.T) {
	for _, uri := range []string{"https://app.example.com/cb", "urn:ietf:wg:oauth:2.0:oob", "com.example.app:/cb", "https://app.example.com/cb?team=7"} {
		h, r := newHome(t), newRigged(t)
		u := &user{t: t, pasted: make(chan string, 2)}
		u.opened = func(address string) error {
			asked, err := url.Parse(address)
			if err != nil {
				return err
			}
			if err := visit(address); err == nil {
				return fmt.Errorf("the redirect led somewhere")
			}
			separator := "?"
			if strings.Contains(uri, "?") {
				separator = "&"
			}
			u.pasted <- "the code, please"
			u.pasted <- "<" + uri + separator + url.Values{"code": {"one-time"}, "state": {asked.Query().Get("state")}, "iss": {r.URL}}.Encode() + "#top>"
			return nil
		}
		if _, err := h.login(u, r.URL, func(o *account.LoginOptions) { o.RedirectURI = uri }); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if sent := r.to("/authorize"); len(sent) > 0 && sent[0].Get("redirect_uri") != uri {
			t.Errorf("%s was sent as %s", uri, sent[0].Get("redirect_uri"))
		}
		if len(u.warned(diagnosis.PasteRefused)) != 1 {
			t.Errorf("%s: warned of %v", uri, u.warnings)
		}
	}
	_, err := newHome(t).login(&user{t: t}, newRigged(t).URL, func(o *account.LoginOptions) { o.RedirectURI = "https://app.example.com/cb" })
	if idOf(err) != diagnosis.RedirectUnusable {
		t.Errorf("where nothing can be pasted: %v", err)
	}
}

// The client is the first of these: the one in the profile, a client id
// metadata document, a registered one.
func TestClientIdentity(t *testing.T) {
	const document = "https://client.example/oauthctl.json"
	for name, tt := range map[string]struct {
		flags     profile.Values
		announced bool
		want      string
		clients   int
	}{
		"named":                 {profile.Values{profile.ClientID: "mine", profile.ClientMetadataURL: document}, true, "mine", 0},
		"a document":            {profile.Values{profile.ClientMetadataURL: document}, true, document, 0},
		"which is not accepted": {profile.Values{profile.ClientMetadataURL: document}, false, "client-1", 1},
		"no document":           {nil, true, "client-1", 1},
	} {
		h, r := newHome(t), newRigged(t)
		r.metadata["client_id_metadata_document_supported"] = tt.announced
		for range 2 {
			a := h.open("", tt.flags, nil)
			if _, err := a.Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true, Timeout: 10 * time.Second}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, form := range append(r.to("/authorize"), r.to("/token")...) {
			if form.Get("client_id") != tt.want {
				t.Errorf("%s: client_id %q, want %q", name, form.Get("client_id"), tt.want)
			}
		}
		if r.clients != tt.clients {
			t.Errorf("%s: %d clients were registered, want %d", name, r.clients, tt.clients)
		}
	}
}

// A document that is only the program's default is used while it can be
// fetched.
func TestDefaultClientDocument(t *testing.T) {
	for name, body := range map[string]string{"there": `{"client_id":"URL"}`, "about another": `{"client_id":"https://o.example"}`, "away": ""} {
		h, r := newHome(t), newRigged(t)
		r.metadata["client_id_metadata_document_supported"] = true
		var document string
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if body == "" {
				http.NotFound(w, q)
			}
			fmt.Fprint(w, strings.Replace(body, "URL", document, 1))
		}))
		document = site.URL + "/client.json"
		f := must(profile.Load(h.path))
		p := must(f.Resolve(profile.Query{Getenv: func(string) string { return "" }})).With(profile.Preset, profile.Values{profile.ClientMetadataURL: document})
		if _, err := h.account(p, account.Config{}).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true, Timeout: 10 * time.Second}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if used := r.to("/token")[0].Get("client_id") == document; used != (name == "there") || (r.clients == 0) != used {
			t.Errorf("%s: used %v, with %d clients registered", name, used, r.clients)
		}
		site.Close()
	}
}

// Everything that the login needs is checked before a client is registered.
func TestLoginIsCheckedBeforeRegistration(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(metadata map[string]any)
		login  func(o *account.LoginOptions)
		want   diagnosis.ID
	}{
		"no token endpoint":         {func(m map[string]any) { delete(m, "token_endpoint") }, nil, diagnosis.MetadataInvalid},
		"no authorization endpoint": {func(m map[string]any) { m["authorization_endpoint"] = nil }, nil, diagnosis.EndpointMissing},
		"a script for it":           {func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" }, nil, diagnosis.MetadataInvalid},
		"no PAR":                    {func(map[string]any) {}, func(o *account.LoginOptions) { o.PAR = true }, diagnosis.EndpointMissing},
		"no device endpoint":        {func(map[string]any) {}, func(o *account.LoginOptions) { o.GrantType, o.OpenBrowser = account.GrantDeviceCode, false }, diagnosis.EndpointMissing},
		"all there":                 {func(map[string]any) {}, nil, ""},
	} {
		h, r := newHome(t), newRigged(t)
		tt.change(r.metadata)
		_, err := h.login(&user{t: t}, r.URL, tt.login)
		if idOf(err) != tt.want || (r.clients > 0) != (tt.want == "") {
			t.Errorf("%s: %v with %d clients, want %q", name, err, r.clients, tt.want)
		}
	}
}

// Servers use several errors for a client that they no longer know. Each leads
// to one new registration.
func TestErrorsForAForgottenClient(t *testing.T) {
	for code, again := range map[string]bool{"invalid_client": true, "unauthorized_client": true, "invalid_grant": true, "invalid_scope": false, "access_denied": false} {
		h, r := newHome(t), newRigged(t)
		h.mustLogin(r.URL)
		r.rig(func() {
			r.answer = func(grant string, _ map[string]any) (int, any) {
				if r.clients == 1 && grant == "authorization_code" {
					return http.StatusBadRequest, map[string]any{"error": code}
				}
				return http.StatusOK, nil
			}
		})
		_, err := h.login(&user{t: t}, r.URL, nil)
		if (r.clients == 2) != again || (err == nil) != again {
			t.Errorf("%s: %d clients, %v", code, r.clients, err)
		}
	}
}

// The metadata can be at another URL if the profile has it; the expected issuer
// does not change.
func TestMetadataElsewhere(t *testing.T) {
	for issuer, want := range map[string]diagnosis.ID{"https://tenant.example/policy": "", "https://other.example": diagnosis.IssDiscoveryMismatch} {
		h, r := newHome(t), newRigged(t)
		r.metadata["issuer"] = "https://tenant.example/policy"
		r.metadata["scopes_supported"], r.metadata["authorization_response_iss_parameter_supported"] = []string{"api"}, false
		r.answer = func(_ string, body map[string]any) (int, any) { delete(body, "id_token"); return http.StatusOK, nil }
		u := &user{t: t}
		u.opened = func(address string) error {
			asked := must(url.Parse(address)).Query()
			return visit(asked.Get("redirect_uri") + "?" + url.Values{"code": {"one-time"}, "state": {asked.Get("state")}}.Encode())
		}
		a := h.open("", profile.Values{profile.Issuer: issuer, profile.MetadataURL: r.URL + "/.well-known/openid-configuration", profile.ClientID: "app"}, nil)
		// The endpoints of this test are on loopback, which a public issuer
		// must not use.
		_, err := a.Login(t.Context(), u, account.LoginOptions{OpenBrowser: true, Timeout: 10 * time.Second})
		if want == "" {
			want = diagnosis.InsecureEndpoint
		}
		if idOf(err) != want {
			t.Errorf("%s: %v, want %s", issuer, err, want)
		}
	}
	h, r := newHome(t), newRigged(t)
	a := h.open("", profile.Values{profile.Issuer: r.URL, profile.MetadataURL: r.URL + "/.well-known/elsewhere"}, nil)
	if _, err := a.Login(t.Context(), &user{t: t}, account.LoginOptions{OpenBrowser: true, Timeout: 10 * time.Second}); err != nil {
		t.Errorf("positive control: %v", err)
	}
}

func TestUnknownProvider(t *testing.T) {
	f := must(profile.Load(newHome(t).path))
	p := must(f.Resolve(profile.Query{Getenv: func(string) string { return "" }, Flags: profile.Values{profile.Provider: "gogle"}}))
	if _, err := account.Open(p, nil, account.Config{}); idOf(err) != diagnosis.ConfigInvalid || !strings.Contains(err.Error(), "google") {
		t.Errorf("got %v", err)
	}
}
