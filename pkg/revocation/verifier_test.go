package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// After a revocation, an opaque token is refused within MaxAge. If the server
// is unreachable, the token is not refused, and the server is found later.
func TestOpaque(t *testing.T) {
	c := &clock{at: start}
	var active, up atomic.Bool
	active.Store(true)
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%v,"aud":"api","sub":"a","exp":%d}`, active.Load(), start.Unix()+100)
	}))
	defer as.Close()
	find := func(context.Context) (*oauth.Client, error) {
		if !up.Load() {
			return nil, errors.New("away")
		}
		return &oauth.Client{ID: "api", Secret: secret.New("s"), Server: &discovery.Server{Issuer: issuer, IntrospectionEndpoint: as.URL}}, nil
	}
	o, err := revocation.NewOpaque(find, responses(t, c.now), revocation.IntrospectionOptions{MaxAge: 10 * time.Second, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	id := func() diagnosis.ID {
		tok, err := o.Verify(t.Context(), "opaque")
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) {
			return d.ID
		}
		if tok == nil || tok.Issuer() != issuer || tok.Subject() != "a" {
			t.Errorf("token %v", tok)
		}
		return ""
	}
	step := func(name string, want diagnosis.ID) {
		t.Helper()
		if got := id(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	step("the server is away", diagnosis.RevocationUnknown)
	up.Store(true)
	step("the server is back", "")
	active.Store(false)
	c.move(9 * time.Second)
	step("remembered", "")
	c.move(time.Second)
	step("revoked", diagnosis.Revoked)
	active.Store(true)
	c.move(95 * time.Second)
	step("expired", diagnosis.Expired)
	for name, wrong := range map[string]func() (*revocation.Opaque, error){
		"no client": func() (*revocation.Opaque, error) {
			return revocation.NewOpaque(nil, responses(t, nil), revocation.IntrospectionOptions{})
		},
		"no verifier": func() (*revocation.Opaque, error) {
			return revocation.NewOpaque(find, nil, revocation.IntrospectionOptions{})
		},
	} {
		if o, err := wrong(); err == nil {
			t.Errorf("%s: %v", name, o)
		}
	}
}

// responses returns a verifier of the responses about tokens for the API.
func responses(t testing.TB, now func() time.Time) *token.ResponseVerifier {
	t.Helper()
	v, err := token.NewResponseVerifier(issuer, []string{"api"}, token.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A JWT whose signature was verified is revoked if the server reports it as
// inactive. Other members of the response do not matter.
func TestOpaqueAsksAboutJWTs(t *testing.T) {
	var answer atomic.Value
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer.Load())
	}))
	defer as.Close()
	client := &oauth.Client{ID: "api", Secret: secret.New("s"), Server: &discovery.Server{Issuer: issuer, IntrospectionEndpoint: as.URL}}
	key := newKey(t, "EdDSA")
	for text, want := range map[string]bool{`{"active":true}`: false, `{"active":true,"aud":"another"}`: false, `{"active":false}`: true} {
		answer.Store(text)
		o, err := revocation.NewOpaque(func(context.Context) (*oauth.Client, error) { return client, nil }, responses(t, nil), revocation.IntrospectionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if revoked, err := o.Revoked(t.Context(), signed(t, key, nil)); revoked != want || err != nil {
			t.Errorf("%s: Revoked = %v, %v", text, revoked, err)
		}
	}
}

// For every response, an accepted token is active, for this API and not
// expired.
func FuzzOpaque(f *testing.F) {
	for _, answer := range []string{`{"active":true,"aud":"api","exp":9999999999}`, `{"active":true}`, `{"active":"true","aud":"api"}`, `{"active":true,"aud":["api"],"exp":1e300}`, `[]`, `{"active":true,"aud":"api","aud":"x","exp":9999999999}`} {
		f.Add(answer)
	}
	var answer atomic.Value
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer.Load())
	}))
	f.Cleanup(as.Close)
	client := &oauth.Client{ID: "api", Secret: secret.New("s"), Server: &discovery.Server{Issuer: issuer, IntrospectionEndpoint: as.URL}}
	f.Fuzz(func(t *testing.T, text string) {
		answer.Store(text)
		o, err := revocation.NewOpaque(func(context.Context) (*oauth.Client, error) { return client, nil }, responses(t, nil), revocation.IntrospectionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := o.Verify(t.Context(), "raw")
		if err == nil && (tok.Issuer() != issuer || len(tok.Audience()) == 0 || !tok.Expiry().After(time.Now())) {
			t.Errorf("%q makes the token %v", text, tok.Claims())
		}
	})
}

// Entries with Covering refuse tokens that a clock which is ahead signed before
// the revocation, and no tokens that were signed after it.
func TestCovering(t *testing.T) {
	key := newKey(t, "EdDSA")
	for ahead, want := range map[time.Duration]bool{-time.Hour: true, 0: true, 20 * time.Second: true, 60 * time.Second: true, 61 * time.Second: false} {
		for name, e := range map[string]revocation.Entry{"subject": revocation.OfSubject(issuer, "alice", start), "session": revocation.OfSession(issuer, "s1", start)} {
			m := revocation.NewMemory(revocation.MemoryOptions{Now: (&clock{at: start}).now})
			if err := m.Revoke(t.Context(), e.Covering(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got, _ := m.Revoked(t.Context(), signed(t, key, map[string]any{"iat": start.Add(ahead).Unix()})); got != want {
				t.Errorf("%s, issued %s after the revocation: Revoked = %v", name, ahead, got)
			}
		}
	}
}
