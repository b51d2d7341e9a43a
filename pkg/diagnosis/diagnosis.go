// Package diagnosis is the catalogue of faults. Each fault has a stable id, a
// summary, an explanation and a fix.
//
// A package that refuses something returns a [Diagnosis], an error with the id,
// the expected values and the actual ones. Commands, the middleware and the
// documentation read the same entry with [Lookup]. To add a fault, add its id
// to ids.go and a row to one of the tables in the catalogue files. The package
// does not depend on tokens or HTTP.
package diagnosis

import (
	"log/slog"
	"slices"
	"strings"
)

// ID identifies a fault. It never changes once published, so scripts may compare it.
type ID string

// Kind groups faults by who can fix them. It determines the exit code of a
// command and the status of an HTTP response.
type Kind string

// The kinds.
const (
	Advice      Kind = "advice"       // worth knowing, no failure
	Unexpected  Kind = "unexpected"   // a bug
	Usage       Kind = "usage"        // the command or its configuration
	Rejected    Kind = "rejected"     // the token is not valid; HTTP 401
	Denied      Kind = "denied"       // the token is valid but does not allow this; HTTP 403
	LoginNeeded Kind = "login_needed" // the user has to log in
	Unavailable Kind = "unavailable"  // could not be checked now; HTTP 503
	Unsafe      Kind = "unsafe"       // a server's response failed a security check
	Store       Kind = "store"        // the token store failed
	API         Kind = "api"          // the API returned another error
)

// Retryable reports whether the same command may succeed later unchanged.
func (k Kind) Retryable() bool { return k == Unavailable }

// Entry describes one fault.
type Entry struct {
	ID      ID
	Kind    Kind
	Summary string // what failed: one sentence in lower case without values, safe in a header
	Meaning string // why it matters, and the usual cause
	Fix     string // what to do
}

// Lookup returns the entry of id, and whether there is one.
func Lookup(id ID) (Entry, bool) {
	for _, area := range catalogue {
		for _, e := range area {
			if e.ID == id {
				return e, true
			}
		}
	}
	return Entry{}, false
}

// All returns every entry in the order of the documentation.
func All() []Entry { return slices.Concat(catalogue...) }

// Diagnosis is an error with the id of a fault and its details. It contains no
// secret. Expected and Got may contain untrusted text; escape it before it is
// written to a terminal.
type Diagnosis struct {
	ID       ID
	Expected Values // the accepted values
	Got      Values // the actual values
	Err      error  // the underlying error, or nil
	As       Kind   // overrides the kind of the entry unless 0: a wrong slash is Rejected in a token, but Unsafe in metadata
}

// Error returns the summary with the expected and the actual values.
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

// Unwrap returns the underlying error.
func (d *Diagnosis) Unwrap() error { return d.Err }

// Is reports whether target is a Diagnosis with the same id and no other field,
// so that errors.Is works with &Diagnosis{ID: Expired}.
func (d *Diagnosis) Is(target error) bool {
	t, ok := target.(*Diagnosis)
	return ok && t.ID == d.ID && t.Expected == nil && t.Got == nil && t.Err == nil && t.As == ""
}

// LogValue implements [slog.LogValuer]. It returns the id, the summary and the
// details that are set.
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

// Kind returns As if it is set, otherwise the kind of the entry, or [Unexpected]
// for an unknown id.
func (d *Diagnosis) Kind() Kind {
	if d.As != "" {
		return d.As
	}
	if e, ok := Lookup(d.ID); ok {
		return e.Kind
	}
	return Unexpected
}

// Summary returns the summary of the entry, or the id if it is unknown.
func (d *Diagnosis) Summary() string {
	if e, ok := Lookup(d.ID); ok {
		return e.Summary
	}
	return string(d.ID)
}
