package devserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// Independent implementations: x/oauth2 logs in and refreshes, go-jose verifies
// the tokens.
func TestInterop(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			d := newDesk(t, devserver.Config{Algorithm: string(alg)})
			config := oauth2.Config{
				ClientID: "oauthctl-dev", RedirectURL: redirectURI, Scopes: []string{"openid", "offline_access", "items:read"},
				Endpoint: oauth2.Endpoint{AuthURL: d.issuer + "/authorize", TokenURL: d.issuer + "/token"},
			}
			secret := oauth2.GenerateVerifier()
			page := d.get(config.AuthCodeURL("xyz", oauth2.S256ChallengeOption(secret), oauth2.SetAuthURLParam("nonce", "n-0S6")))
			page = d.submit(page, "username", "alice", "password", "password")
			code := d.redirected(d.submit(page, "decision", "allow")).Get("code")
			got, err := config.Exchange(t.Context(), code, oauth2.VerifierOption(secret))
			if err != nil {
				t.Fatal(err)
			}
			id, _ := got.Extra("id_token").(string)
			d.verified(alg, got.AccessToken, d.api)
			if claims := d.verified(alg, id, "oauthctl-dev"); claims["nonce"] != "n-0S6" {
				t.Errorf("nonce %v", claims["nonce"])
			}
			d.offset.Store(int64(time.Second))
			got.Expiry = time.Now().Add(-time.Minute)
			renewed, err := config.TokenSource(t.Context(), got).Token()
			if err != nil || renewed.RefreshToken == got.RefreshToken {
				t.Fatalf("refresh: %v", err)
			}
			d.verified(alg, renewed.AccessToken, d.api)
		})
	}
}

// verified makes go-jose verify a token with the published keys.
func (d *desk) verified(alg jose.SignatureAlgorithm, raw, audience string) map[string]any {
	d.t.Helper()
	var keys jose.JSONWebKeySet
	decodeInto(d.t, d.get(d.issuer+"/jwks").text, &keys)
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{alg})
	if err != nil {
		d.t.Fatal(err)
	}
	var claims jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(keys, &claims, &all); err != nil {
		d.t.Fatal(err)
	}
	if err := claims.Validate(jwt.Expected{Issuer: d.issuer, Subject: "alice", AnyAudience: jwt.Audience{audience}, Time: time.Now()}); err != nil {
		d.t.Error(err)
	}
	return all
}

func TestBothMetadataDocuments(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	first := d.get(d.issuer + "/.well-known/oauth-authorization-server")
	second := d.get(d.issuer + "/.well-known/openid-configuration")
	if first.StatusCode != http.StatusOK || first.text != second.text || first.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s\n%s", first.StatusCode, first.text, second.text)
	}
}
