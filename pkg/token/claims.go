package token

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// expectation is what the claims are held against.
type expectation struct {
	issuer       string
	audience     []string
	clientIDs    []string
	require      []string
	leeway       time.Duration // for nbf and iat
	expiryLeeway time.Duration
}

// claimCheck is a row of the table of what is checked once the signature holds.
// A new check is one row.
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
	id := diagnosis.IssuerMismatch
	switch {
	case got == e.issuer:
		return nil
	case text == "":
		return &diagnosis.Diagnosis{ID: diagnosis.IssuerMissing, Expected: e.issuer, Got: "none"}
	case !ok:
		return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: "iss to be a string", Got: cut(text)}
	case strings.TrimSuffix(got, "/") == strings.TrimSuffix(e.issuer, "/"):
		id = diagnosis.IssuerSlash
	case samePath(got, e.issuer):
		id = diagnosis.IssuerHost
	}
	return &diagnosis.Diagnosis{ID: id, Expected: e.issuer, Got: cut(got)}
}

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
	d := &diagnosis.Diagnosis{ID: diagnosis.AudienceMismatch, Expected: strings.Join(e.audience, " or "), Got: cut(strings.Join(t.Audience(), ", "))}
	switch {
	case text == "":
		d.ID, d.Got = diagnosis.AudienceMissing, "none"
	case !isList:
		d.ID, d.Expected, d.Got = diagnosis.AudienceInvalid, "a string or a list of strings", cut(text)
	case t.Kind() == KindIDToken:
		d.ID = diagnosis.IDTokenAsAccess
	}
	return d
}

func (e *expectation) checkExpiry(t *Token, now time.Time) *diagnosis.Diagnosis {
	at, d := date(t, "exp")
	switch {
	case d != nil:
		return d
	case at.IsZero():
		return &diagnosis.Diagnosis{ID: diagnosis.ExpiryMissing, Expected: "exp", Got: "none"}
	case !now.Before(at.Add(e.expiryLeeway)):
		return &diagnosis.Diagnosis{ID: diagnosis.Expired, Expected: "a time after " + stamp(now), Got: stamp(at) + ", " + words(now.Sub(at)) + " ago"}
	}
	return nil
}

func (e *expectation) checkNotBefore(t *Token, now time.Time) *diagnosis.Diagnosis {
	return e.checkNotAhead(t, "nbf", now, diagnosis.NotYetValid)
}

func (e *expectation) checkIssuedAt(t *Token, now time.Time) *diagnosis.Diagnosis {
	return e.checkNotAhead(t, "iat", now, diagnosis.IssuedInFuture)
}

// skewLimit is how far ahead a time may lie to be taken for a clock that is off.
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
	return &diagnosis.Diagnosis{ID: id, Expected: name + " at most " + words(e.leeway) + " ahead of " + stamp(now), Got: stamp(at) + ", " + words(ahead) + " ahead"}
}

// window is from when until when the three checks above say that the times of a
// good token are good.
func (e *expectation) window(t *Token) (from, until time.Time) {
	from = t.NotBefore()
	if issued := t.IssuedAt(); issued.After(from) {
		from = issued
	}
	return from.Add(-e.leeway), t.Expiry().Add(e.expiryLeeway)
}

// date reads a time claim; zero where it is missing.
func date(t *Token, name string) (time.Time, *diagnosis.Diagnosis) {
	text := t.lookup(name)
	if text == "" {
		return time.Time{}, nil
	}
	seconds, ok := numericDate(text)
	switch {
	case !ok:
		return time.Time{}, &diagnosis.Diagnosis{ID: diagnosis.TimeInvalid, Expected: name + " as a number of seconds", Got: cut(text)}
	case seconds > 1e11:
		return time.Time{}, &diagnosis.Diagnosis{ID: diagnosis.TimeInMilliseconds, Expected: name + " as a number of seconds", Got: cut(text)}
	}
	return unixTime(seconds), nil
}

func (e *expectation) checkClientID(t *Token, _ time.Time) *diagnosis.Diagnosis {
	if e.clientIDs == nil || slices.Contains(e.clientIDs, t.ClientID()) {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.ClaimInvalid, Expected: "client_id " + strings.Join(e.clientIDs, " or "), Got: fmt.Sprintf("%q", cut(t.ClientID()))}
}

func (e *expectation) checkRequired(t *Token, _ time.Time) *diagnosis.Diagnosis {
	for _, name := range e.require {
		if _, ok := t.Claim(name); !ok {
			return &diagnosis.Diagnosis{ID: diagnosis.ClaimMissing, Expected: "the claim " + name, Got: "none"}
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// words tells a duration in its largest units.
func words(d time.Duration) string {
	unit, name := time.Second, " s"
	switch {
	case d < time.Minute:
	case d < time.Hour:
		unit, name = time.Minute, " m"
	case d < 48*time.Hour:
		unit, name = time.Hour, " h"
	case d > 2*365*24*time.Hour:
		unit, name = 365*24*time.Hour, " years"
	default:
		unit, name = 24*time.Hour, " d"
	}
	return strconv.FormatInt(int64(d/unit), 10) + name
}
