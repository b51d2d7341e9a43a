package diagnosis

import (
	"strconv"
	"strings"
	"time"
)

// Duration formats d in its two largest units, from years to seconds: "1 h 59 m",
// "3 d 4 h". Less than a second is "0 s". d must not be negative.
func Duration(d time.Duration) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	units := [...]struct {
		size time.Duration
		name string
	}{{year, "y"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, unit := range units {
		if d < unit.size {
			continue
		}
		parts := []string{strconv.FormatInt(int64(d/unit.size), 10) + " " + unit.name}
		if i+1 < len(units) {
			if rest := d % unit.size / units[i+1].size; rest > 0 {
				parts = append(parts, strconv.FormatInt(int64(rest), 10)+" "+units[i+1].name)
			}
		}
		return strings.Join(parts, " ")
	}
	return "0 s"
}
