package apicall

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	firstWait   = 500 * time.Millisecond
	longestWait = time.Minute
)

// again decides whether a request is sent once more, after which time and why. A
// nil why means that it is not.
func (c *Client) again(ctx context.Context, r Request, res *http.Response, err error, attempt int) (time.Duration, error) {
	if attempt >= c.Retries || ctx.Err() != nil || r.Stream != nil || !repeatable(r.Method) {
		return 0, nil
	}
	var fault *diagnosis.Diagnosis
	switch {
	case errors.As(err, &fault) && (fault.ID == diagnosis.Unreachable || fault.ID == diagnosis.Timeout):
		return backoff(attempt), err
	case err != nil || res == nil:
		return 0, nil
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, nil
	}
	wait, ok := retryAfter(res.Header.Get("Retry-After"), c.now())
	if !ok {
		wait = backoff(attempt)
	}
	return wait, fmt.Errorf("apicall: the API answered %d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// repeatable reports whether a method may be sent twice and mean the same (RFC
// 9110, section 9.2.2).
func repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// backoff doubles with each attempt; half of it is by chance, so that clients
// that failed together do not come back together.
func backoff(attempt int) time.Duration {
	d := longestWait
	if attempt < 7 {
		d = min(firstWait<<attempt, longestWait)
	}
	return d/2 + rand.N(d/2)
}

// retryAfter reads the field of that name, seconds or a date (RFC 9110, section
// 10.2.3), and never waits for longer than a minute.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(longestWait/time.Second) {
			return longestWait, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), longestWait), true
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Client) pause(ctx context.Context, d time.Duration, why error) error {
	if c.Retrying != nil {
		c.Retrying(d, why)
	}
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("apicall: %w", ctx.Err())
	}
}
