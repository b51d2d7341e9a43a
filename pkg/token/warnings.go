package token

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// longLived is the lifetime from which an access token is reported as
// long-lived.
const longLived = 24 * time.Hour

// Warnings returns what is unusual about the token at the given time, whether
// or not it is valid. A warning mentions claims, never the value of a secret.
func (t *Token) Warnings(now time.Time) []*diagnosis.Diagnosis {
	e := expectation{leeway: defaultLeeway}
	var found []*diagnosis.Diagnosis
	for _, d := range []*diagnosis.Diagnosis{
		t.warnOfHeader(), e.checkExpiry(t, now), e.checkNotBefore(t, now), e.checkIssuedAt(t, now),
		t.warnOfAudience(), t.warnOfLifetime(now), t.warnOfSecrets(), t.warnOfPersonalData(), t.warnOfBinding(), t.warnOfProvider(),
	} {
		if d != nil {
			found = append(found, d)
		}
	}
	return found
}

func (t *Token) warnOfHeader() *diagnosis.Diagnosis {
	switch {
	case strings.EqualFold(t.header.query.Algorithm, "none"):
		return &diagnosis.Diagnosis{ID: diagnosis.AlgNone}
	case t.header.kind == KindOther || t.header.kind == KindForeign:
		return &diagnosis.Diagnosis{ID: diagnosis.TypUnknown, Got: diagnosis.Values{t.header.typ}}
	}
	return nil
}

func (t *Token) warnOfAudience() *diagnosis.Diagnosis {
	switch {
	case !t.has("aud"):
		return &diagnosis.Diagnosis{ID: diagnosis.AudMissing}
	case t.Audience() == nil:
		return &diagnosis.Diagnosis{ID: diagnosis.AudInvalid, Got: diagnosis.FromJSON(t.lookup("aud"))}
	}
	return nil
}

func (t *Token) warnOfLifetime(now time.Time) *diagnosis.Diagnosis {
	issued := t.IssuedAt()
	if issued.IsZero() {
		issued = now
	}
	expires, wrong := date(t, "exp")
	life := expires.Sub(issued)
	switch {
	case wrong != nil || life <= longLived:
		return nil
	case life == math.MaxInt64: // longer than a Duration can be
		return &diagnosis.Diagnosis{ID: diagnosis.LongLived, Got: diagnosis.Values{"until " + stamp(expires)}}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.LongLived, Got: diagnosis.Values{diagnosis.Duration(life)}}
}

// warnOfProvider warns of a token that only its provider can verify: the case
// that the provider's rules have for its signature.
func (t *Token) warnOfProvider() *diagnosis.Diagnosis {
	d := explained(t, &diagnosis.Diagnosis{ID: diagnosis.SignatureInvalid})
	if d.ID == diagnosis.SignatureInvalid {
		return nil
	}
	return d
}

// warnOfBinding warns that the token is valid only with a proof (RFC 7800).
func (t *Token) warnOfBinding() *diagnosis.Diagnosis {
	if !t.has("cnf") {
		return nil
	}
	d := &diagnosis.Diagnosis{ID: diagnosis.BoundToken}
	value, _ := t.Claim("cnf")
	members, _ := value.(map[string]any)
	for name := range members {
		d.Got = append(d.Got, "cnf."+name)
	}
	slices.Sort(d.Got)
	return d
}

// warnOfPersonalData looks for personal data, which belongs in an ID token but
// not in an access token.
func (t *Token) warnOfPersonalData() *diagnosis.Diagnosis {
	if t.Kind() == KindIDToken {
		return nil
	}
	names := t.suspicious([]string{
		"email", "phone", "phone_number", "birthdate", "birthday", "address", "given_name", "family_name", "ssn", "passport", "national_id", "tax_id", "iban",
	}, isEmail)
	if names == nil {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.PersonalData, Got: names}
}

func (t *Token) warnOfSecrets() *diagnosis.Diagnosis {
	names := t.suspicious([]string{
		"password", "passwd", "pwd", "secret", "client_secret", "api_key", "apikey", "private_key", "refresh_token", "card_number", "credit_card", "cvv", "pin",
	}, isCardNumber)
	if names == nil {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.SecretInToken, Got: names}
}

// suspicious returns the claims, also nested ones, that have one of the names
// or a value that looks like it.
func (t *Token) suspicious(names []string, looks func(string) bool) diagnosis.Values {
	var found []string
	var visit func(path, name string, value any)
	visit = func(path, name string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for inner, value := range v {
				visit(path+"."+inner, inner, value)
			}
		case []any:
			for _, value := range v {
				visit(path, name, value)
			}
		case string:
			if v != "" && (slices.Contains(names, strings.ToLower(name)) || looks(v)) && !slices.Contains(found, path) {
				found = append(found, path)
			}
		}
	}
	for name, value := range t.Claims() {
		visit(name, name, value)
	}
	slices.Sort(found)
	return found
}

func isEmail(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	return ok && local != "" && strings.Contains(domain, ".") && !strings.ContainsAny(text, " /:") && strings.Count(text, "@") == 1
}

// isCardNumber reports whether text is a number of 13 to 19 digits, perhaps in
// groups, with a valid check digit (ISO/IEC 7812).
func isCardNumber(text string) bool {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(text)
	if len(digits) < 13 || len(digits) > 19 || strings.Trim(digits, "0123456789") != "" || strings.Trim(digits, "0") == "" {
		return false
	}
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
