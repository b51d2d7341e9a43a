package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	userAgent    = "oauthctl-audit"
	maxBody      = 1 << 20
	maxRateWaits = 3
)

// send sends a request and returns the response. If it is 429, send waits for the
// time in Retry-After and repeats the request at half the rate, at most three times.
func (a *Audit) send(ctx context.Context, m *message) *Answer {
	for waits := 0; ; waits++ {
		if err := a.pace.wait(ctx); err != nil {
			return noAnswer(cause(ctx, err))
		}
		answer := a.sendOnce(ctx, m)
		if answer.Status != http.StatusTooManyRequests || waits == maxRateWaits {
			return answer
		}
		a.pace.halve()
		if err := a.config.Wait(ctx, answer.retryAfter); err != nil {
			return answer
		}
	}
}

func (a *Audit) sendOnce(ctx context.Context, m *message) *Answer {
	ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, m.method, m.url.String(), nil)
	if err != nil {
		return noAnswer(err)
	}
	req.URL = m.url // so that the path is sent unchanged
	req.Header = m.header.Clone()
	req.Header.Set("User-Agent", userAgent)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json, */*;q=0.5")
	}
	if m.body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(m.body)), int64(len(m.body))
		// A server that refuses a request without reading the body closes the connection,
		// possibly while the next request is being sent. The transport does not repeat a
		// request with a body.
		req.Close = true
	}
	a.counting.Lock()
	a.sent++
	a.counting.Unlock()
	res, err := a.config.Transport.RoundTrip(req)
	if err != nil {
		return noAnswer(cause(ctx, err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return noAnswer(cause(ctx, err))
	}
	return NewAnswer(res.StatusCode, res.Header, body)
}

// cause returns the innermost error, without the URL, which may contain a token.
func cause(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errTimeout
	case ctx.Err() != nil:
		return errInterrupted
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// pace limits the rate of requests.
type pace struct {
	sleep func(context.Context, time.Duration) error

	mu       sync.Mutex
	interval time.Duration // between two requests; 0 means no limit
	next     time.Time
}

func newPace(rate float64, sleep func(context.Context, time.Duration) error) *pace {
	p := &pace{sleep: sleep}
	if rate > 0 {
		p.interval = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait waits until the next request may be sent.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	p.next = turn.Add(p.interval)
	p.mu.Unlock()
	if turn.Equal(now) {
		return ctx.Err()
	}
	return p.sleep(ctx, turn.Sub(now))
}

// halve halves the rate, or sets it to 20 requests per second if there is no limit.
func (p *pace) halve() {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval = min(max(2*p.interval, first), most)
}

// shown returns the claims of a token, without its header and signature, or "" if it
// is not a JWT.
func shown(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return string(claims)
}
