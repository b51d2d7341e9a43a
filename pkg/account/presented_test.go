package account_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// workload is a program that presents a token of another server, a new one each
// time.
type workload struct {
	*home
	server   *rigged
	settings profile.Values
	read     int
}

func newWorkload(t *testing.T, settings profile.Values) *workload {
	t.Helper()
	w := &workload{home: newHome(t), server: newRigged(t), settings: settings}
	w.server.answer = func(_ string, body map[string]any) (int, any) {
		delete(body, "refresh_token")
		delete(body, "id_token")
		return http.StatusOK, nil
	}
	return w
}

func (w *workload) open() *account.Account {
	w.t.Helper()
	f := must(profile.Load(w.path))
	p := must(f.Resolve(profile.Query{Getenv: func(string) string { return "" }, Flags: w.settings}))
	return w.account(p, account.Config{ReadAssertion: func(_ context.Context, reference, audience string) (secret.String, error) {
		if audience != w.server.URL {
			w.t.Errorf("read %s for %s", reference, audience)
		}
		w.read++
		return secret.New(fmt.Sprintf("%s-%d", reference, w.read)), nil
	}})
}

func (w *workload) sent(name string) (values []string) {
	for _, form := range w.server.to("/token") {
		values = append(values, form.Get(name))
	}
	return values
}

// A token of another server starts a session, and a new token refreshes it. The
// profile is enough; no login is needed first.
func TestPresentedTokens(t *testing.T) {
	const uri = "urn:ietf:params:oauth:token-type:"
	for name, tt := range map[string]struct {
		settings  profile.Values
		parameter string
		kind      string // subject_token_type
	}{
		"assertion of a CI job":       {profile.Values{profile.GrantType: "jwt-bearer", profile.Assertion: "ci:github", profile.ClientID: "workload"}, "assertion", ""},
		"assertion without a client":  {profile.Values{profile.GrantType: "jwt-bearer", profile.Assertion: "@token"}, "assertion", ""},
		"exchange of a CI job":        {profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "ci:gitlab:ID"}, "subject_token", uri + "jwt"},
		"exchange of a file":          {profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "@token", profile.ClientID: "workload"}, "subject_token", uri + "access_token"},
		"exchange of a type by name":  {profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "@token", profile.SubjectTokenType: "id_token"}, "subject_token", uri + "id_token"},
		"exchange of a type by URI":   {profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "ci:github", profile.SubjectTokenType: "https://example.com/type"}, "subject_token", "https://example.com/type"},
		"exchange of another CI type": {profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "ci:github", profile.SubjectTokenType: "access_token"}, "subject_token", uri + "access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkload(t, tt.settings)
			if _, err := w.open().Login(t.Context(), &user{t: t}, account.LoginOptions{URL: w.server.URL}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.open().Token(t.Context(), account.Want{Refresh: true}); err != nil {
				t.Fatal(err)
			}
			w.offset = time.Hour
			if _, err := w.open().Token(t.Context(), account.Want{}); err != nil || !w.open().ActsForItself() {
				t.Fatal(err)
			}
			reference := cmp.Or(tt.settings[profile.Assertion], tt.settings[profile.SubjectToken])
			if got, want := w.sent(tt.parameter), []string{reference + "-1", reference + "-2", reference + "-3"}; !slices.Equal(got, want) {
				t.Errorf("sent %q, want %q", got, want)
			}
			if got := w.sent("subject_token_type"); !slices.Equal(got, []string{tt.kind, tt.kind, tt.kind}) {
				t.Errorf("sent the type %q, want %q", got, tt.kind)
			}

			fresh := newWorkload(t, tt.settings)
			fresh.settings = maps.Clone(tt.settings)
			fresh.settings[profile.Issuer] = fresh.server.URL
			for range 2 {
				if _, err := fresh.open().Token(t.Context(), account.Want{}); err != nil {
					t.Fatalf("without a login: %v", err)
				}
			}
			if got := fresh.sent(tt.parameter); len(got) != 1 {
				t.Errorf("without a login: sent %q", got)
			}
		})
	}
}

// Without a token to present, nothing is sent. A response that is not an access
// token starts no session.
func TestPresentedTokensAreRefused(t *testing.T) {
	w := newWorkload(t, profile.Values{profile.GrantType: "token-exchange", profile.Assertion: "@token"})
	_, err := w.open().Login(t.Context(), &user{t: t}, account.LoginOptions{URL: w.server.URL})
	if idOf(err) != diagnosis.ClientIncomplete || len(w.sent("grant_type")) > 0 {
		t.Errorf("without a subject token: %v", err)
	}
	w.settings = profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "@token"}
	w.server.answer = func(_ string, body map[string]any) (int, any) {
		delete(body, "id_token")
		body["token_type"], body["issued_token_type"] = "N_A", "urn:ietf:params:oauth:token-type:id-jag"
		return http.StatusOK, nil
	}
	if _, err = w.open().Login(t.Context(), &user{t: t}, account.LoginOptions{URL: w.server.URL}); idOf(err) != diagnosis.TokenEndpointShape {
		t.Errorf("an assertion for another server: %v", err)
	}
	if _, err := w.open().Session(); err == nil {
		t.Error("it made a session")
	}
}

// A session with a refresh token uses it, and does not present a token again. A
// refresh token needs a client.
func TestPresentedOnceWithARefreshToken(t *testing.T) {
	for client, reads := range map[string]int{"workload": 1, "": 2} {
		w := newWorkload(t, profile.Values{profile.GrantType: "token-exchange", profile.SubjectToken: "@token", profile.ClientID: client})
		w.server.answer = func(_ string, body map[string]any) (int, any) {
			delete(body, "id_token")
			return http.StatusOK, nil
		}
		if _, err := w.open().Login(t.Context(), &user{t: t}, account.LoginOptions{URL: w.server.URL}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.open().Token(t.Context(), account.Want{Refresh: true}); err != nil || w.read != reads {
			t.Errorf("client %q: %v, read %d times, want %d", client, err, w.read, reads)
		}
	}
}

// A session of a presented token counts only for what is in force, as one of client credentials does: another server,
// client, scope, audience, resource or API gets a token of its own. The first token is requested once.
func TestPresentedSessionsAreReplaced(t *testing.T) {
	for _, grantType := range []string{account.GrantJWTBearer, account.GrantTokenExchange} {
		for name, tt := range map[string]struct {
			change  profile.Values
			other   bool // another server
			replace bool
		}{
			"nothing":              {profile.Values{}, false, false},
			"the same by name":     {profile.Values{profile.Scope: "write read"}, false, false},
			"another server":       {profile.Values{}, true, true},
			"another client":       {profile.Values{profile.ClientID: "workload-2"}, false, true},
			"another scope":        {profile.Values{profile.Scope: "read"}, false, true},
			"another audience":     {profile.Values{profile.Audience: "https://else.example"}, false, true},
			"another resource":     {profile.Values{profile.Resource: "https://else.example/r"}, false, true},
			"another API":          {profile.Values{profile.API: "https://else.example"}, false, true},
			"the API, another way": {profile.Values{profile.API: "https://api.example/v2"}, false, false},
		} {
			w := newWorkload(t, nil)
			second := newWorkload(t, nil)
			settings := profile.Values{
				profile.GrantType: grantType, profile.Assertion: "@token", profile.SubjectToken: "@token", profile.ClientID: "workload",
				profile.Scope: "read write", profile.API: "https://api.example", profile.Issuer: w.server.URL,
			}
			get := func(settings profile.Values) string {
				t.Helper()
				w.settings = settings
				got, err := w.open().Token(t.Context(), account.Want{})
				if err != nil {
					t.Fatalf("%s, %s: %v", grantType, name, err)
				}
				return got.Value.Reveal()
			}
			first := get(settings)
			changed := maps.Clone(settings)
			maps.Copy(changed, tt.change)
			if tt.other {
				changed[profile.Issuer] = second.server.URL
				w.server, second.server = second.server, w.server // the audience that open expects
			}
			if replaced := get(changed) != first; replaced != tt.replace {
				t.Errorf("%s, %s: replaced %v, want %v", grantType, name, replaced, tt.replace)
			}
			requests := len(w.sent("grant_type"))
			if again := get(changed); len(w.sent("grant_type")) != requests || again == first != !tt.replace {
				t.Errorf("%s, %s: the new session is not used again", grantType, name)
			}
		}
	}
}

// What cannot be had again without a user is refused, and stays: the profile has nothing to present, or the session has
// a refresh token, which would be lost.
func TestPresentedSessionsAreKept(t *testing.T) {
	for name, tt := range map[string]struct {
		refresh bool
		change  profile.Values
		kept    bool
	}{
		"control":            {false, profile.Values{profile.Scope: "read"}, false},
		"nothing to present": {false, profile.Values{profile.Scope: "read", profile.SubjectToken: ""}, true},
		"another grant":      {false, profile.Values{profile.Scope: "read", profile.GrantType: account.GrantAuthorizationCode}, true},
		"no grant, but a client that can authenticate": {false, profile.Values{profile.Scope: "read", profile.GrantType: "", profile.ClientSecret: "env:NAME"}, true},
		"a refresh token":          {true, profile.Values{profile.Scope: "read"}, true},
		"a refresh token, matched": {true, profile.Values{}, false},
	} {
		w := newWorkload(t, profile.Values{profile.GrantType: account.GrantTokenExchange, profile.SubjectToken: "@token", profile.ClientID: "workload", profile.Scope: "read write"})
		if tt.refresh {
			w.server.answer = func(_ string, body map[string]any) (int, any) {
				delete(body, "id_token")
				return http.StatusOK, nil
			}
		}
		w.settings[profile.Issuer] = w.server.URL
		if _, err := w.open().Token(t.Context(), account.Want{}); err != nil {
			t.Fatal(err)
		}
		before := w.stored().AccessToken
		maps.Copy(w.settings, tt.change)
		_, err := w.open().Token(t.Context(), account.Want{})
		switch {
		case tt.kept && (idOf(err) != diagnosis.SessionElsewhere || !w.stored().AccessToken.Equal(before)):
			t.Errorf("%s: %v", name, err)
		case !tt.kept && err != nil:
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An API that is configured only by a variable gets no token for a credential of the profile file, not even a new one:
// the variables may come from a directory that another user controls. With a credential in the variables it does.
func TestEnvironmentAPIGetsNoTokenOfASavedCredential(t *testing.T) {
	const api, other = "https://api.example", "https://other.example"
	for _, grantType := range []string{account.GrantClientCredentials, account.GrantJWTBearer, account.GrantTokenExchange} {
		for _, savedAPI := range []string{api, ""} {
			r := newRigged(t)
			r.answer = func(_ string, body map[string]any) (int, any) {
				delete(body, "refresh_token")
				delete(body, "id_token")
				return http.StatusOK, nil
			}
			saved := profile.Values{
				profile.Issuer: r.URL, profile.ClientID: "workload", profile.GrantType: grantType, profile.API: savedAPI,
				profile.ClientSecret: "env:NAME", profile.Assertion: "@token", profile.SubjectToken: "@token",
			}
			h := newHome(t)
			get := func(inFile profile.Values, environment map[string]string) error {
				t.Helper()
				err := profile.Update(t.Context(), h.path, func(f *profile.File) error { f.Set("default", inFile); return nil })
				if err != nil {
					t.Fatal(err)
				}
				p := must(must(profile.Load(h.path)).Resolve(profile.Query{Getenv: func(name string) string { return environment[name] }}))
				a := h.account(p, account.Config{
					ReadSecret:    func(context.Context, string) (secret.String, error) { return secret.New("secret"), nil },
					ReadAssertion: func(context.Context, string, string) (secret.String, error) { return secret.New("assertion"), nil },
				})
				_, err = a.TokenSource().Token(t.Context(), secret.String{})
				return err
			}
			name := grantType + ", saved API " + savedAPI
			elsewhere := map[string]string{"OAUTHCTL_API": other}
			if err := get(saved, elsewhere); idOf(err) != diagnosis.OriginRefused {
				t.Errorf("%s: the first token: %v", name, err)
			}
			if err := get(saved, map[string]string{"OAUTHCTL_API": savedAPI}); err != nil {
				t.Errorf("%s: positive control: %v", name, err)
			}
			requests := len(r.to("/token"))
			if err := get(saved, elsewhere); idOf(err) != diagnosis.OriginRefused || len(r.to("/token")) != requests {
				t.Errorf("%s: a stored token: %v, %d requests", name, err, len(r.to("/token"))-requests)
			}
			// All of it from the environment, as in CI.
			h = newHome(t)
			environment := map[string]string{"OAUTHCTL_API": other}
			for key, value := range saved {
				if key != profile.API {
					environment[key.Variable()] = value
				}
			}
			if err := get(profile.Values{}, environment); err != nil {
				t.Errorf("%s: from the environment: %v", name, err)
			}
		}
	}
}
