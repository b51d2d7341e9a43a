package revocation

import (
	"context"
	"errors"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Revoker stores revocations.
type Revoker interface {
	Revoke(ctx context.Context, e Entry) error
}

// Logout receives logout tokens from authorization servers and revokes access tokens
// (OpenID Connect Back-Channel Logout 1.0). The claims of the logout token determine
// which ones:
//   - sid: the tokens of this session
//   - sub: all tokens of this subject
//   - both: the tokens of this session, and the tokens of this subject that have no
//     sid
//
// Tokens that were issued after the logout token are accepted, so the next login
// works.
type Logout struct {
	// Verifier verifies logout tokens; see [LogoutVerifier].
	Verifier *token.Verifier
	Store    Revoker
	// Done, if not nil, is called after each request, with the logout token or with the
	// reason why the request was refused.
	Done func(*http.Request, *token.Token, *diagnosis.Diagnosis)
}

// LogoutVerifier returns a verifier for the logout tokens that an issuer sends to
// the clients with these ids (section 2.6). The options that are about the claims of
// access tokens are ignored.
func LogoutVerifier(issuer string, clientIDs []string, keys token.KeySet, o token.Options) (*token.Verifier, error) {
	o.Accept, o.Types, o.RFC9068, o.CacheTokens = []token.Kind{token.KindLogoutToken}, nil, false, 0
	o.InsecureSkipAudience, o.ClientIDs, o.Require = false, nil, nil
	return token.NewVerifier(issuer, clientIDs, keys, o)
}

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	maxLogout   = 64 << 10
)

// ServeHTTP returns 200 when the revocation is stored, 405 for a request that is not
// a POST, and 400 for any other error (section 2.8).
func (l *Logout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		l.refuse(w, r, http.StatusMethodNotAllowed, &diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Values{http.MethodPost}, Got: diagnosis.Values{r.Method}})
		return
	}
	t, err := l.receive(w, r)
	if err == nil {
		err = l.revoke(r.Context(), t)
	}
	if err != nil {
		d, ok := errors.AsType[*diagnosis.Diagnosis](err)
		if !ok {
			d = &diagnosis.Diagnosis{ID: diagnosis.RevocationUnknown, Err: err}
		}
		l.refuse(w, r, http.StatusBadRequest, d)
		return
	}
	if l.Done != nil {
		l.Done(r, t, nil)
	}
	w.WriteHeader(http.StatusOK)
}

// receive returns the verified logout token of a request (sections 2.5 and 2.6).
func (l *Logout) receive(w http.ResponseWriter, r *http.Request) (*token.Token, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	r.Body = http.MaxBytesReader(w, r.Body, maxLogout)
	if kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil || len(r.PostForm["logout_token"]) != 1 {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.CredentialsInvalid, Expected: diagnosis.Text("a form with one logout_token"), Got: diagnosis.Text("something else")}
	}
	t, err := l.Verifier.Verify(r.Context(), r.PostForm.Get("logout_token"))
	if err != nil {
		return nil, err
	}
	if t.Kind() != token.KindLogoutToken || !saysLogout(t) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.TypRefused, Expected: diagnosis.Text("a logout token, whose events have " + logoutEvent), Got: diagnosis.Text(t.Kind().String())}
	}
	if _, has := t.ClaimJSON("nonce"); has { // it may be an ID token
		return nil, invalidClaim("no nonce")
	}
	for name, missing := range map[string]bool{"iat": t.IssuedAt().IsZero(), "jti": t.ID() == "", "sub or sid": t.Subject() == "" && sessionOf(t) == ""} {
		if missing {
			return nil, &diagnosis.Diagnosis{ID: diagnosis.ClaimMissing, Expected: diagnosis.Values{name}, Got: diagnosis.None}
		}
	}
	return t, nil
}

func invalidClaim(expected string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text("another value")}
}

// saysLogout reports whether the claim events has the logout event, with an object
// as its value (section 2.4).
func saysLogout(t *token.Token) bool {
	text, _ := t.ClaimJSON("events")
	var events map[string]jsontext.Value
	if text == "" || json.Unmarshal([]byte(text), &events) != nil {
		return false
	}
	return len(events[logoutEvent]) > 0 && events[logoutEvent][0] == '{'
}

// revoke stores the revocations of a logout token. They compare the iat of access
// tokens with that of the logout token; both are from the issuer's clock. Receiving
// a logout token twice has no further effect.
func (l *Logout) revoke(ctx context.Context, t *token.Token) error {
	issuer, subject, session, at := t.Issuer(), t.Subject(), sessionOf(t), t.IssuedAt()
	var entries []Entry
	switch {
	case session == "":
		entries = []Entry{OfSubject(issuer, subject, at)}
	case subject == "":
		entries = []Entry{OfSession(issuer, session, at)}
	default:
		entries = []Entry{OfSession(issuer, session, at), OfSessionless(issuer, subject, at)}
	}
	for _, e := range entries {
		if err := l.Store.Revoke(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *Logout) refuse(w http.ResponseWriter, r *http.Request, status int, d *diagnosis.Diagnosis) {
	if l.Done != nil {
		l.Done(r, nil, d)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The error means that the client has closed the connection.
	_ = json.MarshalWrite(w, map[string]string{"error": "invalid_request", "error_description": string(d.ID) + ": " + d.Summary()}, json.Deterministic(true))
}
