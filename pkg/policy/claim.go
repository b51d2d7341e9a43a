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

// ClaimRule asks one claim for a value or a pattern. The claim's name is taken
// whole first, then as a path of names joined by dots; of a list one element has
// to match.
type ClaimRule struct {
	name    string
	value   string
	values  []string // one of these, where there are several
	pattern *regexp.Regexp
}

// ParseClaimRule reads NAME=VALUE, or NAME~REGEX (RE2, unanchored), by whichever
// of the two signs comes first.
func ParseClaimRule(text string) (ClaimRule, error) {
	i := strings.IndexAny(text, "=~")
	if i < 1 {
		return ClaimRule{}, fmt.Errorf("policy: expected NAME=VALUE or NAME~REGEX, got %s", diagnosis.Quote(text))
	}
	if text[i] == '=' {
		return ClaimRule{name: text[:i], value: text[i+1:]}, nil
	}
	rule, err := matching(text[:i], text[i+1:])
	if err != nil {
		return ClaimRule{}, fmt.Errorf("policy: %w", err)
	}
	return rule, nil
}

func matching(name, expression string) (ClaimRule, error) {
	pattern, err := regexp.Compile(expression)
	if err != nil {
		return ClaimRule{}, fmt.Errorf("the pattern for %s: %w", name, err)
	}
	return ClaimRule{name: name, value: expression, pattern: pattern}, nil
}

// String returns the rule as [ParseClaimRule] reads it.
func (r ClaimRule) String() string {
	if r.pattern != nil {
		return r.name + "~" + r.value
	}
	return r.name + "=" + r.value
}

// accepted returns the values that a rule without a pattern accepts.
func (r ClaimRule) accepted() []string {
	if r.values != nil {
		return r.values
	}
	return []string{r.value}
}

// in returns the JSON text of the claim that the rule is about. The client is
// named by azp where there is no client_id, as [token.Token.ClientID] reads it.
func (r *ClaimRule) in(t *token.Token) (string, bool) {
	text, ok := t.ClaimJSON(r.name)
	if !ok && r.name == clientID {
		return t.ClaimJSON("azp")
	}
	return text, ok
}

// matches reports whether the JSON text of a value, or for a list that of one of
// its elements, has what the rule asks for.
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
	text, ok := textOf(value)
	switch {
	case !ok:
		return false
	case r.pattern != nil:
		return r.pattern.MatchString(text)
	case r.values != nil:
		return slices.Contains(r.values, text)
	}
	return text == r.value
}

// maxExact is the largest number of which a float64 knows each digit.
const maxExact = 1 << 53

// textOf returns a string without its quotes, and booleans and numbers as JSON
// writes them: up to 2^53 without exponent and final zeros, beyond that as they
// are in the token, so that two long ids never read alike.
func textOf(value string) (string, bool) {
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
