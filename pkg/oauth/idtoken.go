package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// IDTokenExpectation holds the values that an ID token must have. The zero value
// requires none. For a login, [AuthorizationRequest.IDTokenExpectation] returns it.
// After a refresh, set Previous.
type IDTokenExpectation struct {
	Nonce     secret.String
	MaxAge    *time.Duration // auth_time is required, and at most this long ago
	ACRValues []string       // acr is required, and must be one of these
	// Previous is the decoded ID token of the login. After a refresh, iss, sub
	// and aud must be the same, and auth_time and nonce if they are present
	// (OpenID Connect Core, section 12.2).
	Previous *token.Token
}

// authLeeway is the accepted difference between the server's clock and this
// machine's when auth_time is compared with max_age.
const authLeeway = time.Minute

// VerifyIDToken verifies the ID token of a token response by the rules of OpenID
// Connect Core, section 3.1.3.7: the signature, iss, aud, azp, exp, iat, nonce,
// at_hash, auth_time and acr. After a refresh, the rules of section 12.2 apply too.
// HS256, HS384 and HS512 are accepted only if the client has a secret and the server
// announces the algorithm.
//
// Errors are Diagnoses: ID_TOKEN_MISSING if the response has no ID token (the caller
// decides whether it needs one), ID_TOKEN_INVALID, which wraps the failed check,
// NONCE_MISMATCH, SUBJECT_CHANGED, and KEYS_UNAVAILABLE if the token could not be
// verified.
func (c *Client) VerifyIDToken(ctx context.Context, res *TokenResponse, want IDTokenExpectation) (*token.Token, error) {
	if res == nil || res.IDToken.IsZero() {
		return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.IDTokenMissing})
	}
	t, err := c.verifySigned(ctx, res.IDToken.Reveal())
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", withClock(err, res.Clock))
	}
	for _, check := range []func() error{
		func() error { return c.checkParties(t) },
		func() error { return checkNonce(t, want) },
		func() error { return checkAccessTokenHash(t, res.AccessToken) },
		func() error { return checkAuthTime(t, want.MaxAge, c.now()) },
		func() error { return checkACR(t, want.ACRValues) },
		func() error { return checkPrevious(t, want.Previous) },
	} {
		if err := check(); err != nil {
			return nil, fmt.Errorf("oauth: %w", err)
		}
	}
	return t, nil
}

// verifySigned runs the checks that apply to every JWT of the issuer for this
// client.
func (c *Client) verifySigned(ctx context.Context, raw string) (*token.Token, error) {
	decoded, err := token.Decode(raw)
	if err != nil {
		return nil, invalidIDToken("", "", err)
	}
	algorithms, keys, err := c.idTokenKeys(ctx, decoded.Algorithm())
	if err != nil {
		return nil, err
	}
	verifier, err := token.NewVerifier(c.issuerOf(decoded), []string{c.ID}, keys, token.Options{
		Algorithms: algorithms, Require: []string{"sub", "iat", "exp"}, Now: c.Now, Accept: []token.Kind{token.KindIDToken},
	})
	if err != nil {
		return nil, invalidIDToken("", "", err)
	}
	t, err := verifier.Verify(ctx, raw)
	var d *diagnosis.Diagnosis
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil, errors.As(err, &d) && d.Kind() == diagnosis.Unavailable:
		return nil, err // the token was not verified, so it is not known to be invalid
	}
	return nil, invalidIDToken("", "", err)
}

// issuerOf returns the iss that an ID token must have. Google documents that its ID
// tokens can have the issuer without https://.
func (c *Client) issuerOf(t *token.Token) string {
	issuer := c.server().Issuer
	if issuer == "https://accounts.google.com" && t.Issuer() == "accounts.google.com" {
		return t.Issuer()
	}
	return issuer
}

// idTokenKeys returns the accepted algorithms and the keys for an ID token with
// this alg. The client secret is used as a key only if the server announces the
// algorithm; otherwise, the token itself would decide about it.
func (c *Client) idTokenKeys(ctx context.Context, alg string) (algorithms []string, keys token.KeySet, err error) {
	announced := c.server().IDTokenSigningAlgValuesSupported
	if strings.HasPrefix(alg, "HS") {
		if c.Secret.IsZero() || !slices.Contains(announced, alg) {
			return nil, nil, invalidIDToken("an algorithm with a public key", alg, nil)
		}
		key, err := jwks.SecretKey([]byte(c.Secret.Reveal()))
		if err != nil {
			return nil, nil, invalidIDToken("", "", err)
		}
		return []string{alg}, jwks.NewSet(key), nil
	}
	if len(announced) > 0 {
		algorithms = slices.DeleteFunc(jwks.PublicKeyAlgorithms(), func(a string) bool { return !slices.Contains(announced, a) })
	}
	if c.Keys != nil {
		return algorithms, c.Keys, nil
	}
	remote, err := c.remoteKeys(ctx)
	return algorithms, remote, err
}

// remoteKeys returns the server's key set. All calls return the same one.
func (c *Client) remoteKeys(ctx context.Context) (*jwks.Remote, error) {
	if c.remote.Load() == nil {
		rawURL, err := c.server().Endpoint("jwks_uri")
		var d *diagnosis.Diagnosis
		switch {
		case errors.As(err, &d) && d.ID == diagnosis.EndpointMissing:
			return nil, &diagnosis.Diagnosis{ID: diagnosis.MetadataInvalid, Expected: diagnosis.Values{"jwks_uri, to verify the ID token"}, Got: diagnosis.None}
		case err != nil:
			return nil, err
		}
		c.remote.CompareAndSwap(nil, jwks.NewRemote(rawURL, jwks.RemoteOptions{HTTP: c.HTTP, Now: c.Now}))
	}
	remote := c.remote.Load()
	_, err := remote.Set(ctx)
	return remote, err
}

func invalidIDToken(expected, got string, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got), Err: err}
}

// claimText returns a claim that must be a string, and whether it is present.
func claimText(t *token.Token, name string) (string, bool, error) {
	v, there := t.Claim(name)
	if !there {
		return "", false, nil
	}
	s, ok := v.(string)
	if !ok {
		return "", true, invalidIDToken(name+" to be a string", "something else", nil)
	}
	return s, true, nil
}

// checkParties checks typ, sub and azp. An access token is refused, because it does
// not prove who logged in. A token with several audiences needs no azp, because it
// came directly from the token endpoint (OpenID Connect Core, section 3.1.3.7).
// The verifier has already checked that the client is one of the audiences.
func (c *Client) checkParties(t *token.Token) error {
	typ := strings.ToLower(strings.TrimPrefix(strings.ToLower(t.Type()), "application/"))
	if typ == "at+jwt" {
		return invalidIDToken("an ID token", "an access token (typ at+jwt)", nil)
	}
	// A sub that is not a string would be read as "" and so equal that of another user.
	if sub, _, err := claimText(t, "sub"); err != nil || sub == "" {
		return invalidIDToken("sub, a string that is not empty", "something else", nil)
	}
	azp, there, err := claimText(t, "azp")
	switch {
	case err != nil:
		return err
	case there && azp != c.ID && !slices.Contains(c.AuthorizedParties, azp):
		return invalidIDToken("azp "+diagnosis.Quote(c.ID), azp, nil)
	}
	return nil
}

func checkNonce(t *token.Token, want IDTokenExpectation) error {
	nonce, there, err := claimText(t, "nonce")
	if err != nil {
		return err
	}
	got := secret.New(nonce)
	switch {
	case want.Previous != nil:
		before, _, err := claimText(want.Previous, "nonce")
		if err != nil || there && !got.Equal(secret.New(before)) {
			return &diagnosis.Diagnosis{ID: diagnosis.NonceMismatch, Expected: diagnosis.Values{"the nonce of the login, or none"}, Got: diagnosis.Values{"another"}}
		}
	case want.Nonce.IsZero():
	case !there:
		return &diagnosis.Diagnosis{ID: diagnosis.NonceMismatch, Expected: diagnosis.Values{"the nonce that was sent"}, Got: diagnosis.None}
	case !got.Equal(want.Nonce):
		return &diagnosis.Diagnosis{ID: diagnosis.NonceMismatch, Expected: diagnosis.Values{"the nonce that was sent"}, Got: diagnosis.Values{"another"}}
	}
	return nil
}

// checkAccessTokenHash checks that at_hash is the hash of the access token (OpenID
// Connect Core, section 3.1.3.6).
func checkAccessTokenHash(t *token.Token, accessToken secret.String) error {
	hash, there, err := claimText(t, "at_hash")
	if err != nil || !there {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(hash), []byte(leftHalf(t.Algorithm(), accessToken.Reveal()))) != 1 {
		return invalidIDToken("at_hash to be the hash of the access token", "another value", nil)
	}
	return nil
}

// leftHalf returns the left half of the hash of value, with the hash function of
// alg.
func leftHalf(alg, value string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(value))
		sum = s[:]
	case strings.HasSuffix(alg, "512"), alg == "EdDSA", alg == "Ed25519":
		s := sha512.Sum512([]byte(value))
		sum = s[:]
	default:
		s := sha256.Sum256([]byte(value))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

func checkAuthTime(t *token.Token, maxAge *time.Duration, now time.Time) error {
	if maxAge == nil {
		return nil
	}
	v, there := t.Claim("auth_time")
	seconds, ok := v.(float64)
	switch {
	case !there:
		return invalidIDToken("auth_time, because max_age was requested", "none", nil)
	case !ok || seconds <= 0 || seconds > 1e11:
		return invalidIDToken("auth_time as a number of seconds", "something else", nil)
	}
	at := time.Unix(int64(seconds), 0)
	if age := now.Sub(at); age > *maxAge+authLeeway || age < -authLeeway {
		return invalidIDToken(fmt.Sprintf("a login at most %s ago", *maxAge), fmt.Sprintf("one at %s", at.UTC().Format(time.RFC3339)), nil)
	}
	return nil
}

func checkACR(t *token.Token, values []string) error {
	if len(values) == 0 {
		return nil
	}
	acr, there, err := claimText(t, "acr")
	switch {
	case err != nil:
		return err
	case !there:
		return invalidIDToken(fmt.Sprintf("acr, one of %s", diagnosis.Quote(spaced(values))), "none", nil)
	case !slices.Contains(values, acr):
		return invalidIDToken(fmt.Sprintf("acr, one of %s", diagnosis.Quote(spaced(values))), acr, nil)
	}
	return nil
}

// checkPrevious compares the ID token of a refresh with the previous one (OpenID
// Connect Core, section 12.2).
func checkPrevious(t, before *token.Token) error {
	if before == nil {
		return nil
	}
	changed := func(what, expected, got string) error {
		return &diagnosis.Diagnosis{ID: diagnosis.SubjectChanged, Expected: diagnosis.Values{fmt.Sprintf("%s %s", what, diagnosis.Quote(expected))}, Got: diagnosis.Text(got)}
	}
	was, is := slices.Sorted(slices.Values(before.Audience())), slices.Sorted(slices.Values(t.Audience()))
	switch {
	case t.Issuer() != before.Issuer():
		return changed("iss", before.Issuer(), t.Issuer())
	case t.Subject() != before.Subject():
		return changed("sub", before.Subject(), t.Subject())
	case !slices.Equal(was, is):
		return changed("aud", spaced(was), spaced(is))
	}
	now, there := t.Claim("auth_time")
	then, thereBefore := before.Claim("auth_time")
	// Only numbers are compared, because comparing two objects panics.
	is64, ok := now.(float64)
	was64, okBefore := then.(float64)
	if there && thereBefore && (!ok || !okBefore || is64 != was64) {
		return invalidIDToken("auth_time of the login", "another", nil)
	}
	return nil
}
