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
	"github.com/oauthctl/oauthctl/pkg/secret"
)

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
	keys       jwks.Candidates
	tried      int // the number of keys that were tried; the last one verified the signature
	passed     checkSet
	failed     []fault
	read       *Token  // the parsed token, if a check before the claims failed
	unverified []fault // what its claims would have failed
	payload    []byte  // if it is opaque
	at         time.Time
}

// fail stores the result of a check, and reports whether it failed.
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

// failKey is like fail, for the check of the key. An issuer that is not trusted has
// no keys.
func (x *examination) failKey(err error) bool {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && (d.ID == diagnosis.IssMismatch || d.ID == diagnosis.IssMissing || d.ID == diagnosis.IssSlash && d.As == "") {
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
	var err error
	x.keys, err = j.keys.Keys(ctx, t.header.query)
	if x.failKey(err) {
		return false
	}
	x.tried, err = w.verifySignature(&x.keys, &t.header, p)
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
	k, a := j.keys.Former(t.header.query.KeyID), t.header.algorithm
	var d *diagnosis.Diagnosis
	if k == nil || !k.Fits(a.name) || !errors.As(err, &d) || d.ID != diagnosis.SignatureInvalid || !a.check(a, w, k) {
		return err
	}
	return &diagnosis.Diagnosis{ID: diagnosis.KidSameKeyChanged, Expected: d.Expected, Got: diagnosis.Values{"one by the previous key with kid " + diagnosis.Quote(t.header.query.KeyID) + " named before"}}
}

// readUnverified parses the claims of a token that failed verification, to report
// which checks they would have failed and to find provider-specific cases. The
// claims do not change the result.
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
	alg := t.header.query.Algorithm
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
		return &diagnosis.Diagnosis{ID: diagnosis.TypRefused, Expected: diagnosis.Values{"typ " + strings.Join(j.options.Types, " or ")}, Got: diagnosis.Values{typ}}
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
	return &diagnosis.Diagnosis{ID: diagnosis.TypRefused, Expected: diagnosis.Values{"at+jwt", "JWT", "no typ"}, Got: diagnosis.Values{typ}}
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
	id := diagnosis.TypRefused
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
