package policy

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// ClaimRule asks one claim for a value or a pattern. The claim's name is taken
// whole first, then as a path of names joined by dots; of a list one element has
// to match.
type ClaimRule struct {
	name    string
	value   string
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

// matches reports whether a value, or for a list one of its elements, has what
// the rule asks for. Numbers and booleans compare as JSON writes them.
func (r *ClaimRule) matches(value any) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, r.matchesOne)
	}
	return r.matchesOne(value)
}

func (r *ClaimRule) matchesOne(value any) bool {
	text, ok := textOf(value)
	switch {
	case !ok:
		return false
	case r.pattern != nil:
		return r.pattern.MatchString(text)
	}
	return text == r.value
}

// maxExact is the largest number of which a float64 knows each digit.
const maxExact = 1 << 53

func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		// Beyond it two tenants' numbers could read alike.
		return strconv.FormatFloat(v, 'f', -1, 64), math.Abs(v) < maxExact
	}
	return "", false
}
