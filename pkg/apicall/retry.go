package apicall

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

const (
	firstWait   = 500 * time.Millisecond
	longestWait = time.Minute // that is chosen here
	// patience is how long a server's wish to wait is fulfilled; a longer wait is
	// for the caller to arrange.
	patience = 15 * time.Minute
)

// TooLong means that a request was not repeated because the API requires a
// longer wait than is reasonable for a command.
type TooLong struct {
	// After is how long to wait.
	After time.Duration
	// Status is the status of the response, such as "503 Service Unavailable".
	Status string
}

// Error implements error.
func (e *TooLong) Error() string {
	return fmt.Sprintf("the API answered %s and requires a wait of %s", e.Status, e.After.Round(time.Second))
}

// again decides whether a request is repeated, after which time and why. A nil
// why means that it is not.
func (c *Client) again(ctx context.Context, r Request, res *http.Response, err error, attempt int) (time.Duration, error) {
	if attempt >= c.Retries || ctx.Err() != nil || !Repeatable(r.Method) {
		return 0, nil
	}
	wait, why := c.transient(res, err, attempt)
	switch {
	case why == nil:
		return 0, nil
	case !r.Body.again():
		why, wait = ErrBodySpent, 0
	case wait > patience && res != nil:
		why = &TooLong{wait, status(res)}
	default:
		return wait, why
	}
	if c.NotRepeated != nil {
		c.NotRepeated(why)
	}
	return 0, nil
}

// transient returns how long to wait and why the request failed, if that may be
// different soon.
func (c *Client) transient(res *http.Response, err error, attempt int) (time.Duration, error) {
	if Broken(err) {
		return Backoff(attempt), c.scrub(err)
	}
	if err != nil || res == nil {
		return 0, nil
	}
	wait, said := c.askedToWait(res)
	switch {
	case transientStatus(res.StatusCode), slices.Contains(c.RetryStatus, res.StatusCode):
	case res.StatusCode == http.StatusForbidden && said:
		// A rate limit, as sent by code hosting services.
	default:
		return 0, nil
	}
	if !said {
		wait = Backoff(attempt)
	}
	return wait, fmt.Errorf("the API answered %s", status(res))
}

func transientStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func status(res *http.Response) string {
	return fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// Broken reports whether an error means that the response was incomplete, so that
// a retry may succeed.
func Broken(err error) bool {
	d, ok := errors.AsType[*diagnosis.Diagnosis](err)
	return ok && (d.ID == diagnosis.Unreachable || d.ID == diagnosis.Timeout || d.ID == diagnosis.ResponseBroken)
}

// Repeatable reports whether a method may be sent twice with the same effect
// (RFC 9110, section 9.2.2).
func Repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// Backoff returns how long to wait before a request is sent again after so many
// retries, if the response does not say so. The time doubles with each, up to one
// minute. Half of it is random, so that clients do not retry at the same time.
func Backoff(attempt int) time.Duration {
	d := longestWait
	if attempt < 7 {
		d = min(firstWait<<attempt, longestWait)
	}
	return d/2 + rand.N(d/2)
}

// askedToWait returns how long to wait, according to Retry-After (RFC 9110,
// section 10.2.3) or the headers of an exhausted rate limit.
func (c *Client) askedToWait(res *http.Response) (time.Duration, bool) {
	now := c.now()
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		now = date // both times from the same clock
	}
	if wait, ok := retryAfter(res.Header.Get("Retry-After"), now); ok {
		return wait, true
	}
	return rateLimit(res.Header, now)
}

// retryAfter reads seconds or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		return inSeconds(value), true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(date.Sub(now), 0), true
}

// inSeconds reads digits, however many.
func inSeconds(digits string) time.Duration {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// rateLimit returns when an exhausted limit is reset, according to RateLimit
// (draft-ietf-httpapi-ratelimit-headers), RateLimit-Reset or X-RateLimit-Reset.
// The last one is a Unix time or a number of seconds.
func rateLimit(h http.Header, now time.Time) (time.Duration, bool) {
	for item := range strings.SplitSeq(h.Get("RateLimit"), ",") {
		if remaining, reset := parameter(item, "r"), parameter(item, "t"); remaining == "0" && digits(reset) {
			return inSeconds(reset), true
		}
	}
	for _, prefix := range []string{"RateLimit-", "X-RateLimit-", "X-Rate-Limit-"} {
		reset := h.Get(prefix + "Reset")
		if h.Get(prefix+"Remaining") != "0" || !digits(reset) {
			continue
		}
		wait := inSeconds(reset)
		const year = 365 * 24 * time.Hour
		if wait > year {
			n, err := strconv.ParseInt(reset, 10, 64)
			if err != nil {
				continue
			}
			wait = max(time.Unix(n, 0).Sub(now), 0)
		}
		return wait, true
	}
	return 0, false
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// parameter returns a parameter of a structured field's item (RFC 9651).
func parameter(item, name string) string {
	for part := range strings.SplitSeq(item, ";") {
		if key, value, found := strings.Cut(strings.TrimSpace(part), "="); found && key == name {
			return value
		}
	}
	return ""
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Pause waits before a request is sent again, and calls Retrying. [Client.Do] does
// so automatically: Pause is for a response that breaks off while its body is read. The
// error is that of the context.
func (c *Client) Pause(ctx context.Context, d time.Duration, why error) error {
	if c.Retrying != nil {
		c.Retrying(d, why)
	}
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	if err := safehttp.Pause(ctx, d); err != nil {
		return fmt.Errorf("apicall: %w", err)
	}
	return nil
}
