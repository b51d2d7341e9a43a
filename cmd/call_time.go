package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// stopwatch notes when a request reached which point. With several requests the
// last one's times count, and all before them is theirs.
type stopwatch struct {
	mu                                                       sync.Mutex
	start, asked, resolved, connected, secured, sent, answer time.Time
}

// watch returns a context whose requests are noted.
func (c *stopwatch) watch(ctx context.Context) context.Context {
	c.start = time.Now()
	note := func(at *time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		*at = time.Now()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { note(&c.asked) },
		DNSDone:              func(httptrace.DNSDoneInfo) { note(&c.resolved) },
		ConnectDone:          func(string, string, error) { note(&c.connected) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { note(&c.secured) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { note(&c.sent) },
		GotFirstResponseByte: func() { note(&c.answer) },
	})
}

// print prints on stderr where the time went, in the order in which it went.
func (c *stopwatch) print(env *Env) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	last := c.start
	for _, p := range []struct {
		name string
		at   time.Time
	}{
		{"token", c.asked}, {"dns", c.resolved}, {"connect", c.connected}, {"tls", c.secured}, {"send", c.sent}, {"wait", c.answer}, {"body", time.Now()},
	} {
		if p.at.After(last) {
			parts = append(parts, fmt.Sprintf("%s %s", p.name, p.at.Sub(last).Round(100*time.Microsecond)))
			last = p.at
		}
	}
	s := env.stderr()
	s.line("%s %s", s.faint("time"), fmt.Sprintf("%s, total %s", strings.Join(parts, ", "), last.Sub(c.start).Round(100*time.Microsecond)))
}
