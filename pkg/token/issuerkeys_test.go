package token_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// issuerServer is an authorization server that can be made unreachable.
type issuerServer struct {
	*httptest.Server
	away     atomic.Bool
	noKeys   atomic.Bool // the metadata has no jwks_uri
	metadata atomic.Int64
}

func newIssuerServer(t *testing.T, keys *jwks.Set) *issuerServer {
	t.Helper()
	s := &issuerServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/.well-known/oauth-authorization-server":
			s.metadata.Add(1)
			if s.away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			document := map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys", "token_endpoint": s.URL + "/token"}
			if s.noKeys.Load() {
				delete(document, "jwks_uri")
			}
			_ = json.MarshalWrite(w, document)
		case r.URL.Path == "/keys" && !s.away.Load():
			_ = json.MarshalWrite(w, keys)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// An API starts while its issuer cannot be reached, and verifies tokens as soon
// as it can.
func TestIssuerVerifierStartsWhileTheIssuerIsAway(t *testing.T) {
	key := newKey(t, "ES256")
	s := newIssuerServer(t, jwks.NewSet(key.Public()))
	s.away.Store(true)
	var clock atomic.Int64
	clock.Store(time.Now().Unix())
	at := func() time.Time { return time.Unix(clock.Load(), 0) }
	v, err := token.NewIssuerVerifier(s.URL, []string{audience}, token.Options{Now: at})
	if err != nil {
		t.Fatal(err)
	}
	raw := sign(t, key, "at+jwt", map[string]any{"iss": s.URL, "aud": audience, "exp": clock.Load() + 600})

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), raw); err == nil || v.Report(t.Context(), raw).Valid {
				t.Error("a token is valid while the issuer is away")
			}
		})
	}
	all.Wait()
	if n := s.metadata.Load(); n != 1 {
		t.Errorf("%d requests within a second", n)
	}
	s.away.Store(false)
	clock.Add(2)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Errorf("once the issuer is there: %v", err)
	}
	s.away.Store(true)
	clock.Add(2)
	if _, err := v.Verify(t.Context(), raw); err != nil || s.metadata.Load() != 2 {
		t.Errorf("%v, %d requests of the metadata", err, s.metadata.Load())
	}
}

func TestIssuerKeysSayWhatIsWrong(t *testing.T) {
	key := newKey(t, "ES256")
	s := newIssuerServer(t, jwks.NewSet(key.Public()))
	s.noKeys.Store(true)
	keys := token.NewIssuerKeys(s.URL, jwks.RemoteOptions{})
	defer keys.Close()
	if err := keys.Ready(t.Context()); idOf(err) != diagnosis.TrustUnknown || keys.State().Failures != 1 || keys.State().LastError == nil {
		t.Errorf("Ready = %v, %+v", err, keys.State())
	}
	other := token.NewIssuerKeys(s.URL+"/", jwks.RemoteOptions{})
	if _, err := other.Keys(t.Context(), jwks.Query{Algorithm: "ES256"}); idOf(err) != diagnosis.IssSlash {
		t.Errorf("another issuer: %v", err)
	}
	s.noKeys.Store(false)
	good := token.NewIssuerKeys(s.URL, jwks.RemoteOptions{})
	if good.Generation() != 0 || good.Former("x") != nil {
		t.Error("there is something before the first request")
	}
	if err := good.Ready(t.Context()); err != nil || good.State().Keys != 1 || good.Generation() == 0 {
		t.Errorf("positive control: %v, %+v", err, good.State())
	}
	good.Close()
}

// A token that cannot be a JWT is refused before any request.
func TestShapeComesBeforeTheNetwork(t *testing.T) {
	s := newIssuerServer(t, jwks.NewSet(newKey(t, "ES256").Public()))
	v, err := token.NewIssuerVerifier(s.URL, []string{audience}, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]diagnosis.ID{
		"": diagnosis.TokenMissing, "9f2c": diagnosis.OpaqueToken, "a.b": diagnosis.Malformed, "ory_at_x.y": diagnosis.OpaqueToken,
		part(`{"alg":"none"}`) + ".e30.": diagnosis.AlgNone, part(`{"alg":"dir","enc":"A256GCM"}`) + ".a.b.c.d": diagnosis.TokenEncrypted,
	} {
		if _, err := v.Verify(t.Context(), raw); idOf(err) != want {
			t.Errorf("%q: %v, want %s", raw, err, want)
		}
	}
	if n := s.metadata.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestJoin(t *testing.T) {
	type issuerOf struct {
		name string
		key  *jwks.PrivateKey
	}
	prod, staging, forger := issuerOf{"https://prod.example", newKey(t, "ES256")}, issuerOf{"https://staging.example", newKey(t, "EdDSA")}, newKey(t, "ES256")
	var verifiers []*token.Verifier
	var inspectors []*token.Inspector
	for _, i := range []issuerOf{prod, staging} {
		v, err := token.NewVerifier(i.name, []string{i.name + "/api"}, jwks.NewSet(i.key.Public()), token.Options{CacheTokens: 10})
		if err != nil {
			t.Fatal(err)
		}
		in, err := token.NewInspector(i.name, []string{i.name + "/api"}, jwks.NewSet(i.key.Public()), token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		verifiers, inspectors = append(verifiers, v), append(inspectors, in)
	}
	v, err := token.Join(verifiers...)
	if err != nil {
		t.Fatal(err)
	}
	in, err := token.JoinInspectors(inspectors...)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(key *jwks.PrivateKey, iss any, aud string) string {
		return sign(t, key, "at+jwt", map[string]any{"iss": iss, "aud": aud, "exp": time.Now().Add(time.Hour).Unix()})
	}
	for name, tt := range map[string]struct {
		raw  string
		want diagnosis.ID
	}{
		"the first":                     {signed(prod.key, prod.name, prod.name+"/api"), ""},
		"the second":                    {signed(staging.key, staging.name, staging.name+"/api"), ""},
		"the other's audience":          {signed(staging.key, staging.name, prod.name+"/api"), diagnosis.AudMismatch},
		"the other's key":               {signed(staging.key, prod.name, prod.name+"/api"), diagnosis.KidUnknown},
		"not on the list":               {signed(forger, "https://other.example", prod.name+"/api"), diagnosis.IssMismatch},
		"one slash more":                {signed(prod.key, prod.name+"/", prod.name+"/api"), diagnosis.IssSlash},
		"an issuer that is no string":   {signed(prod.key, 7, prod.name+"/api"), diagnosis.IssMismatch},
		"no issuer":                     {signed(prod.key, nil, prod.name+"/api"), diagnosis.IssMismatch},
		"malformed":                     {"a.b", diagnosis.Malformed},
		"signed by none of the issuers": {signed(forger, prod.name, prod.name+"/api"), diagnosis.KidUnknown},
	} {
		for range 2 { // the second time from the cache
			if _, err := v.Verify(t.Context(), tt.raw); idOf(err) != tt.want {
				t.Errorf("%s: Verify = %v, want %s", name, err, tt.want)
			}
		}
		for what, err := range map[string]error{"Verifier.Report": v.Report(t.Context(), tt.raw).Err(), "Inspector.Report": in.Report(t.Context(), tt.raw).Err(), "Check": in.Check(t.Context(), tt.raw)} {
			if idOf(err) != tt.want {
				t.Errorf("%s: %s = %v, want %s", name, what, err, tt.want)
			}
		}
	}
	if _, err := token.Join(); err == nil {
		t.Error("nothing is joined")
	}
	if _, err := token.Join(verifiers[0], verifiers[0]); err == nil {
		t.Error("an issuer is joined with itself")
	}
	if _, err := token.Join(v, verifiers[0]); err == nil {
		t.Error("what is joined is joined again")
	}
}
