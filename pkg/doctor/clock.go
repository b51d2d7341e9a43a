package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// clockReading is the difference between a server's clock and this machine's.
type clockReading struct {
	origin string
	ahead  time.Duration
}

// readClock stores the difference between a server's clock and this machine's, once
// for each origin.
func (e *examination) readClock(u *url.URL, h http.Header, now time.Time) {
	ahead, ok := safehttp.ClockAhead(h, now)
	if !ok {
		return
	}
	origin := safehttp.Origin(u)
	for _, known := range e.clocks {
		if known.origin == origin {
			return
		}
	}
	e.clocks = append(e.clocks, clockReading{origin, ahead})
}

func (c clockReading) isOff() bool { return c.ahead.Abs() > safehttp.ClockTolerance }

// ownClock reports whether this machine's clock is wrong, and by how much the
// servers' clocks are ahead of it. This machine's clock is wrong if it differs from
// those of all servers, and the servers agree with each other. A single server on
// this machine does not count.
func (e *examination) ownClock() (ahead time.Duration, wrong bool) {
	for i, c := range e.clocks {
		if !c.isOff() || i > 0 && (c.ahead-e.clocks[0].ahead).Abs() > safehttp.ClockTolerance {
			return 0, false
		}
	}
	if len(e.clocks) == 0 || len(e.clocks) == 1 && isLoopback(e.config.URL) {
		return 0, false
	}
	return e.clocks[0].ahead, true
}

// clock compares the clocks of the servers with this machine's and each other.
func (e *examination) clock(context.Context) finding {
	switch {
	case len(e.clocks) == 0 && e.config.Recording != nil:
		return skipped(errNotRecorded.Error())
	case len(e.clocks) == 0:
		return noted("no response has a Date")
	}
	if _, wrong := e.ownClock(); wrong {
		return skipped("needs a correct clock on this machine")
	}
	for _, c := range e.clocks {
		if !c.isOff() {
			continue
		}
		f := failed(diagnosis.ClockSkew, "the clock of "+hostOf(c.origin)+" is "+offBy(c.ahead), &Request{Method: http.MethodHead, URL: c.origin + "/"})
		f.expected, f.got = diagnosis.Values{fmt.Sprintf("a difference below %s", safehttp.ClockTolerance)}, diagnosis.Values{c.ahead.Round(time.Second).String()}
		if c.origin == originOf(e.config.URL) && e.kind != Issuer {
			f.owner = TheAPI
		}
		return f.fixedBy("set the clock of " + hostOf(c.origin) + " by NTP")
	}
	return passed(fmt.Sprintf("%s agree", counted(len(e.clocks)+1, "clock")))
}

// counted returns a number with its noun, such as "2 keys".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func offBy(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Second).String() + " behind"
	}
	return ahead.Round(time.Second).String() + " ahead"
}

// blameOwnClock adds the result for this machine's clock to the first rung,
// because it is known only at the end.
func (e *examination) blameOwnClock(report *Report) {
	if len(e.clocks) == 0 || len(report.Results) == 0 || report.Results[0].Name != "machine" {
		return
	}
	machine := &report.Results[0]
	ahead, wrong := e.ownClock()
	switch {
	case wrong && machine.Status != Failed:
		f := failed(diagnosis.ClockSkew, "the clock of this machine is "+offBy(-ahead), &Request{Method: http.MethodHead, URL: e.clocks[0].origin + "/"})
		f.expected, f.got = diagnosis.Values{fmt.Sprintf("a difference below %s", safehttp.ClockTolerance)}, diagnosis.Values{(-ahead).Round(time.Second).String()}
		*machine = e.result(rungs()[0], f.fixedBy("set the clock of this machine by NTP"))
	case machine.Status == Passed && !e.clocks[0].isOff():
		text := fmt.Sprintf("clock %.0f s off", e.clocks[0].ahead.Abs().Seconds())
		if machine.Text != "" {
			text += ", " + machine.Text
		}
		machine.Text = text
	}
}
