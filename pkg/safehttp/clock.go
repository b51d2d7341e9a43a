package safehttp

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ClockTolerance is by how much two clocks may differ by [ClockAhead] and still
// agree: Date counts in seconds, and a response is some time on its way.
const ClockTolerance = 30 * time.Second

// ClockAhead returns by how much the clock of the server that sent a header is
// ahead of this machine's, which shows now. It uses Date (RFC 9110, section
// 6.6.1); a response from a cache is older by its Age (RFC 9111, section 5.1).
// It returns false if the header has no valid Date, or a larger Age than caches
// send.
func ClockAhead(h http.Header, now time.Time) (ahead time.Duration, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	field, _, _ := strings.Cut(h.Get("Age"), ",") // of several the first counts
	age, err := strconv.ParseUint(strings.TrimSpace(field), 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	date = date.Add(time.Duration(age) * time.Second)
	return date.Add(time.Second / 2).Sub(now), true // Date has no fractions
}
