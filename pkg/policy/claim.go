package policy

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// ClaimRule requires that one claim has a value or matches a pattern. The name is
// looked up as the name of a claim first, then as a path of names joined by dots,
// such as realm_access.roles. If the claim is a list, one element must match.
type ClaimRule struct {
	name    string
	values  []string       // one of these
	pattern *regexp.Regexp // or this
}

// ParseClaimRule reads NAME=VALUE, or NAME~REGEX (RE2, unanchored). The first = or
// ~ in text ends the name. It returns an error for text without either, for an
// empty name, and for an invalid expression.
func ParseClaimRule(text string) (ClaimRule, error) {
	i := strings.IndexAny(text, "=~")
	if i < 1 {
		return ClaimRule{}, fmt.Errorf("policy: expected NAME=VALUE or NAME~REGEX, got %s", diagnosis.Quote(text))
	}
	if text[i] == '=' {
		return ClaimIs(text[:i], text[i+1:]), nil
	}
	return ClaimMatches(text[:i], text[i+1:])
}

// ClaimIs returns the rule that a claim has one of the values.
func ClaimIs(name string, values ...string) ClaimRule {
	return ClaimRule{name: name, values: values}
}

// ClaimMatches returns the rule that a claim matches a regular expression (RE2),
// which is not anchored: begin it with ^ and end it with $ for the whole value.
func ClaimMatches(name, expression string) (ClaimRule, error) {
	pattern, err := regexp.Compile(expression)
	if err != nil {
		return ClaimRule{}, fmt.Errorf("policy: the pattern for %s: %w", name, err)
	}
	return ClaimRule{name: name, pattern: pattern}, nil
}

// String returns the rule in the form that [ParseClaimRule] reads. A rule with
// several values is "NAME=A or B".
func (r ClaimRule) String() string {
	if r.pattern != nil {
		return r.name + "~" + r.pattern.String()
	}
	return r.name + "=" + strings.Join(r.values, " or ")
}

// Name returns the name of the claim that the rule checks.
func (r ClaimRule) Name() string { return r.name }

// Value returns a value that the rule accepts. It returns false if the rule has a
// pattern.
func (r ClaimRule) Value() (string, bool) {
	if r.pattern != nil || len(r.values) == 0 {
		return "", false
	}
	return r.values[0], true
}

// covers reports whether every claim that matches the rule also matches other.
func (r ClaimRule) covers(other ClaimRule) bool {
	switch {
	case r.name != other.name:
		return false
	case r.pattern != nil && other.pattern != nil:
		return r.pattern.String() == other.pattern.String()
	case r.pattern != nil || other.pattern != nil:
		return false
	}
	return !slices.ContainsFunc(r.values, func(value string) bool { return !slices.Contains(other.values, value) })
}

// in returns the JSON text of the claim that the rule checks. If a token has no
// client_id, azp is used, as in [token.Token.ClientID].
func (r *ClaimRule) in(t *token.Token) (string, bool) {
	text, ok := t.ClaimJSON(r.name)
	if !ok && r.name == clientID {
		return t.ClaimJSON("azp")
	}
	return text, ok
}

// matches reports whether a value, or one element of a list, matches the rule.
// Value is JSON text.
func (r *ClaimRule) matches(value string) bool {
	if value[0] != '[' {
		return r.matchesOne(value)
	}
	var list []jsontext.Value
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(one jsontext.Value) bool { return r.matchesOne(string(one)) })
}

func (r *ClaimRule) matchesOne(value string) bool {
	text, ok := ClaimText(value)
	switch {
	case !ok:
		return false
	case r.pattern != nil:
		return r.pattern.MatchString(text)
	}
	return slices.Contains(r.values, text)
}

// maxExact is 2^53: a float64 holds every whole number below it exactly.
const maxExact = 1 << 53

// ClaimText returns the text that rules compare with their values. Value is the
// JSON text of a claim. A string is returned without its quotes, a boolean as true
// or false. A number below 2^53 is returned without an exponent and without final
// zeros; a larger one as it is in the token, because rounding could make two
// different ids equal. It returns false for null, a list and an object.
func ClaimText(value string) (string, bool) {
	switch value[0] {
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err == nil
	case 't', 'f':
		return value, true
	case '{', '[', 'n':
		return "", false
	}
	if v, err := strconv.ParseFloat(value, 64); err == nil && math.Abs(v) < maxExact {
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return value, true
}
