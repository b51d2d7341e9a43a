package token

import (
	"errors"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// defaultLeeway is the allowed clock difference for times in the future.
const defaultLeeway = time.Minute

// Options holds expectations beyond issuer and audience. The zero value is safe.
type Options struct {
	// Algorithms lists the allowed algorithms. If nil, those that the keys
	// support are allowed. "none" is never allowed.
	Algorithms []string
	// Types lists the exact values of typ that are allowed. If nil, these are
	// allowed: no typ, JWT, JOSE, at+jwt, types that end in -at+jwt or +at+jwt,
	// and names without a suffix such as +jwt, which are an issuer's own.
	Types []string
	// Accept lists kinds that are accepted like access tokens, for issuers
	// whose access tokens have the form of ID tokens (Dex).
	Accept []Kind
	// Require lists claims that must exist. A claim that is null, "" or []
	// counts as missing; false and 0 are values.
	Require []string
	// Leeway is the allowed clock difference for exp, nbf and iat. 0 allows none
	// for exp and 60 seconds for nbf and iat.
	Leeway time.Duration
	// Now returns the current time. If nil, it is time.Now.
	Now func() time.Time
	// RFC9068 requires the profile for JWT access tokens: typ at+jwt, and the
	// claims iss, exp, aud, sub, client_id, iat and jti, with strings that are
	// not empty.
	RFC9068 bool
	// Strict treats a check that is not configured as failed. A [Verifier] cannot
	// combine it with InsecureSkipAudience.
	Strict bool
	// InsecureSkipAudience accepts a token for any audience, or for none, from
	// the clients in ClientIDs, which must not be empty. Amazon Cognito needs
	// it.
	InsecureSkipAudience bool
	// ClientIDs lists the accepted values of client_id. If nil, any is
	// accepted.
	ClientIDs []string
	// CacheTokens is the number of accepted tokens that a [Verifier] caches, so
	// that a repeated token needs no signature check. 0 disables the cache. Times
	// and the key set are checked on every use. A [Verifier.Report] does not use
	// the cache.
	CacheTokens int
	// CacheBytes limits the memory of the cache. 0 means 64 MiB.
	CacheBytes int
	// HTTP sends the requests for metadata and keys of [NewIssuerVerifier]. If
	// nil, the zero client is used.
	HTTP *safehttp.Client
	// OpaquePayload treats the payload as opaque bytes (a JWS, RFC 7515): only
	// the header and the signature are checked. It is for an [Inspector].
	OpaquePayload bool
}

// check returns an error for options, an issuer or an audience that cannot protect
// an API.
func (o *Options) check(issuer string, audience []string) error {
	switch {
	case issuer == "":
		return errors.New("token: a verifier needs an issuer")
	case o.InsecureSkipAudience && len(o.ClientIDs) == 0:
		return errors.New("token: InsecureSkipAudience needs ClientIDs")
	case !o.InsecureSkipAudience && len(audience) == 0, slices.Contains(audience, ""):
		return errors.New("token: a verifier needs an audience")
	case o.OpaquePayload:
		return errors.New("token: a verifier needs claims")
	case o.InsecureSkipAudience && o.Strict:
		return errors.New("token: Strict cannot be combined with InsecureSkipAudience")
	}
	return nil
}
