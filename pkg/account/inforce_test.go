package account_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// An endpoint that has moved to another host since the login receives no token
// and no secret.
func TestMovedEndpointsGetNothing(t *testing.T) {
	uses := map[string]func(ctx context.Context, a *account.Account) error{
		"token_endpoint": func(ctx context.Context, a *account.Account) error {
			_, err := a.Token(ctx, account.Want{Refresh: true})
			return err
		},
		"introspection_endpoint": func(ctx context.Context, a *account.Account) error {
			_, err := a.Introspect(ctx, secret.New("any"))
			return err
		},
		"userinfo_endpoint":   func(ctx context.Context, a *account.Account) error { _, err := a.Userinfo(ctx); return err },
		"revocation_endpoint": func(ctx context.Context, a *account.Account) error { return a.Revoke(ctx, secret.New("any")) },
	}
	for endpoint, use := range uses {
		for _, grant := range []string{account.GrantAuthorizationCode, account.GrantClientCredentials} {
			if grant == account.GrantClientCredentials && endpoint == "userinfo_endpoint" {
				continue
			}
			t.Run(grant+"/"+endpoint, func(t *testing.T) {
				var arrived atomic.Int64
				elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
				defer elsewhere.Close()
				h, r := newHome(t), newRigged(t)
				flags := profile.Values{}
				var config account.Config
				if grant == account.GrantClientCredentials {
					flags = profile.Values{profile.ClientID: "service", profile.GrantType: grant}
					config.ClientSecret = secret.New("kept with the session")
				}
				open := func(c account.Config) *account.Account {
					f, err := profile.Load(h.path)
					if err != nil {
						t.Fatal(err)
					}
					p, err := f.Resolve(profile.Query{Flags: flags})
					if err != nil {
						t.Fatal(err)
					}
					return h.account(p, c)
				}
				if _, err := open(config).Login(t.Context(), &user{t: t}, account.LoginOptions{URL: r.URL, OpenBrowser: true}); err != nil {
					t.Fatal(err)
				}
				// The positive control: at the original host it works.
				if err := use(t.Context(), open(account.Config{})); err != nil {
					t.Fatalf("before the move: %v", err)
				}
				if endpoint == "revocation_endpoint" {
					if _, err := open(account.Config{}).Token(t.Context(), account.Want{}); err != nil {
						t.Fatal(err)
					}
				}
				r.rig(func() { r.metadata[endpoint] = elsewhere.URL + "/x" })
				if err := use(t.Context(), open(account.Config{})); idOf(err) != diagnosis.EndpointMoved {
					t.Errorf("got %v, want ENDPOINT_MOVED", err)
				}
				if n := arrived.Load(); n > 0 {
					t.Errorf("%d requests arrived at the other host", n)
				}
				if h.stored() == nil {
					t.Error("the session is lost")
				}
			})
		}
	}
}

// A session is used only if it matches the configuration. One of client
// credentials is replaced; for one of a user, there is an error.
func TestSessionFitsTheConfiguration(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	other := newRigged(t)
	if _, err := h.login(&user{t: t}, r.URL, func(o *account.LoginOptions) {
		o.Scope, o.Audience, o.Resource = []string{"openid", "read"}, []string{"https://api.example"}, []string{"https://api.example/r"}
	}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, value string
		fits        bool
	}{
		{"OAUTHCTL_ISSUER", r.URL, true},
		{"OAUTHCTL_ISSUER", other.URL, false},
		{"OAUTHCTL_ISSUER", r.URL + "/", false},
		{"OAUTHCTL_CLIENT_ID", "client-1", true},
		{"OAUTHCTL_CLIENT_ID", "client-2", false},
		{"OAUTHCTL_SCOPE", "read openid", true},
		{"OAUTHCTL_SCOPE", "read", false},
		{"OAUTHCTL_SCOPE", "openid read write", false},
		{"OAUTHCTL_AUDIENCE", "https://api.example", true},
		{"OAUTHCTL_AUDIENCE", "https://other.example", false},
		{"OAUTHCTL_RESOURCE", "https://api.example/r", true},
		{"OAUTHCTL_RESOURCE", `["https://api.example/r","https://api.example/other one"]`, false},
		{"OAUTHCTL_TOKEN_ENDPOINT", other.URL + "/token", false},
	}
	for _, tt := range tests {
		_, err := h.open("", nil, map[string]string{tt.name: tt.value}).Token(t.Context(), account.Want{})
		if (err == nil) != tt.fits || err != nil && idOf(err) != diagnosis.SessionElsewhere {
			t.Errorf("%s=%s: %v", tt.name, tt.value, err)
		}
	}
	if got := len(other.to("/token")); got > 0 {
		t.Errorf("%d token requests at the other server", got)
	}
}

// Two jobs with client credentials that share a home directory get tokens of
// their own servers, scopes and APIs.
func TestJobsThatShareAHome(t *testing.T) {
	h := newHome(t)
	staging, production := newRigged(t), newRigged(t)
	job := func(r *rigged, scope, api string) string {
		t.Helper()
		environment := map[string]string{
			"OAUTHCTL_ISSUER": r.URL, "OAUTHCTL_CLIENT_ID": "ci", "OAUTHCTL_GRANT_TYPE": account.GrantClientCredentials,
			"OAUTHCTL_SCOPE": scope, "OAUTHCTL_API": api,
		}
		f, err := profile.Load(h.path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Resolve(profile.Query{Getenv: func(name string) string { return environment[name] }})
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.account(p, account.Config{ClientSecret: secret.New("of " + r.URL)}).Token(t.Context(), account.Want{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Value.Reveal()
	}
	seen := []string{}
	for _, token := range []string{
		job(staging, "read", "https://staging.example"), job(production, "read", "https://production.example"),
		job(production, "write", "https://production.example"), job(production, "write", "https://else.example"),
	} {
		if slices.Contains(seen, token) {
			t.Error("two jobs got one token")
		}
		seen = append(seen, token)
	}
	if again := job(production, "write", "https://else.example/v1"); again != seen[3] {
		t.Error("the same job did not get its own token again")
	}
	for _, form := range production.to("/token") {
		if form.Get("client_secret") == "of "+staging.URL {
			t.Error("staging's secret reached production")
		}
	}
}

// Client credentials are requested again with the same parameters.
func TestClientCredentialsAreRepeated(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	flags := profile.Values{profile.ClientID: "service", profile.GrantType: account.GrantClientCredentials}
	if _, err := h.open("", flags, nil).Login(t.Context(), &user{t: t}, account.LoginOptions{
		URL: r.URL, Scope: []string{"read"}, Audience: []string{"Order Service"}, Resource: []string{"https://api.example"}, Param: []string{"tenant=blue sky", "x=1"},
	}); err != nil {
		t.Fatal(err)
	}
	h.offset = time.Hour
	if _, err := h.open("", nil, nil).Token(t.Context(), account.Want{}); err != nil {
		t.Fatal(err)
	}
	asked := r.to("/token")
	if len(asked) != 2 {
		t.Fatalf("%d requests, want 2", len(asked))
	}
	if asked[0].Encode() != asked[1].Encode() || asked[1].Get("tenant") != "blue sky" || asked[1].Get("audience") != "Order Service" {
		t.Errorf("asked for\n%v, then\n%v", asked[0], asked[1])
	}
}
