package token

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// checkNumber identifies a check; checks run in this order.
type checkNumber uint8

const (
	checkStructure checkNumber = iota
	checkHeader
	checkAlgorithm
	checkType
	checkKey
	checkSignature
	checkClaims
	checkIssuer
	checkAudience
	checkExpiry
	checkNotBefore
	checkIssuedAt
	checkClientID
	checkRequired
	checkActive // of an introspection response
)

// String returns the name of the check in a report.
func (c checkNumber) String() string {
	return [...]string{
		"structure", "header", "algorithm", "type", "key", "signature", "claims",
		"issuer", "audience", "expiry", "not_before", "issued_at", "client_id", "required", "active",
	}[c]
}

// checkSet has a bit for each check that passed. The details are computed only
// for a report.
type checkSet uint16

func (s checkSet) has(c checkNumber) bool { return s&(1<<c) != 0 }

// Status is the result of a check.
type Status string

// Results of a check. NotChecked means that the check was not configured, or not
// reached because an earlier one failed.
const (
	Passed     Status = "passed"
	Failed     Status = "failed"
	NotChecked Status = "not_checked"
)

// Check is the result of one check of a [Report]. Expected, Got and Message may
// contain text from the token.
type Check struct {
	Check    string           `json:"check"`
	Status   Status           `json:"status"`
	Expected diagnosis.Values `json:"expected,omitzero"`
	Got      diagnosis.Values `json:"got,omitzero"`
	ID       diagnosis.ID     `json:"id,omitempty"`
	Message  string           `json:"message,omitempty"`
}

// KeyInfo is the key that verified the signature.
type KeyInfo struct {
	ID        string `json:"kid,omitempty"`
	Type      string `json:"kty"`
	Algorithm string `json:"alg"`
	// ChosenBy is the header parameter that selected the key: kid, x5t#S256 or x5t. It
	// is "" if the header has none of these; then all keys that fit were tried.
	ChosenBy string `json:"chosen_by,omitempty"`
	Tried    int    `json:"tried"` // number of keys that were tried, this one included
}

// Report holds the results of all checks of a token. Header and Claims are the
// JSON of the token, or nil if they could not be parsed. Claims is also nil if
// the signature is not valid, because the claims cannot be trusted.
type Report struct {
	Valid  bool           `json:"valid"`
	Header jsontext.Value `json:"header,omitempty"`
	Claims jsontext.Value `json:"claims,omitempty"`
	Key    *KeyInfo       `json:"key,omitempty"`
	Checks []Check        `json:"checks"`
	// Unverified holds the checks that the claims would have failed if an
	// earlier check had not failed. The claims are not verified.
	Unverified []Check `json:"unverified,omitempty"`
	// Payload is the verified payload if it is opaque, otherwise nil.
	Payload []byte `json:"payload,omitempty"`
	// Warnings lists what is unusual about a valid token.
	Warnings []Warning `json:"warnings,omitempty"`
	// Token is the token if it is valid, otherwise nil.
	Token *Token `json:"-"`
	// Read is the parsed token, valid or not. It is not verified. It is nil if
	// header or claims cannot be parsed.
	Read *Token `json:"-"`

	first *diagnosis.Diagnosis
}

// Warning is something unusual about a token that is not a reason to refuse it.
type Warning struct {
	ID      diagnosis.ID     `json:"id"`
	Message string           `json:"message"`
	Got     diagnosis.Values `json:"got,omitzero"`
}

// Text returns the message with its value.
func (w Warning) Text() string {
	if w.Got == nil {
		return w.Message
	}
	return w.Message + ": " + w.Got.String()
}

// warnings returns the warnings that matter for a verified token.
func (j *checker) warnings(t *Token) []Warning {
	var all []Warning
	for _, d := range []*diagnosis.Diagnosis{t.warnOfHeader(), t.warnOfLifetime(j.options.Now()), t.warnOfBinding()} {
		if d != nil {
			all = append(all, Warning{d.ID, d.Summary(), d.Got})
		}
	}
	return all
}

// Err returns the first check that failed as a Diagnosis, or nil if the token
// is valid.
func (r *Report) Err() error {
	if r.first == nil {
		return nil
	}
	return r.first
}

func (j *checker) report(ctx context.Context, raw string) *Report {
	x := &examination{thorough: true}
	j.examine(ctx, raw, x)
	r := &Report{Valid: x.failed == nil, Payload: x.payload, Checks: make([]Check, 0, checkRequired+1)}
	if x.token != nil {
		r.Header = jsontext.Value(x.token.headerJSON)
		if x.token.claims != nil {
			r.Claims = jsontext.Value(x.token.claimsJSON)
		}
	}
	if x.tried > 0 {
		k := x.keys.Keys[x.tried-1]
		r.Key = &KeyInfo{k.ID(), k.Type(), x.token.header.query.Algorithm, x.keys.By, x.tried}
	}
	for c := checkStructure; c <= checkClaims; c++ {
		r.add(c, j.check(x, c, true))
	}
	j.reportClaims(x, r)
	return r
}

// reportClaims adds the checks of the claims, and what follows from all checks.
func (j *checker) reportClaims(x *examination, r *Report) {
	for i := range claimChecks {
		c := &claimChecks[i]
		r.add(c.check, j.check(x, c.check, j.configured(c)))
	}
	for _, f := range x.unverified {
		r.Unverified = append(r.Unverified, failedCheck(f))
	}
	if x.failed != nil {
		r.first = x.failed[0].diagnosis
	}
	j.requireAll(r)
	if r.Valid {
		r.Token = x.token
		if !j.options.OpaquePayload {
			r.Warnings = j.warnings(x.token)
		}
	}
	if r.Read = x.read; r.Read == nil && x.token != nil && x.token.claims != nil {
		r.Read = x.token
	}
}

// configured reports whether a check is configured.
func (j *checker) configured(c *claimCheck) bool {
	return !j.options.OpaquePayload && (c.asked == nil || c.asked(&j.expectation))
}

// add omits checks that another check implies: whether the claims could be
// parsed matters only if they could not.
func (r *Report) add(n checkNumber, c Check) {
	quiet := n == checkHeader || n == checkClaims || n == checkClientID || n == checkRequired
	if quiet && c.Status != Failed && (c.Status != Passed || len(c.Got) == 0) {
		return
	}
	r.Checks = append(r.Checks, c)
}

// requireAll applies Strict: checks that are not configured fail.
func (j *checker) requireAll(r *Report) {
	if !j.options.Strict || !r.Valid {
		return
	}
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Status == NotChecked {
			d := notChecked(c.Check)
			*c = Check{c.Check, Failed, d.Expected, d.Got, d.ID, d.Summary()}
			if r.first == nil {
				r.first = d
			}
			r.Valid = false
		}
	}
}

// unconfigured returns the first failure that requireAll would add.
func (j *checker) unconfigured() *diagnosis.Diagnosis {
	for i := range claimChecks {
		c := &claimChecks[i]
		if j.options.Strict && c.check < checkClientID && !j.configured(c) {
			return notChecked(c.check.String())
		}
	}
	return nil
}

func notChecked(name string) *diagnosis.Diagnosis {
	return &diagnosis.Diagnosis{ID: diagnosis.NotChecked, Got: diagnosis.Values{name}}
}

func (j *checker) check(x *examination, c checkNumber, asked bool) Check {
	for _, f := range x.failed {
		if f.check == c {
			return failedCheck(f)
		}
	}
	if asked && x.passed.has(c) {
		return Check{Check: c.String(), Status: Passed, Got: j.found(x, c)}
	}
	return Check{Check: c.String(), Status: NotChecked}
}

func failedCheck(f fault) Check {
	return Check{f.check.String(), Failed, f.diagnosis.Expected, f.diagnosis.Got, f.diagnosis.ID, f.diagnosis.Summary()}
}

// found returns the value that a passed check has found, or nil if the value is of no
// interest.
func (j *checker) found(x *examination, c checkNumber) diagnosis.Values {
	t := x.token
	switch c {
	case checkStructure:
		return diagnosis.Values{"three parts"}
	case checkAlgorithm:
		return diagnosis.Values{t.header.query.Algorithm}
	case checkType:
		return nonEmpty(t.header.typ)
	case checkKey:
		return diagnosis.Values{chosenKey(&x.keys, &t.header, x.tried)}
	case checkSignature:
		return diagnosis.Values{x.keys.Keys[x.tried-1].Type() + " key"}
	case checkIssuer:
		return diagnosis.Values{t.Issuer()}
	case checkAudience:
		return t.Audience()
	case checkExpiry:
		return until(t.Expiry(), x.at)
	case checkNotBefore:
		return until(t.NotBefore(), x.at)
	case checkIssuedAt:
		return until(t.IssuedAt(), x.at)
	case checkClientID:
		return nonEmpty(t.ClientID())
	case checkRequired:
		return j.options.Require
	case checkActive:
		return diagnosis.Values{t.lookup("active")}
	}
	return nil
}

func nonEmpty(text string) diagnosis.Values {
	if text == "" {
		return diagnosis.None
	}
	return diagnosis.Values{text}
}

func until(at, now time.Time) diagnosis.Values {
	switch {
	case at.IsZero():
		return diagnosis.None
	case at.After(now):
		return diagnosis.Values{stamp(at) + ", in " + diagnosis.Duration(at.Sub(now))}
	}
	return diagnosis.Values{stamp(at) + ", " + diagnosis.Duration(now.Sub(at)) + " ago"}
}
