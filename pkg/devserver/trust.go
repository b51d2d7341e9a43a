package devserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// TrustedIssuer is another issuer whose tokens this server accepts as subject
// tokens (RFC 8693) and as assertions (RFC 7523): that of a CI system, of an
// identity provider, of another development server.
type TrustedIssuer struct {
	Issuer string
	// JWKSURI is the address of its key set, Keys the key set itself; one of them
	// is needed.
	JWKSURI string
	Keys    *jwks.Set
}

// trusted is a trusted issuer with its keys.
type trusted struct {
	issuer string
	keys   token.KeySet
}

func (s *Server) addTrust() error {
	s.ci = newCIIssuers()
	for _, one := range s.config.Trust {
		switch {
		case one.Issuer == "" || one.Issuer == s.config.Issuer:
			return fmt.Errorf("trust: expected another issuer, got %s", diagnosis.Quote(one.Issuer))
		case one.Keys != nil:
			s.trusted = append(s.trusted, &trusted{one.Issuer, one.Keys})
		case one.JWKSURI != "":
			if _, err := safehttp.CheckURL(one.JWKSURI); err != nil {
				return fmt.Errorf("trust: %w", err)
			}
			s.trusted = append(s.trusted, &trusted{one.Issuer, jwks.NewRemote(one.JWKSURI, jwks.RemoteOptions{Now: s.now})})
		default:
			return errors.New("trust: a trusted issuer needs a key set")
		}
	}
	return nil
}

// issuerOf returns the keys of a trusted issuer, or nil. The CI systems that this
// server plays are trusted.
func (s *Server) issuerOf(issuer string) token.KeySet {
	for _, one := range s.trusted {
		if one.issuer == issuer {
			return one.keys
		}
	}
	if system, ok := s.ciSystem(issuer); ok {
		return s.ci.keySet(system)
	}
	return nil
}

// foreign verifies a token of a trusted issuer that is made for this server: iss,
// aud, exp, signature, and the jti, which is used up (RFC 7523, section 3). types
// are the values of typ to accept, nil for any that is not an access token's.
func (s *Server) foreign(ctx context.Context, raw string, audience, types []string) (*token.Token, error) {
	decoded, err := token.Decode(raw)
	if err != nil {
		return nil, errors.New("it is not a JWT")
	}
	keys := s.issuerOf(decoded.Issuer())
	if slices.Contains(types, typOfIDJAG) && decoded.Issuer() == s.config.Issuer {
		keys = s.keys.set() // both servers are this one
	}
	if keys == nil {
		return nil, fmt.Errorf("its issuer %s is not trusted", quoted(decoded.Issuer()))
	}
	if types == nil {
		types = []string{"", "JWT"}
	}
	if !slices.Contains(types, decoded.Type()) {
		return nil, fmt.Errorf("its typ is %s", quoted(decoded.Type()))
	}
	v, err := token.NewVerifier(decoded.Issuer(), audience, keys, token.Options{Now: s.now, Require: []string{"exp", "sub", "jti"}, Types: types, Accept: []token.Kind{token.KindIDToken}})
	if err != nil {
		return nil, err
	}
	t, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	if fresh, err := s.used.Use(ctx, "assertion "+t.Issuer()+" "+t.ID(), t.Expiry()); err != nil || !fresh {
		return nil, errors.New("it was used before")
	}
	return t, nil
}

// tokenAudience are the names of this server in an assertion (RFC 7523, section
// 3).
func (s *Server) tokenAudience() []string {
	return distinct([]string{s.config.Issuer, s.base, s.base + "/token"})
}
