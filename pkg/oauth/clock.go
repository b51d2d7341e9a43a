package oauth

import (
	"errors"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// ServerClock compares the clock of a server with this machine's, by the Date of
// a response. The zero value is unknown.
type ServerClock struct {
	Known bool
	Ahead time.Duration // of this machine's clock; negative if it is behind
}

// Differs reports whether the clocks differ by more than the delay of a
// response explains.
func (s ServerClock) Differs() bool { return s.Known && s.Ahead.Abs() > safehttp.ClockTolerance }

// String describes the difference of the clocks, or returns "" if it is not
// known.
func (s ServerClock) String() string {
	switch {
	case !s.Known:
		return ""
	case !s.Differs():
		return "the server's clock agrees with this machine's"
	case s.Ahead < 0:
		return "the server's clock is " + diagnosis.Duration(-s.Ahead.Round(time.Second)) + " behind this machine's"
	}
	return "the server's clock is " + diagnosis.Duration(s.Ahead.Round(time.Second)) + " ahead of this machine's"
}

// ClockError is wrapped by ID_TOKEN_INVALID if a check of times failed, with the
// server's clock if it is known.
type ClockError struct {
	Clock ServerClock
	Err   error // of the check
}

// Error adds the comparison of the clocks to the failed check.
func (e *ClockError) Error() string {
	if !e.Clock.Known {
		return e.Err.Error()
	}
	return e.Err.Error() + "; " + e.Clock.String()
}

// Unwrap returns the failed check.
func (e *ClockError) Unwrap() error { return e.Err }

// aboutTime reports whether err is a Diagnosis of a check of times, or has one
// underneath.
func aboutTime(err error) bool {
	for err != nil {
		var d *diagnosis.Diagnosis
		if !errors.As(err, &d) {
			return false
		}
		switch d.ID {
		case diagnosis.Expired, diagnosis.NotYetValid, diagnosis.IatInFuture, diagnosis.ClockSkew:
			return true
		}
		err = d.Err
	}
	return false
}

// withClock adds the server's clock to the error of an ID token whose times are
// wrong.
func withClock(err error, clock ServerClock) error {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) || d.ID != diagnosis.IDTokenInvalid || !aboutTime(d.Err) {
		return err
	}
	known := *d
	known.Err = &ClockError{Clock: clock, Err: d.Err}
	return &known
}
