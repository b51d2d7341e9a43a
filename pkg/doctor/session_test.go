package doctor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// loggedIn adds a session to the examination, whose token is signed with key.
func (f *farm) loggedIn(key *jwks.PrivateKey, change func(*session.Session)) {
	f.t.Helper()
	now := time.Now()
	raw, err := token.Sign(key, "at+jwt", map[string]any{
		"iss": f.issuer.URL, "sub": "alice", "aud": f.api.URL + "/items", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "client_id": "c", "jti": "1",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	p := profile.New("default", profile.Values{profile.Issuer: f.issuer.URL, profile.API: f.api.URL + "/items", profile.ClientID: "c"})
	store := session.Open(f.t.TempDir())
	s := &session.Session{
		Profile: "default", Issuer: f.issuer.URL, API: f.api.URL + "/items", ClientID: "c", TokenType: "Bearer", AccessToken: secret.New(raw),
		TokenEndpoint: f.issuer.URL + "/token", Origins: []string{f.issuer.URL}, Grant: account.GrantAuthorizationCode, ExpiresAt: now.Add(time.Hour), ObtainedAt: now,
	}
	change(s)
	if err := store.Save(f.t.Context(), s); err != nil {
		f.t.Fatal(err)
	}
	if f.config.Account, err = account.Open(p, store, account.Config{HTTP: f.config.HTTP}); err != nil {
		f.t.Fatal(err)
	}
}

// profile adds a profile without a session to the examination.
func (f *farm) profile(values profile.Values) {
	f.t.Helper()
	var err error
	if f.config.Account, err = account.Open(profile.New("default", values), session.Open(f.t.TempDir()), account.Config{HTTP: f.config.HTTP}); err != nil {
		f.t.Fatal(err)
	}
}

func TestExamineSession(t *testing.T) {
	key := generated(t)
	published, err := jwks.NewSet(key.Public()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	same := func(*session.Session) {}
	for name, tt := range map[string]struct {
		session func(*session.Session)
		farm    func(*farm)
		want    want
		sent    bool // the token was
	}{
		"valid":                    {same, func(*farm) {}, want{}, true},
		"not sent":                 {same, func(f *farm) { f.config.NoToken = true }, want{}, false},
		"401":                      {same, func(f *farm) { f.withToken = 401 }, want{"19", diagnosis.APIUnauthorized, doctor.TheAPI, diagnosis.Rejected, doctor.Failed}, true},
		"401, other audience":      {same, func(f *farm) { f.withToken, f.prm["resource"] = 401, f.api.URL }, want{"18", diagnosis.AudMismatch, doctor.You, diagnosis.Rejected, doctor.Failed}, true},
		"other audience, accepted": {same, func(f *farm) { f.prm["resource"] = f.api.URL }, want{}, true},
		"403":                      {same, func(f *farm) { f.withToken = 403 }, want{"19", diagnosis.ScopeMissing, doctor.You, diagnosis.Denied, doctor.Failed}, true},
		"404":                      {same, func(f *farm) { f.withToken = 404 }, want{}, true},
		"other key":                {same, func(f *farm) { f.keys = newFarm(f.t).keys }, want{"18", diagnosis.KidUnknown, doctor.You, diagnosis.Rejected, doctor.Failed}, false},
		"expired":                  {func(s *session.Session) { s.ExpiresAt = time.Now().Add(-time.Minute) }, func(*farm) {}, want{"18", diagnosis.LoginRequired, doctor.You, diagnosis.LoginNeeded, doctor.Failed}, false},
		"refreshable":              {func(s *session.Session) { s.ExpiresAt, s.RefreshToken = time.Now().Add(-time.Minute), secret.New("r") }, func(*farm) {}, want{}, false},
		"revoked":                  {func(s *session.Session) { s.Revoked = true }, func(*farm) {}, want{"18", diagnosis.LoginRequired, doctor.You, diagnosis.LoginNeeded, doctor.Failed}, false},
		"other API":                {func(s *session.Session) { s.API = "https://other.example" }, func(*farm) {}, want{}, false},
		"a client's document": {same, func(f *farm) {
			delete(f.meta, "registration_endpoint")
			f.meta["client_id_metadata_document_supported"] = true
			f.profile(profile.Values{profile.ClientMetadataURL: "https://client.example/client.json"})
		}, want{}, false},
		"a document that the server does not take": {same, func(f *farm) {
			delete(f.meta, "registration_endpoint")
			f.profile(profile.Values{profile.ClientMetadataURL: "https://client.example/client.json"})
		}, want{"15", diagnosis.NoRegistrationPath, doctor.You, diagnosis.Usage, doctor.Failed}, false},
		"other client": {func(s *session.Session) { s.ClientID = "d" }, func(*farm) {}, want{"18", diagnosis.SessionElsewhere, doctor.You, diagnosis.LoginNeeded, doctor.Failed}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			f.keys = string(published)
			f.loggedIn(key, tt.session)
			tt.farm(f)
			report, err := doctor.Examine(t.Context(), f.config)
			if err != nil {
				t.Fatal(err)
			}
			var got want
			if first := report.First(true); first != nil {
				got = want{first.Rung, first.ID, first.Owner, first.Fault().Kind(), first.Status}
			}
			if got != tt.want {
				t.Errorf("got %v, want %v\n%s", got, tt.want, lines(report))
			}
			f.sent()
			if sent := strings.Contains(strings.Join(f.log, "\n"), "Bearer "); sent != tt.sent {
				t.Errorf("the token was sent: %t\n%s", sent, strings.Join(f.log, "\n"))
			}
		})
	}
}
