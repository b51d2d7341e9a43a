package safehttp_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestClockAhead(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		date, age string
		want      time.Duration
		ok        bool
	}{
		{"Sun, 01 Mar 2026 12:00:00 GMT", "", 500 * time.Millisecond, true},
		{"Sun, 01 Mar 2026 12:03:00 GMT", "", 3*time.Minute + 500*time.Millisecond, true},
		{"Sun, 01 Mar 2026 11:00:00 GMT", "3600", 500 * time.Millisecond, true},
		{"Sunday, 01-Mar-26 11:00:00 GMT", "x", -time.Hour + 500*time.Millisecond, true},
		{"Sun, 01 Mar 2026 11:59:00 GMT", "-60", -time.Minute + 500*time.Millisecond, true},
		{"Sun, 01 Mar 2026 11:00:00 GMT", " 3600 , 7200", 500 * time.Millisecond, true},
		{"Sun, 01 Mar 2026 12:00:00 GMT", "2147483647", 1<<31*time.Second - time.Second/2, true},
		{"Sun, 01 Mar 2026 12:00:00 GMT", "2147483648", 0, false},
		{"Sun, 01 Mar 2026 12:00:00 GMT", "9223372037", 0, false},
		{"Sun, 01 Mar 2026 12:00:00 GMT", "18446744073709551616000", 0, false},
		{"Sun, 01 Mar 2026 11:00:00 GMT", "-18446744073709551616000", -time.Hour + 500*time.Millisecond, true},
		{"", "", 0, false},
		{"1772366400", "", 0, false},
	} {
		got, ok := safehttp.ClockAhead(http.Header{"Date": {tt.date}, "Age": {tt.age}}, now)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%q, Age %q: %s, %v", tt.date, tt.age, got, ok)
		}
	}
}
