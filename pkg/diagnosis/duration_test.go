package diagnosis_test

import (
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0 s", 900 * time.Millisecond: "0 s", time.Second: "1 s", 59 * time.Second: "59 s", time.Minute: "1 m", 100 * time.Second: "1 m 40 s",
		time.Hour: "1 h", time.Hour + 59*time.Minute: "1 h 59 m", 2*time.Hour + 30*time.Second: "2 h", day - time.Second: "23 h 59 m",
		day: "1 d", 76 * time.Hour: "3 d 4 h", 366 * day: "1 y 1 d", 365 * day: "1 y", 1<<63 - 1: "292 y 171 d",
	} {
		if got := diagnosis.Duration(d); got != want {
			t.Errorf("%d s is %s, want %s", d/time.Second, got, want)
		}
	}
}
