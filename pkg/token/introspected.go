package token

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// ResponseVerifier verifies opaque tokens with introspection responses (RFC 7662,
// section 2.2). The token must be active and an access token, and its claims must
// pass the checks of a [Verifier], with the same ids. The caller must ensure that
// the response is from the issuer. It is safe for concurrent use.
type ResponseVerifier struct{ j checker }

// NewResponseVerifier returns a verifier of responses about tokens from issuer
// for one of the audiences. A response without iss is about a token of the issuer,
// because the issuer sent it. The options Algorithms, Types, RFC9068 and the cache
// are ignored, because the token is not a JWT. Errors are those of [NewVerifier].
func NewResponseVerifier(issuer string, audience []string, o Options) (*ResponseVerifier, error) {
	if err := o.check(issuer, audience); err != nil {
		return nil, err
	}
	j, err := newResponseChecker(issuer, audience, o)
	return &ResponseVerifier{j: j}, err
}

// Verify returns the token with the claims of the response if every check
// passes. Otherwise it returns the first failure, a Diagnosis of kind Rejected.
func (v *ResponseVerifier) Verify(raw secret.String, response []byte) (*Token, error) {
	var x examination
	v.j.examineResponse(raw, response, &x)
	if x.failed != nil {
		return nil, x.failed[0].diagnosis
	}
	return x.token, nil
}

// ResponseInspector reports on introspection responses. A check without an
// expectation is reported as not checked. It must not be used to protect an API.
type ResponseInspector struct{ j checker }

// NewResponseInspector returns an inspector of responses. An empty issuer or
// audience is not checked. Errors are those of [NewInspector].
func NewResponseInspector(issuer string, audience []string, o Options) (*ResponseInspector, error) {
	j, err := newResponseChecker(issuer, audience, o)
	return &ResponseInspector{j: j}, err
}

// Report verifies a response about a token and returns the result of every check.
// Without a token, the response is ignored.
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

func newResponseChecker(issuer string, audience []string, o Options) (checker, error) {
	o.Algorithms, o.Types, o.RFC9068 = nil, nil, false
	if o.InsecureSkipAudience {
		audience = nil
	}
	return newChecker(issuer, audience, nil, o)
}

// examineResponse is like examine, for an introspection response.
func (j *checker) examineResponse(raw secret.String, response []byte, x *examination) {
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
		return // then the rest of the response is not reliable
	}
	x.passed |= 1 << checkType // unless the claims show another kind
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

// nameIssuer adds the server's issuer to a token without iss, because the API and
// the revocations need the issuer of the caller.
func (j *checker) nameIssuer(t *Token) {
	if j.issuer == "" {
		return
	}
	name, err := jsontext.AppendQuote(nil, j.issuer)
	if err != nil {
		return // then the check of the issuer fails
	}
	t.claims = append(t.claims, member{"iss", string(name)})
	t.claimsJSON = withMember(t.claimsJSON, `"iss":`+string(name))
}

// withMember adds a member to the JSON text of an object.
func withMember(object, text string) string {
	start := strings.IndexByte(object, '{') + 1
	if object[skipSpace(object, start)] != '}' {
		text += ","
	}
	return object[:start] + text + object[start:]
}

// checkIsActive returns an error unless active is the boolean true. A string or a
// number is not accepted.
func checkIsActive(t *Token) error {
	if got := t.lookup("active"); got != "true" {
		return &diagnosis.Diagnosis{ID: diagnosis.Revoked, Expected: diagnosis.Values{"active true"}, Got: diagnosis.FromJSON(got)}
	}
	return nil
}
