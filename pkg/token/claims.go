package token

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// expectation holds the values that claims must match.
type expectation struct {
	issuer       string
	audience     []string
	clientIDs    []string
	require      []string
	rfc9068      bool
	leeway       time.Duration // for nbf and iat
	expiryLeeway time.Duration
}

// claimCheck is a row of the table of checks after the signature. A new check
// needs one row.
type claimCheck struct {
	check checkNumber
	run   func(*expectation, *Token, time.Time) *diagnosis.Diagnosis
	asked func(*expectation) bool // nil means always
}

var claimChecks = [...]claimCheck{
	{checkIssuer, (*expectation).checkIssuer, func(e *expectation) bool { return e.issuer != "" }},
	{checkAudience, (*expectation).checkAudience, func(e *expectation) bool { return e.audience != nil }},
	{checkExpiry, (*expectation).checkExpiry, nil},
	{checkNotBefore, (*expectation).checkNotBefore, nil},
	{checkIssuedAt, (*expectation).checkIssuedAt, nil},
	{checkClientID, (*expectation).checkClientID, func(e *expectation) bool { return e.clientIDs != nil }},
	{checkRequired, (*expectation).checkRequired, func(e *expectation) bool { return len(e.require) > 0 }},
}

func (e *expectation) checkIssuer(t *Token, _ time.Time) *diagnosis.Diagnosis {
	if e.issuer == "" {
		return nil
	}
	text := t.lookup("iss")
	got, ok := unquote(text)
	id := diagnosis.IssMismatch
	switch {
	case got == e.issuer:
		return nil
	case text == "":
		return &diagnosis.Diagnosis{ID: diagnosis.IssMissing, Expected: diagnosis.Values{e.issuer}, Got: diagnosis.None}
	case !ok:
		return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Values{"iss to be a string"}, Got: diagnosis.FromJSON(text)}
	case sameButSlash(got, e.issuer):
		id = diagnosis.IssSlash
	case samePath(got, e.issuer):
		id = diagnosis.IssHost
	}
	return &diagnosis.Diagnosis{ID: id, Expected: diagnosis.Values{e.issuer}, Got: diagnosis.Values{got}}
}

// sameButSlash reports whether two different strings are equal except for one
// slash at the end.
func sameButSlash(a, b string) bool { return a+"/" == b || a == b+"/" }

// samePath reports whether two issuers with a path differ only in scheme, host
// or port.
func samePath(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil || strings.Trim(u.Path, "/") == "" && u.Hostname() != "localhost" {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Host != "" && u.Path == v.Path && u.RawQuery == v.RawQuery
}

func (e *expectation) checkAudience(t *Token, _ time.Time) *diagnosis.Diagnosis {
	if e.audience == nil {
		return nil
	}
	text := t.lookup("aud")
	meant := false
	isList := eachString(text, func(a string) { meant = meant || slices.Contains(e.audience, a) })
	if isList && meant {
		return nil
	}
	d := &diagnosis.Diagnosis{ID: diagnosis.AudMismatch, Expected: diagnosis.Values(e.audience), Got: t.Audience()}
	switch {
	case text == "":
		d.ID, d.Got = diagnosis.AudMissing, diagnosis.None
	case !isList:
		d.ID, d.Expected, d.Got = diagnosis.AudInvalid, diagnosis.Values{"a string or a list of strings"}, diagnosis.FromJSON(text)
	case len(d.Got) == 0:
		d.ID, d.Got = diagnosis.AudMissing, diagnosis.FromJSON(text)
	case slices.ContainsFunc(d.Got, func(a string) bool {
		return slices.ContainsFunc(e.audience, func(b string) bool { return sameButSlash(a, b) })
	}):
		d.ID = diagnosis.AudSlash
	}
	return d
}

func (e *expectation) checkExpiry(t *Token, now time.Time) *diagnosis.Diagnosis {
	at, d := date(t, "exp")
	switch {
	case d != nil:
		return d
	case at.IsZero():
		return &diagnosis.Diagnosis{ID: diagnosis.ExpMissing, Expected: diagnosis.Values{"exp"}, Got: diagnosis.None}
	case !now.Before(at.Add(e.expiryLeeway)):
		found, current := stamps(at, now)
		d := &diagnosis.Diagnosis{
			ID: diagnosis.Expired, Expected: diagnosis.Values{"a time after " + current}, Got: diagnosis.Values{found + ", " + diagnosis.Duration(now.Sub(at)) + " ago"},
		}
		if now.Sub(at) <= defaultLeeway {
			d.Err = errClocks
		}
		return d
	}
	return nil
}

func (e *expectation) checkNotBefore(t *Token, now time.Time) *diagnosis.Diagnosis {
	return e.checkNotAhead(t, "nbf", now, diagnosis.NotYetValid)
}

func (e *expectation) checkIssuedAt(t *Token, now time.Time) *diagnosis.Diagnosis {
	return e.checkNotAhead(t, "iat", now, diagnosis.IatInFuture)
}

// skewLimit is how far in the future a time may be for a clock error to be
// assumed.
const skewLimit = 5 * time.Minute

func (e *expectation) checkNotAhead(t *Token, name string, now time.Time, id diagnosis.ID) *diagnosis.Diagnosis {
	at, d := date(t, name)
	if d != nil || at.IsZero() || !at.After(now.Add(e.leeway)) {
		return d
	}
	ahead := at.Sub(now)
	if ahead <= skewLimit {
		id = diagnosis.ClockSkew
	}
	found, limit := stamps(at, now.Add(e.leeway))
	return &diagnosis.Diagnosis{
		ID: id, Expected: diagnosis.Values{name + " not after " + limit}, Got: diagnosis.Values{found + ", in " + diagnosis.Duration(ahead)},
	}
}

// window returns the time window in which the three checks above accept the
// token.
func (e *expectation) window(t *Token) (from, until time.Time) {
	from = t.NotBefore()
	if issued := t.IssuedAt(); issued.After(from) {
		from = issued
	}
	return from.Add(-e.leeway), t.Expiry().Add(e.expiryLeeway)
}

// date returns a time claim, or zero if it is missing.
func date(t *Token, name string) (time.Time, *diagnosis.Diagnosis) {
	text := t.lookup(name)
	if text == "" {
		return time.Time{}, nil
	}
	seconds, ok := numericDate(text)
	switch {
	case !ok:
		return time.Time{}, &diagnosis.Diagnosis{ID: diagnosis.TimeInvalid, Expected: diagnosis.Values{name + " as a number of seconds"}, Got: diagnosis.FromJSON(text)}
	case seconds >= 1e12: // as milliseconds, every date since 2001
		return time.Time{}, &diagnosis.Diagnosis{
			ID: diagnosis.TimeInMS, Expected: diagnosis.Values{name + " as a number of seconds"},
			Got: diagnosis.Values{text + ", which is " + stamp(unixTime(seconds/1000)) + " in milliseconds"},
		}
	}
	return unixTime(seconds), nil
}

func (e *expectation) checkClientID(t *Token, _ time.Time) *diagnosis.Diagnosis {
	if e.clientIDs == nil || slices.Contains(e.clientIDs, t.ClientID()) {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Values{"client_id " + strings.Join(e.clientIDs, " or ")}, Got: nonEmpty(t.ClientID())}
}

func (e *expectation) checkRequired(t *Token, _ time.Time) *diagnosis.Diagnosis {
	for _, name := range e.require {
		if text, _ := t.ClaimJSON(name); isEmpty(text) {
			return &diagnosis.Diagnosis{ID: diagnosis.ClaimMissing, Expected: diagnosis.Values{"the claim " + name}, Got: diagnosis.FromJSON(text)}
		}
	}
	if !e.rfc9068 {
		return nil
	}
	for _, name := range [...]string{"iss", "sub", "client_id", "jti"} {
		if text := t.lookup(name); text != "" && text[0] != '"' {
			return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Values{name + " to be a string"}, Got: diagnosis.FromJSON(text)}
		}
	}
	return nil
}

// textClaims must be strings. A claim of another type would be treated as
// missing, and a check that needs it would be skipped.
var textClaims = [...]string{"sub", "jti", "sid", "client_id", "azp"}

// checkTexts returns an error for a claim that must be a string and is not (RFC
// 7519, sections 4.1.2 and 4.1.7; RFC 9068, section 2.2).
func checkTexts(t *Token) error {
	for _, name := range textClaims {
		text := t.lookup(name)
		// One of the two claims for the client is enough.
		isClient := name == "client_id" || name == "azp"
		if text != "" && text[0] != '"' && text != "null" && (!isClient || t.ClientID() == "") {
			return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: diagnosis.Values{name + " to be a string"}, Got: diagnosis.FromJSON(text)}
		}
	}
	return nil
}

// isEmpty reports whether a claim is missing or empty: null, "" or [].
func isEmpty(text string) bool {
	return text == "" || text == "null" || text == `""` || text[0] == '[' && strings.Trim(text[1:], " \t\r\n") == "]"
}

// errClocks is added for a token that has just expired.
var errClocks = errors.New("it has just expired, so a clock may be wrong")

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stamps formats two times, to the second unless they would look equal.
func stamps(a, b time.Time) (string, string) {
	if x, y := stamp(a), stamp(b); x != y {
		return x, y
	}
	return a.UTC().Format(time.RFC3339Nano), b.UTC().Format(time.RFC3339Nano)
}
