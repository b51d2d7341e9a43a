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

// KeySet finds the keys that may have signed a token. [jwks.Set] and
// [jwks.Remote] are key sets. A set that wraps one of them can embed it; a set
// that combines several answers each method for all of them. It is used by many
// goroutines at the same time.
type KeySet interface {
	// Keys returns the keys that may have signed a token with that kid and alg.
	// The caller does not change the list. An error is a Diagnosis; one of kind
	// Unavailable says that the token could not be verified now.
	Keys(ctx context.Context, kid, alg string) ([]*jwks.Key, error)
	// Generation is a number that changes whenever a key is added, removed or
	// replaced. Verified tokens are remembered for one generation only
	// ([Options.CacheTokens]). A set that never changes returns a constant.
	Generation() uint64
	// Former returns the key that kid named before it named another one, nil if
	// there is none. It explains why a signature is not valid; no signature is
	// accepted because of it.
	Former(kid string) *jwks.Key
}

// defaultLeeway allows for clocks that differ where a time must not lie ahead.
const defaultLeeway = time.Minute

// Options say what a judge expects beyond issuer and audience. The zero value is
// the safe choice.
type Options struct {
	// Algorithms are those allowed; nil allows what the keys can do. "none" is
	// never allowed.
	Algorithms []string
	// Types are the exact values of typ that are allowed. If it is nil, allowed
	// are no typ, JWT, JOSE, at+jwt, types that end in -at+jwt or +at+jwt, and
	// names without a suffix such as +jwt, which are an issuer's own.
	Types []string
	// Accept are kinds that are accepted like access tokens, for issuers whose
	// access tokens have the form of ID tokens (Dex).
	Accept []Kind
	// Require names claims that must be there. One that is null, "" or [] is
	// missing; false and 0 are values.
	Require []string
	// Leeway allows for clocks that differ, for exp, nbf and iat alike; 0 allows
	// nothing for exp and 60 seconds for nbf and iat.
	Leeway time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// RFC9068 requires the profile for JWT access tokens: typ at+jwt, and iss,
	// exp, aud, sub, client_id, iat and jti, of which the texts are not empty.
	RFC9068 bool
	// Strict counts a check that was not asked for as failed. A [Verifier] cannot
	// have it together with InsecureSkipAudience.
	Strict bool
	// InsecureSkipAudience accepts a token for any audience, or for none, from
	// the clients in ClientIDs, which must not be empty. Cognito needs it.
	InsecureSkipAudience bool
	// ClientIDs are the values of client_id that are accepted; nil accepts any.
	ClientIDs []string
	// CacheTokens is how many good tokens a [Verifier] remembers, so that a token
	// that comes again costs no signature check; 0 remembers none. Times and the
	// key set are checked on every use. A [Verifier.Report] is never remembered.
	CacheTokens int
	// CacheBytes bounds the memory of that; 0 means 64 MiB.
	CacheBytes int
	// HTTP sends the requests for metadata and keys of [NewIssuerVerifier]; nil
	// means the zero client.
	HTTP *safehttp.Client
	// OpaquePayload takes the payload for bytes that are no claims (a JWS, RFC
	// 7515): only header and signature are checked. It is for an [Inspector].
	OpaquePayload bool
}

// Verifier judges access tokens for an API. It is safe for concurrent use.
type Verifier struct {
	j      judge
	cache  *cache             // nil remembers nothing
	joined *joined[*Verifier] // nil for one issuer
}

// NewVerifier returns a verifier of tokens from issuer for one of the audiences,
// signed with one of keys. Issuer and audience are compared character for
// character; it errs if either is missing.
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
	j, err := newJudge(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Verifier{j: j, cache: newCache(o)}, nil
}

// check returns an error for options, an issuer or an audience that a verifier
// cannot guard an API with.
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
		return errors.New("token: Strict requires the check of the audience that InsecureSkipAudience leaves out")
	}
	return nil
}

// Verify returns the token if every check passes; otherwise the first that
// failed, a Diagnosis of kind Rejected, or of kind Unavailable where the keys
// could not be had.
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

// Report verifies a token as Verify does and reports every check.
func (v *Verifier) Report(ctx context.Context, raw string) *Report {
	if v.joined != nil {
		one, d := v.joined.choose(raw)
		if d != nil {
			return v.joined.list[0].j.strange(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return v.j.report(ctx, raw)
}

// Inspector verifies tokens to report on them: what it was given no expectation
// for is reported as not checked. It cannot guard an API.
type Inspector struct {
	j      judge
	joined *joined[*Inspector] // nil for one issuer
}

// NewInspector returns an inspector; an empty issuer or audience is not checked.
func NewInspector(issuer string, audience []string, keys KeySet, o Options) (*Inspector, error) {
	if keys == nil {
		return nil, errors.New("token: an inspector needs keys")
	}
	j, err := newJudge(issuer, audience, keys, o)
	if err != nil {
		return nil, err
	}
	return &Inspector{j: j}, nil
}

// Report verifies a token and reports every check.
func (i *Inspector) Report(ctx context.Context, raw string) *Report {
	if i.joined != nil {
		one, d := i.joined.choose(raw)
		if d != nil {
			return i.joined.list[0].j.strange(ctx, raw, d)
		}
		return one.Report(ctx, raw)
	}
	return i.j.report(ctx, raw)
}

// Check verifies a token and returns only the first check that failed, as
// [Report.Err] does, at the cost of [Verifier.Verify].
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
	if d := i.j.unasked(); d != nil {
		return d
	}
	return nil
}

// judge is what verifier and inspector share.
type judge struct {
	keys    KeySet
	options Options
	expectation
	headers    *headers
	workspaces *sync.Pool
}

func newJudge(issuer string, audience []string, keys KeySet, o Options) (judge, error) {
	for _, alg := range o.Algorithms {
		if algorithmOf(alg) == nil {
			return judge{}, fmt.Errorf("token: expected RS, PS, ES or HS with 256, 384 or 512, EdDSA or Ed25519, got algorithm %s", diagnosis.Quote(alg))
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
		return judge{}, errors.New("token: a leeway cannot be negative")
	}
	if len(audience) == 0 {
		audience = nil
	}
	e := expectation{issuer: issuer, audience: slices.Clone(audience), leeway: defaultLeeway, require: o.Require, clientIDs: o.ClientIDs, rfc9068: o.RFC9068}
	if o.Leeway > 0 {
		e.leeway, e.expiryLeeway = o.Leeway, o.Leeway
	}
	workspaces := &sync.Pool{New: func() any { return new(workspace) }}
	return judge{keys: keys, options: o, expectation: e, headers: newHeaders(), workspaces: workspaces}, nil
}

// fault is a check that failed.
type fault struct {
	check     checkNumber
	diagnosis *diagnosis.Diagnosis
}

// examination is one token under way: how far it came and what failed.
type examination struct {
	thorough   bool // goes on after a claim failed, and reads those of a token that is forged
	token      *Token
	key        *jwks.Key
	passed     checkSet
	failed     []fault
	read       *Token  // what could be read, once a check before the claims failed
	unverified []fault // what its claims would have failed
	payload    []byte  // where it is opaque
	at         time.Time
}

// fail notes how a check ended, and reports whether it failed.
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

// failKey is fail for the key. An issuer that is not trusted has no keys here.
func (x *examination) failKey(err error) bool {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && (d.ID == diagnosis.IssuerMismatch || d.ID == diagnosis.IssuerMissing || d.ID == diagnosis.IssuerSlash && d.As == 0) {
		return x.fail(checkIssuer, d)
	}
	return x.fail(checkKey, err)
}

// examine is the order of work: size and shape, header, algorithm, key,
// signature, and only then the payload and its claims.
func (j *judge) examine(ctx context.Context, raw string, x *examination) {
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

// examineClaims reads the payload and compares it with what is expected.
func (j *judge) examineClaims(w *workspace, p parts, x *examination) {
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
func (j *judge) checkClaims(x *examination) {
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

// examineHeader reports whether the token comes into question.
func (j *judge) examineHeader(w *workspace, p parts, x *examination) bool {
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

// examineSignature reports whether the issuer wrote the token.
func (j *judge) examineSignature(ctx context.Context, w *workspace, p parts, x *examination) bool {
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

// reassigned tells of a signature that is good by the key that the kid named
// before the issuer gave it to another.
func (j *judge) reassigned(w *workspace, t *Token, err error) error {
	k, a := j.keys.Former(t.header.kid), t.header.algorithm
	var d *diagnosis.Diagnosis
	if k == nil || !k.Fits(a.name) || !errors.As(err, &d) || d.ID != diagnosis.SignatureInvalid || !a.check(a, w, k) {
		return err
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KeyChanged, Expected: d.Expected, Got: diagnosis.Values{"one by the key that kid " + diagnosis.Quote(t.header.kid) + " named before"}}
}

// readUnverified reads the claims of a token that no key vouches for, to say
// what they would have failed and to find a provider's case. Nothing is decided
// by them.
func (j *judge) readUnverified(w *workspace, p parts, x *examination) {
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

func (j *judge) checkAlgorithm(t *Token) error {
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

func (j *judge) checkType(t *Token) error {
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

// checkKind asks the claims what the token is for where its typ does not say
// (RFC 8725, section 3.12).
func (j *judge) checkKind(t *Token) *diagnosis.Diagnosis {
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
