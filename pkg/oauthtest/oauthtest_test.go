package oauthtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/oauthtest"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The constants and the table are the same, and each token has the response of its row.
func TestCases(t *testing.T) {
	constants := []oauthtest.Case{
		oauthtest.Good, oauthtest.AudienceArray, oauthtest.ScopeAsArray, oauthtest.MalformedText, oauthtest.MalformedBase64,
		oauthtest.MalformedJSON, oauthtest.Oversized, oauthtest.BadSignature, oauthtest.StrippedSignature, oauthtest.ForeignKey,
		oauthtest.UnknownKID, oauthtest.JWKHeader, oauthtest.JKUHeader, oauthtest.X5CHeader, oauthtest.KIDPath,
		oauthtest.KIDSQL, oauthtest.AlgNone, oauthtest.AlgNoneCase, oauthtest.AlgConfusion, oauthtest.AlgConfusionTrimmed,
		oauthtest.AlgConfusionDER, oauthtest.AlgConfusionJWK, oauthtest.WrongIssuer, oauthtest.IssuerSuffix, oauthtest.SiblingIssuer,
		oauthtest.NoIssuer, oauthtest.IssuerSlash, oauthtest.WrongAudience, oauthtest.AudienceSuffix, oauthtest.AudienceInside,
		oauthtest.NoAudience, oauthtest.Expired, oauthtest.Expired30m, oauthtest.Expired6m, oauthtest.NoExpiry, oauthtest.NotYetValid,
		oauthtest.ExpiryAsText, oauthtest.IDTokenAsAccessToken, oauthtest.IDTokenWithScope, oauthtest.Crit, oauthtest.BoundToken,
		oauthtest.MemberCase, oauthtest.DuplicateMember, oauthtest.MissingScope, oauthtest.ScopeOther, oauthtest.ScopeNear,
		oauthtest.ScopeElsewhere, oauthtest.ClockSkew, oauthtest.OpaqueToken,
	}
	if diff := cmp.Diff(constants, oauthtest.Cases()); diff != "" {
		t.Errorf("constants against the table (-want +got):\n%s", diff)
	}
	issuer := oauthtest.NewIssuer(t, oauthtest.Resource("https://shop.example"), oauthtest.Scope("orders:read"))
	api := reader(issuer.URL(), issuer.KeySet())
	for _, c := range constants {
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/orders", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+issuer.Mint(c, "orders:read"))
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		row, _ := forge.Lookup(string(c))
		accepted := w.Code == http.StatusOK
		if accepted != c.Accepted() && c != oauthtest.ClockSkew {
			t.Errorf("%s: %d %s", c, w.Code, w.Body)
		}
		if !accepted && !strings.Contains(w.Body.String(), string(row.Diagnosis)) {
			t.Errorf("%s: want %s, got %s", c, row.Diagnosis, w.Body)
		}
	}
}

// Keys are rotated and tokens are revoked without a network.
func TestIssuerChanges(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	verifier, err := token.NewVerifier(issuer.URL(), []string{"https://api.test"}, issuer.KeySet(), token.Options{CacheTokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	api := bearer.Require(verifier, bearer.Revocation(issuer.Revocation()))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	status := func(raw string) int {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+raw)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w.Code
	}
	first := issuer.Mint(oauthtest.Good)
	issuer.Rotate()
	second := issuer.Mint(oauthtest.Good)
	if status(first) != 200 || status(second) != 200 {
		t.Errorf("after a rotation: %d, %d", status(first), status(second))
	}
	issuer.Rotate()
	if status(first) != 401 || status(second) != 200 {
		t.Errorf("after two: %d, %d", status(first), status(second))
	}
	issuer.Revoke(second)
	if status(second) != 401 || status(issuer.Mint(oauthtest.Good)) != 200 {
		t.Errorf("revoked: %d", status(second))
	}
	res, err := issuer.Client().Get(issuer.URL() + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), issuer.URL()+"/jwks") {
		t.Errorf("%v: %s", err, body)
	}
	w := httptest.NewRecorder()
	if issuer.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/any/path", http.NoBody)); !strings.Contains(w.Body.String(), `"keys"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Start returns a server at which a client can log in.
func TestStart(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Resource("https://shop.example"), oauthtest.Scope("orders:read"), oauthtest.AutoApprove("carol"),
		oauthtest.User("carol", map[string]any{"tenant": "acme"}), oauthtest.Client("web", "s3cret", "http://127.0.0.1/cb"),
		oauthtest.Configure(func(c *devserver.Config) { c.OptionalPKCE, c.AccessTokenTTL = true, time.Minute }))
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Get(s.Issuer() + "/authorize?" + url.Values{"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {"http://127.0.0.1/cb"}, "scope": {"orders:read"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	location, err := res.Location()
	if err != nil || location.Query().Get("code") == "" {
		t.Fatalf("%v, %v", location, err)
	}
	if got := s.Get(t.Context(), "/api/items", s.MintToken(oauthtest.Token{Audience: []string{s.API()}, Scope: []string{"items:read"}})); got != http.StatusOK {
		t.Errorf("the demo API returned %d", got)
	}
	decoded, err := token.Decode(s.Mint(oauthtest.Good))
	if err != nil || fmt.Sprint(decoded.Audience(), decoded.Scopes()) != "[https://shop.example] [orders:read]" {
		t.Errorf("%v, %v", decoded, err)
	}
	late := s.MintToken(oauthtest.Token{Audience: []string{s.API()}, Scope: []string{"items:read"}})
	s.Advance(2 * time.Minute)
	if got := s.Get(t.Context(), "/api/items", late); got != http.StatusUnauthorized {
		t.Errorf("after its time: %d", got)
	}
	if set, err := s.KeySet().Set(t.Context()); err != nil || len(set.All()) != 1 || s.Dev() == nil {
		t.Errorf("%v, %v", set, err)
	}
	faulty := oauthtest.Start(t, oauthtest.Fault("jwks-500"))
	if got := faulty.Get(t.Context(), "/api/items", faulty.Mint(oauthtest.Good)); got != http.StatusServiceUnavailable {
		t.Errorf("with the fault: %d", got)
	}
}
