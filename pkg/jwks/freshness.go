package jwks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// freshness returns how long a response is fresh (RFC 9111, section 5.2.2),
// within the minimum and maximum of the contract.
func freshness(h http.Header) time.Duration {
	directives := strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",")
	for _, d := range directives {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 63)
			if err != nil {
				return defaultFresh
			}
			age, _ := strconv.ParseUint(h.Get("Age"), 10, 63)
			seconds -= min(age, seconds)
			seconds = min(seconds, uint64(maxFresh/time.Second))
			return max(minFresh, time.Duration(seconds)*time.Second)
		}
	}
	return defaultFresh
}
