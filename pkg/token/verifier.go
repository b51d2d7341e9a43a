package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// KeySet returns the keys for a token. [jwks.Set] and [jwks.Remote] implement
// it. A set that wraps one of them can embed it; a set that combines several
// must combine the results of every method. It must be safe for concurrent use.
type KeySet interface {
	// Keys returns the keys for a token with that kid and alg. The caller does
	// not change the list. An error is a Diagnosis; kind Unavailable means that
	// the token could not be verified now.
	Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error)
	// Generation returns a number that changes whenever a key is added, removed
	// or replaced. Verified tokens are cached for one generation only
	// ([Options.CacheTokens]). A set that never changes returns a constant.
	Generation() uint64
	// Former returns the previous key with that kid, or nil. It is used to
	// explain why a signature is not valid, never to accept one.
	Former(kid string) *jwks.Key
}

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

// Verifier verifies access tokens for an API. It is safe for concurrent use.
type Verifier struct {
	j      checker
	cache  *cache             // nil if it is disabled
	joined *joined[*Verifier] // nil for one issuer
}

// NewVerifier returns a verifier for tokens from issuer for one of the
// audiences, signed with one of keys. Issuer and audience are compared character
// for character. It returns an error if either is missing.
func NewVerifier(issuer string, audience []string, keys KeySet, o Options) (*Verifier, error) {
	if err := o.check(issuer, audience); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, errors.New("token: a verifier needs keys")
	}
	if o.InsecureSkipAudience {
		audience = nil
	}
	j, err := newChecker(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Verifier{j: j, cache: newCache(o)}, nil
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

// Verify returns the token if every check passes. Otherwise it returns the
// first failure, a Diagnosis of kind Rejected, or of kind Unavailable if the
// keys could not be fetched.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	if v.joined != nil {
		one, d := v.joined.choose(raw)
		if d != nil {
			return nil, d
		}
		return one.Verify(ctx, raw)
	}
	if v.cache != nil {
		return v.verifyCached(ctx, raw)
	}
	return v.verify(ctx, raw)
}

func (v *Verifier) verify(ctx context.Context, raw string) (*Token, error) {
	var x examination
	v.j.examine(ctx, raw, &x)
	if x.failed != nil {
		return nil, x.failed[0].diagnosis
	}
	return x.token, nil
}

// Report verifies a token like Verify and returns the result of every check.
func (v *Verifier) Report(ctx context.Context, raw string) *Report {
	if v.joined != nil {
		one, d := v.joined.choose(raw)
		if d != nil {
			return v.joined.list[0].j.foreign(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return v.j.report(ctx, raw)
}

// Inspector reports on tokens. A check without an expectation is reported as
// not checked. It must not be used to protect an API.
type Inspector struct {
	j      checker
	joined *joined[*Inspector] // nil for one issuer
}

// NewInspector returns an inspector. An empty issuer or audience is not checked.
func NewInspector(issuer string, audience []string, keys KeySet, o Options) (*Inspector, error) {
	if keys == nil {
		return nil, errors.New("token: an inspector needs keys")
	}
	j, err := newChecker(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Inspector{j: j}, nil
}

// Report verifies a token and returns the result of every check.
func (i *Inspector) Report(ctx context.Context, raw string) *Report {
	if i.joined != nil {
		one, d := i.joined.choose(raw)
		if d != nil {
			return i.joined.list[0].j.foreign(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return i.j.report(ctx, raw)
}

// Check verifies a token and returns only the first failure, like [Report.Err],
// at the cost of [Verifier.Verify].
func (i *Inspector) Check(ctx context.Context, raw string) error {
	if i.joined != nil {
		one, d := i.joined.choose(raw)
		if d != nil {
			return d
		}
		return one.Check(ctx, raw)
	}
	var x examination
	i.j.examine(ctx, raw, &x)
	if x.failed != nil {
		return x.failed[0].diagnosis
	}
	if d := i.j.unconfigured(); d != nil {
		return d
	}
	return nil
}

// checker is the common part of Verifier and Inspector.
type checker struct {
	keys    KeySet
	options Options
	expectation
	headers    *headers
	workspaces *sync.Pool
}

func newChecker(issuer string, audience []string, keys KeySet, o Options) (checker, error) {
	for _, alg := range o.Algorithms {
		if algorithmOf(alg) == nil {
			return checker{}, fmt.Errorf("token: expected RS, PS, ES or HS with 256, 384 or 512, EdDSA or Ed25519, got algorithm %s", diagnosis.Quote(alg))
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RFC9068 {
		o.Types = append(slices.Clone(o.Types), "at+jwt")
		o.Require = append(slices.Clone(o.Require), "iss", "exp", "aud", "sub", "client_id", "iat", "jti")
	}
	if o.Leeway < 0 {
		return checker{}, errors.New("token: a leeway cannot be negative")
	}
	if len(audience) == 0 {
		audience = nil
	}
	e := expectation{issuer: issuer, audience: slices.Clone(audience), leeway: defaultLeeway, require: o.Require, clientIDs: o.ClientIDs, rfc9068: o.RFC9068}
	if o.Leeway > 0 {
		e.leeway, e.expiryLeeway = o.Leeway, o.Leeway
	}
	workspaces := &sync.Pool{New: func() any { return new(workspace) }}
	return checker{keys: keys, options: o, expectation: e, headers: newHeaders(), workspaces: workspaces}, nil
}

// fault is a check that failed.
type fault struct {
	check     checkNumber
	diagnosis *diagnosis.Diagnosis
}

// examination holds the state of verifying one token.
type examination struct {
	thorough   bool // continue after a failed claim, and parse the claims of a forged token
	token      *Token
	key        *jwks.Key
	passed     checkSet
	failed     []fault
	read       *Token  // the parsed token, if a check before the claims failed
	unverified []fault // what its claims would have failed
	payload    []byte  // if it is opaque
	at         time.Time
}

// fail notes the result of a check, and reports whether it failed.
func (x *examination) fail(check checkNumber, err error) bool {
	if err == nil {
		x.passed |= 1 << check
		return false
	}
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		d = &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable, Err: err}
	}
	x.failed = append(x.failed, fault{check, d})
	return true
}

// failKey is fail for the key. An issuer that is not trusted has no keys.
func (x *examination) failKey(err error) bool {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && (d.ID == diagnosis.IssuerMismatch || d.ID == diagnosis.IssuerMissing || d.ID == diagnosis.IssuerSlash && d.As == 0) {
		return x.fail(checkIssuer, d)
	}
	return x.fail(checkKey, err)
}

// examine runs the checks in order: size and form, header, algorithm, key,
// signature, and only then the payload and its claims.
func (j *checker) examine(ctx context.Context, raw string, x *examination) {
	x.at = j.options.Now()
	p, err := split(raw)
	if x.fail(checkStructure, err) {
		return
	}
	w := j.workspaces.Get().(*workspace)
	defer j.workspaces.Put(w)
	if !j.examineHeader(w, p, x) || !j.examineSignature(ctx, w, p, x) {
		j.readUnverified(w, p, x)
	} else {
		j.examineClaims(w, p, x)
	}
	if x.failed != nil && !j.options.OpaquePayload {
		explain(x)
	}
}

// examineClaims parses the payload and checks its claims.
func (j *checker) examineClaims(w *workspace, p parts, x *examination) {
	if j.options.OpaquePayload {
		payload, err := decodePart(nil, "payload", p.payload)
		x.payload = payload
		x.fail(checkClaims, err)
		return
	}
	err := w.readClaims(x.token, p)
	if err == nil {
		err = checkTexts(x.token)
	}
	if !x.fail(checkClaims, err) {
		j.checkClaims(x)
	}
}

// checkClaims compares the claims with what is expected.
func (j *checker) checkClaims(x *examination) {
	if d := j.checkKind(x.token); d != nil {
		x.failed = append(x.failed, fault{checkType, d})
		if !x.thorough {
			return
		}
	}
	for i := range claimChecks {
		c := &claimChecks[i]
		d := c.run(&j.expectation, x.token, x.at)
		if d == nil {
			x.passed |= 1 << c.check
			continue
		}
		x.failed = append(x.failed, fault{c.check, d})
		if !x.thorough {
			return
		}
	}
}

// examineHeader checks the header, and reports whether to continue.
func (j *checker) examineHeader(w *workspace, p parts, x *examination) bool {
	if known := j.headers.get(p.header); known != nil {
		x.token = &Token{headerJSON: known.text, header: known.header, raw: secret.New(p.raw)}
		x.passed |= 1<<checkHeader | 1<<checkAlgorithm | 1<<checkType
		return true
	}
	t, err := w.readHeader(p)
	if x.fail(checkHeader, err) {
		return false
	}
	x.token = t
	return !x.fail(checkAlgorithm, j.checkAlgorithm(t)) && !x.fail(checkType, j.checkType(t))
}

// examineSignature reports whether the issuer signed the token.
func (j *checker) examineSignature(ctx context.Context, w *workspace, p parts, x *examination) bool {
	t := x.token
	keys, err := j.keys.Keys(ctx, t.header.kid, t.header.alg)
	if x.failKey(err) {
		return false
	}
	x.key, err = w.verifySignature(keys, t.header.algorithm, p)
	if err != nil {
		err = j.reassigned(w, t, err)
	}
	if x.fail(checkSignature, err) {
		return false
	}
	j.headers.put(p.header, t)
	return true
}

// reassigned returns a more precise error if the previous key with this kid
// verifies the signature.
func (j *checker) reassigned(w *workspace, t *Token, err error) error {
	k, a := j.keys.Former(t.header.kid), t.header.algorithm
	var d *diagnosis.Diagnosis
	if k == nil || !k.Fits(a.name) || !errors.As(err, &d) || d.ID != diagnosis.SignatureInvalid || !a.check(a, w, k) {
		return err
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KeyChanged, Expected: d.Expected, Got: diagnosis.Values{"one by the previous key with kid " + diagnosis.Quote(t.header.kid) + " named before"}}
}

// readUnverified parses the claims of a token that failed verification, to
// report what they would have failed and to find provider-specific cases. They
// decide nothing.
func (j *checker) readUnverified(w *workspace, p parts, x *examination) {
	if x.token == nil || j.options.OpaquePayload || !x.thorough && !concernsProvider(x.failed) {
		return
	}
	copied := *x.token
	if w.readClaims(&copied, p) != nil {
		return
	}
	x.read = &copied
	if !x.thorough {
		return
	}
	for i := range claimChecks {
		c := &claimChecks[i]
		if d := c.run(&j.expectation, &copied, x.at); d != nil && (c.check != checkIssuer || x.failed[0].check != checkIssuer) {
			x.unverified = append(x.unverified, fault{c.check, d})
		}
	}
}

func (j *checker) checkAlgorithm(t *Token) error {
	alg := t.header.alg
	switch {
	case strings.EqualFold(alg, "none"):
		return &diagnosis.Diagnosis{ID: diagnosis.AlgNone, Expected: diagnosis.Values{"a signature"}, Got: diagnosis.Values{fmt.Sprintf("alg %q", alg)}}
	case t.header.algorithm == nil:
		return unsupported(alg)
	case j.options.Algorithms != nil && !slices.Contains(j.options.Algorithms, alg):
		return &diagnosis.Diagnosis{ID: diagnosis.AlgNotAllowed, Expected: j.options.Algorithms, Got: diagnosis.Values{alg}}
	}
	return nil
}

func (j *checker) checkType(t *Token) error {
	typ := t.header.typ
	if j.options.Types != nil {
		for _, want := range j.options.Types {
			if normalType(want) == normalType(typ) {
				return nil
			}
		}
		return &diagnosis.Diagnosis{ID: diagnosis.TypeRefused, Expected: diagnosis.Values{"typ " + strings.Join(j.options.Types, " or ")}, Got: diagnosis.Values{typ}}
	}
	if j.options.OpaquePayload {
		return nil
	}
	switch t.header.kind {
	case KindUnknown, KindAccessToken, KindOther:
		return nil
	}
	if slices.Contains(j.options.Accept, t.header.kind) {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.TypeRefused, Expected: diagnosis.Values{"at+jwt", "JWT", "no typ"}, Got: diagnosis.Values{typ}}
}

// checkKind determines the purpose of the token from its claims if its typ does
// not show it (RFC 8725, section 3.12).
func (j *checker) checkKind(t *Token) *diagnosis.Diagnosis {
	if t.header.kind != KindUnknown && (t.header.kind != KindOther || j.options.Types != nil) {
		return nil
	}
	kind, evidence := t.kindOfClaims()
	if kind == KindUnknown || kind == KindAccessToken || slices.Contains(j.options.Accept, kind) {
		return nil
	}
	id := diagnosis.TypeRefused
	switch kind {
	case KindIDToken:
		id = diagnosis.IDTokenAsAccess
	case KindRefreshToken:
		id = diagnosis.RefreshTokenAsAccess
	}
	return &diagnosis.Diagnosis{
		ID: id, Expected: diagnosis.Values{KindAccessToken.withArticle()}, Got: diagnosis.Values{kind.withArticle() + ", by its claim " + evidence},
	}
}
