// Package diagnosis is the catalogue of what can be wrong: each fault has a
// stable id, one fixed sentence, its meaning and what to change.
//
// A package that refuses something returns a [Diagnosis], an error that carries
// the id with what was expected and what was found. Commands, the middleware
// and the documentation all read the same entry with [Lookup]; a new fault is
// one row of the table in catalogue.go. The package knows nothing of tokens or
// HTTP.
package diagnosis

import (
	"log/slog"
	"strings"
)

// ID names a fault. It never changes once published, so scripts may compare it.
type ID string

// Kind says who can mend a fault and so how a command ends.
type Kind int

// The kinds, in the order of their exit codes.
const (
	Advice      Kind = 0 // worth knowing, no failure
	Unexpected  Kind = 1 // nobody foresaw it: a bug
	Usage       Kind = 2 // the command or its configuration
	Rejected    Kind = 3 // the token was read and is not good; HTTP 401
	Denied      Kind = 4 // the token is good but does not allow this; HTTP 403
	LoginNeeded Kind = 5 // somebody has to log in
	Unavailable Kind = 6 // could not be checked now; HTTP 503
	Unsafe      Kind = 7 // a server's answer broke a check
	Store       Kind = 8 // the token store failed
	API         Kind = 9 // the API answered with another error
)

// ExitCode returns the exit code of a command that ends with this kind.
func (k Kind) ExitCode() int { return int(k) }

// Retryable reports whether the same command may succeed later unchanged.
func (k Kind) Retryable() bool { return k == Unavailable }

// Entry is what the catalogue says of one fault.
type Entry struct {
	ID      ID
	Kind    Kind
	Summary string // one sentence in lower case without a value, fit for a header field
	Meaning string // what it means and how it comes about
	Fix     string // what to change and who can
}

// Lookup returns the entry of id, and whether there is one.
func Lookup(id ID) (Entry, bool) {
	for _, e := range catalogue {
		if e.ID == id {
			return e, true
		}
	}
	return Entry{}, false
}

// All returns the whole catalogue in the order in which it is documented.
func All() []Entry { return append([]Entry(nil), catalogue...) }

// Diagnosis is one fault found: an error with its id and its evidence. None of
// its fields holds a secret; Expected and Got may hold text from outside, which
// is to be escaped before it reaches a terminal.
type Diagnosis struct {
	ID       ID
	Expected Values // what would have been right: each value is an alternative
	Got      Values // what was there instead
	Err      error  // the error underneath, or nil
	As       Kind   // where the place decides: a wrong slash in metadata is Unsafe, in a token Rejected; 0 = the entry's
}

// Error returns the summary with what was expected and what was found.
func (d *Diagnosis) Error() string {
	var b strings.Builder
	b.WriteString(d.Summary())
	switch {
	case d.Expected != nil && d.Got != nil:
		b.WriteString(": expected " + d.Expected.Or() + ", got " + d.Got.String())
	case d.Expected != nil:
		b.WriteString(": expected " + d.Expected.Or())
	case d.Got != nil:
		b.WriteString(": " + d.Got.String())
	}
	if d.Err != nil {
		b.WriteString(": " + d.Err.Error())
	}
	return b.String()
}

// Unwrap returns the error underneath.
func (d *Diagnosis) Unwrap() error { return d.Err }

// Is reports whether target is a Diagnosis of the same id, so that errors.Is
// works with &Diagnosis{ID: Expired}.
func (d *Diagnosis) Is(target error) bool {
	t, ok := target.(*Diagnosis)
	return ok && t.ID == d.ID && t.Expected == nil && t.Got == nil && t.Err == nil && t.As == 0
}

// LogValue returns the id with the summary, the evidence and the error
// underneath, each only if there is one (log/slog).
func (d Diagnosis) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("id", string(d.ID)), slog.String("summary", d.Summary())}
	if d.Expected != nil {
		attrs = append(attrs, slog.Any("expected", []string(d.Expected)))
	}
	if d.Got != nil {
		attrs = append(attrs, slog.Any("got", []string(d.Got)))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.String("error", d.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Kind returns As if it is set, else the kind of the catalogue's entry,
// [Unexpected] without one.
func (d *Diagnosis) Kind() Kind {
	if d.As != 0 {
		return d.As
	}
	if e, ok := Lookup(d.ID); ok {
		return e.Kind
	}
	return Unexpected
}

// Summary returns the fixed sentence of the catalogue's entry.
func (d *Diagnosis) Summary() string {
	if e, ok := Lookup(d.ID); ok {
		return e.Summary
	}
	return string(d.ID)
}
