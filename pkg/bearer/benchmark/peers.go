package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	cristal "github.com/cristalhq/jwt/v5"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

func golangParser(s subject) *gojwt.Parser {
	return gojwt.NewParser(gojwt.WithValidMethods([]string{s.alg}), gojwt.WithIssuer(issuer), gojwt.WithAudience(audience), gojwt.WithExpirationRequired())
}

func golangMap(s subject) (named, error) {
	p, key := golangParser(s), s.verifyingKey()
	keys := func(*gojwt.Token) (any, error) { return key, nil }
	return named{"golang-jwt, MapClaims", func(raw string) error {
		_, err := p.Parse(raw, keys)
		return err
	}}, nil
}

func golangRegistered(s subject) (named, error) {
	p, key := golangParser(s), s.verifyingKey()
	keys := func(*gojwt.Token) (any, error) { return key, nil }
	return named{"golang-jwt, RegisteredClaims", func(raw string) error {
		_, err := p.ParseWithClaims(raw, &gojwt.RegisteredClaims{}, keys)
		return err
	}}, nil
}

func keyfuncSet(s subject) (named, error) {
	if s.public == nil {
		return named{}, errors.ErrUnsupported
	}
	set, err := jwks.NewSet(s.key).MarshalJSON()
	if err != nil {
		return named{}, err
	}
	k, err := keyfunc.NewJWKSetJSON(set)
	p := golangParser(s)
	return named{"keyfunc + golang-jwt", func(raw string) error {
		_, err := p.Parse(raw, k.Keyfunc)
		return err
	}}, err
}

func goJose(s subject) (named, error) {
	algs, key := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.alg)}, s.verifyingKey()
	return named{"go-jose", func(raw string) error {
		t, err := josejwt.ParseSigned(raw, algs)
		if err != nil {
			return err
		}
		var c josejwt.Claims
		if err := t.Claims(key, &c); err != nil {
			return err
		}
		return c.Validate(josejwt.Expected{Issuer: issuer, AnyAudience: []string{audience}, Time: time.Now()})
	}}, nil
}

func goOIDC(s subject) (named, error) {
	if s.public == nil {
		return named{}, errors.ErrUnsupported
	}
	v := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{s.public}}, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{s.alg}})
	return named{"go-oidc", func(raw string) error {
		_, err := v.Verify(context.Background(), raw)
		return err
	}}, nil
}

func jwx(s subject) (named, error) {
	alg, ok := jwa.LookupSignatureAlgorithm(s.alg)
	if !ok {
		return named{}, errors.ErrUnsupported
	}
	key := s.verifyingKey()
	return named{"jwx", func(raw string) error {
		_, err := jwxjwt.Parse([]byte(raw), jwxjwt.WithKey(alg, key), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience), jwxjwt.WithRequiredClaim("exp"))
		return err
	}}, nil
}

func cristalhq(s subject) (named, error) {
	var v cristal.Verifier
	var err error
	alg := cristal.Algorithm(s.alg)
	switch key := s.verifyingKey().(type) {
	case *rsa.PublicKey:
		if s.alg == "PS256" {
			v, err = cristal.NewVerifierPS(alg, key)
		} else {
			v, err = cristal.NewVerifierRS(alg, key)
		}
	case *ecdsa.PublicKey:
		v, err = cristal.NewVerifierES(alg, key)
	case ed25519.PublicKey:
		v, err = cristal.NewVerifierEdDSA(key)
	default:
		v, err = cristal.NewVerifierHS(alg, s.secret)
	}
	wrong := errors.New("wrong claims")
	return named{"cristalhq", func(raw string) error {
		var c cristal.RegisteredClaims
		if err := cristal.ParseClaims([]byte(raw), v, &c); err != nil {
			return err
		}
		if !c.IsIssuer(issuer) || !c.IsForAudience(audience) || !c.IsValidAt(time.Now()) {
			return wrong
		}
		return nil
	}}, err
}

func auth0Handler(s subject) (named, error) {
	key := s.verifyingKey()
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return key, nil }),
		validator.WithAlgorithm(validator.SignatureAlgorithm(s.alg)), validator.WithIssuer(issuer), validator.WithAudience(audience))
	if err != nil {
		return named{}, err
	}
	m, err := jwtmiddleware.New(jwtmiddleware.WithValidator(v))
	if err != nil {
		return named{}, err
	}
	return named{"auth0 middleware v3, handler", serve(m.CheckJWT(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))}, nil
}

var errRefused = errors.New("refused")

// serve returns a handler's result for a request with the token. Request and
// response are reused, because handlers do not create them.
func serve(h http.Handler) func(raw string) error {
	r := httptest.NewRequest(http.MethodGet, "/api/items", nil)
	w := &answer{header: http.Header{}}
	last := ""
	return func(raw string) error {
		if raw != last {
			last = raw
			r.Header["Authorization"] = []string{"Bearer " + raw}
		}
		w.status = http.StatusOK
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			return errRefused
		}
		return nil
	}
}

// answer stores only the status.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
