package safehttp

import (
	"net/http"
	"strconv"
	"time"
)

// ClockTolerance is by how much two clocks may differ by [ClockAhead] and still
// agree: Date counts in seconds, and a response is some time on its way.
const ClockTolerance = 30 * time.Second

// ClockAhead returns by how much the clock of the server that sent a header is
// ahead of this machine's, which shows now. It goes by Date (RFC 9110, section
// 6.6.1); a response from a cache is older by its Age. It reports false where the
// header has no valid Date.
func ClockAhead(h http.Header, now time.Time) (ahead time.Duration, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
		date = date.Add(time.Duration(age) * time.Second)
	}
	return date.Add(time.Second / 2).Sub(now), true // Date has no fractions
}
