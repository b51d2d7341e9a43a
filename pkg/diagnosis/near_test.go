package diagnosis_test

import (
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"scope", "scope", 0}, {"scopes", "scope", 1}, {"prdo", "prod", 2}, {"kitten", "sitting", 3}, {"a", "b", 1}, {"ab", "ba", 2},
	} {
		if got, back := diagnosis.Distance(tt.a, tt.b), diagnosis.Distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q and %q: %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}
