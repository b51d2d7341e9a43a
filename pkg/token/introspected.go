package token

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// ResponseVerifier verifies opaque tokens by introspection responses (RFC 7662,
// section 2.2): the token has to be active, an access token, and what a [Verifier]
// requires of the claims of a JWT, with the same ids. Who sent the response is the
// caller's to know. It is safe for concurrent use.
type ResponseVerifier struct{ j judge }

// NewResponseVerifier returns a verifier of responses about tokens from issuer
// for one of the audiences. A response without iss is about a token of the issuer,
// since that is who was asked. Of the options Algorithms, Types, RFC9068 and the
// cache do not count, since the token is no JWT. Errors are those of
// [NewVerifier].
func NewResponseVerifier(issuer string, audience []string, o Options) (*ResponseVerifier, error) {
	if err := o.check(issuer, audience); err != nil {
		return nil, err
	}
	j, err := newResponseJudge(issuer, audience, o)
	return &ResponseVerifier{j: j}, err
}

// Verify returns the token with the claims of the response if every check
// passes; otherwise the first that failed, a Diagnosis of kind Rejected.
func (v *ResponseVerifier) Verify(raw secret.String, response []byte) (*Token, error) {
	var x examination
	v.j.examineResponse(raw, response, &x)
	if x.failed != nil {
		return nil, x.failed[0].diagnosis
	}
	return x.token, nil
}

// ResponseInspector verifies introspection responses to report on them: what it
// was given no expectation for is reported as not checked. It cannot guard an API.
type ResponseInspector struct{ j judge }

// NewResponseInspector returns an inspector of responses; an empty issuer or
// audience is not checked. It errs as [NewInspector] does.
func NewResponseInspector(issuer string, audience []string, o Options) (*ResponseInspector, error) {
	j, err := newResponseJudge(issuer, audience, o)
	return &ResponseInspector{j: j}, err
}

// Report verifies a response about a token and reports every check. Without a
// token, the response does not count.
func (i *ResponseInspector) Report(raw secret.String, response []byte) *Report {
	x := &examination{thorough: true}
	i.j.examineResponse(raw, response, x)
	r := &Report{Valid: x.failed == nil, Checks: []Check{}}
	for _, c := range [...]checkNumber{checkStructure, checkClaims, checkActive, checkType} {
		one := i.j.check(x, c, true)
		if c == checkType && one.Status == Passed {
			one.Got = nonEmpty(x.token.text("token_type"))
		}
		if c > checkStructure || one.Status == Failed {
			r.add(c, one)
		}
	}
	i.j.reportClaims(x, r)
	return r
}

func newResponseJudge(issuer string, audience []string, o Options) (judge, error) {
	o.Algorithms, o.Types, o.RFC9068 = nil, nil, false
	if o.InsecureSkipAudience {
		audience = nil
	}
	return newJudge(issuer, audience, nil, o)
}

// examineResponse is examine for a token that its server vouches for.
func (j *judge) examineResponse(raw secret.String, response []byte, x *examination) {
	x.at = j.options.Now()
	if x.fail(checkStructure, checkSize(raw.Reveal())) {
		return
	}
	w := j.workspaces.Get().(*workspace)
	defer j.workspaces.Put(w)
	t := &Token{headerJSON: "{}", raw: raw}
	if x.fail(checkClaims, w.readMembers(t, response)) || x.fail(checkClaims, checkTexts(t)) {
		return
	}
	x.token = t
	if x.fail(checkActive, checkIsActive(t)) {
		return // nothing else in the response counts then
	}
	x.passed |= 1 << checkType // unless the claims say otherwise
	named := t.has("iss")
	if !named {
		j.nameIssuer(t)
	}
	j.checkClaims(x)
	if !named {
		x.passed &^= 1 << checkIssuer
	}
	if x.failed != nil {
		explain(x)
	}
}

// nameIssuer gives a token without iss that of the server that was asked: without
// it an API and what is revoked would know the caller by no issuer.
func (j *judge) nameIssuer(t *Token) {
	if j.issuer == "" {
		return
	}
	name, err := jsontext.AppendQuote(nil, j.issuer)
	if err != nil {
		return // no issuer, so the check of it fails
	}
	t.claims = append(t.claims, member{"iss", string(name)})
	t.claimsJSON = withMember(t.claimsJSON, `"iss":`+string(name))
}

// withMember adds a member to the text of an object.
func withMember(object, text string) string {
	start := strings.IndexByte(object, '{') + 1
	if object[skipSpace(object, start)] != '}' {
		text += ","
	}
	return object[:start] + text + object[start:]
}

// checkIsActive returns an error unless active is true, and neither a text nor a
// number that reads like it.
func checkIsActive(t *Token) error {
	if got := t.lookup("active"); got != "true" {
		return &diagnosis.Diagnosis{ID: diagnosis.Revoked, Expected: diagnosis.Values{"active true"}, Got: diagnosis.FromJSON(got)}
	}
	return nil
}
