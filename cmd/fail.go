package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// usageError is a fault of the command line or the configuration.
type usageError struct {
	what     string
	hint     string
	commands []string // the commands in the hint
	err      error
}

func (e *usageError) Error() string { return e.what }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &usageError{what: err.Error(), err: errors.Unwrap(err)}
}

// usageOf returns a usage error whose hint is a command.
func usageOf(what, command string) *usageError {
	return &usageError{what: what, hint: command, commands: []string{command}}
}

// printedError wraps an error that was already printed. It only sets the exit
// code.
type printedError struct{ error }

func (e printedError) Unwrap() error { return e.error }

// hinted is an error with its own hint, instead of the one for its id.
type hinted struct {
	error
	hint     string
	commands []string // the commands in the hint
}

func (e hinted) Unwrap() error { return e.error }

// withHint adds a hint, and the commands in it, to an error. An empty hint adds
// nothing.
func withHint(err error, hint string, commands ...string) error {
	if hint == "" {
		return err
	}
	return hinted{err, hint, commands}
}

// failure is an error as the screen and the JSON output show it.
type failure struct {
	ID        diagnosis.ID     `json:"id,omitempty"`
	Message   string           `json:"message"`
	Expected  diagnosis.Values `json:"expected,omitzero"`
	Got       diagnosis.Values `json:"got,omitzero"`
	Hint      string           `json:"hint,omitempty"`
	Retryable bool             `json:"retryable"`
	ExitCode  int              `json:"exit_code"`
	commands  []string         // the commands in the hint
}

// fail prints err and returns the exit code.
func (env *Env) fail(cmd *cobra.Command, err error) int {
	env.failed = cmd
	f := env.classify(err)
	env.withoutSecrets(&f)
	if own := (exitError{}); errors.As(err, &own) {
		f.ExitCode = own.code
	}
	var already printedError
	if errors.As(err, &already) {
		return f.ExitCode
	}
	// --jq without --json filters the data, not the error.
	if env.global.json {
		out, shown := env.failedAs(cmd, f)
		if env.writeJSON(out, shown) == nil {
			return f.ExitCode
		}
	}
	env.showFailure(f)
	return f.ExitCode
}

// failedAs returns the writer and the object that --json uses if cmd fails.
func (env *Env) failedAs(cmd *cobra.Command, f failure) (io.Writer, any) {
	if cmd != nil {
		if v, ok := verbOf(cmd); ok {
			return v.failed(env, f)
		}
	}
	return failedToStdout(env, f)
}

// failedToStdout is for commands that print an object: the error takes its place.
func failedToStdout(env *Env, f failure) (io.Writer, any) {
	return env.Stdout, map[string]failure{"error": f}
}

// failedToStderr is for commands whose stdout contains only data, even if they
// fail: a token, an API's response or another program's output.
func failedToStderr(env *Env, f failure) (io.Writer, any) {
	_, shown := failedToStdout(env, f)
	return env.Stderr, shown
}

func (env *Env) showFailure(f failure) {
	s := env.stderr()
	if out, ok := env.Stdout.(*dataWriter); ok && out.midLine() && env.IsTerminal(env.Stdout) && env.IsTerminal(env.Stderr) {
		s.line("") // the data ended without a line break
	}
	width := env.columns(env.Stderr)
	s.line("%s %s", s.bad("oauthctl:"), message(clean(f.Message), "oauthctl: ", width))
	if f.Hint != "" {
		s.line("%s hint: %s", s.bad("oauthctl:"), message(clean(f.Hint), "oauthctl: hint: ", width, f.commands...))
	}
	if see := env.seeAlso(f); see != "" {
		s.line("%s see: %s", s.bad("oauthctl:"), see)
	}
}

// message wraps a text that follows a prefix at width columns, because a terminal
// would break it inside a word. If width is 0, the text is not changed.
func message(text, prefix string, width int, commands ...string) string {
	if width <= len(prefix) || len(prefix)+utf8.RuneCountInString(text) <= width {
		return text
	}
	return layout{width: width, first: len(prefix), indent: 2, whole: commands}.set(text)
}

// seeAlso returns the command that says more about a failure: doctor if it can
// find the cause at the URL of this run, otherwise explain.
func (env *Env) seeAlso(f failure) string {
	switch {
	case f.ID == "":
		return ""
	case env.about != "" && doctor.Finds(f.ID):
		args := []string{"doctor", clean(safehttp.RedactURL(env.about))}
		if f.ID == diagnosis.TokenEndpointShape {
			args = append(args, "--deep")
		}
		return env.command(args...) + " # " + string(f.ID) // a comment for the shell
	}
	return "oauthctl explain " + string(f.ID)
}

// withoutSecrets removes the credentials of this run's requests from a failure,
// because a server may have repeated them.
func (env *Env) withoutSecrets(f *failure) {
	f.Message, f.Hint = env.scrub(f.Message), env.scrub(f.Hint)
	f.Expected, f.Got = env.scrubbed(f.Expected), env.scrubbed(f.Got)
}

// scrub removes the credentials of this run's requests, and everything that looks
// like a credential.
func (env *Env) scrub(text string) string { return maskTokens(env.secrets.Scrub(text)) }

// scrubbed applies scrub to each value.
func (env *Env) scrubbed(values diagnosis.Values) diagnosis.Values {
	values = slices.Clone(values)
	for i := range values {
		values[i] = env.scrub(values[i])
	}
	return values
}

// classify returns the kind of failure of err.
func (env *Env) classify(err error) failure {
	f := env.kindOf(err)
	f.Message = plainMessage(f.Message)
	return f
}

func (env *Env) kindOf(err error) failure {
	var (
		d       *diagnosis.Diagnosis
		wrong   *usageError
		refresh *account.RefreshError
		own     hinted
	)
	errors.As(err, &own)
	by, isInterrupted := env.interruption(err)
	switch {
	case by.signal == syscall.SIGTERM:
		return failure{Message: "terminated", ExitCode: exitTerminated}
	case isInterrupted, errors.Is(err, context.Canceled):
		return failure{Message: "interrupted", ExitCode: exitInterrupted}
	case errors.As(err, &wrong):
		f := failure{Message: wrong.what, Hint: wrong.hint, commands: wrong.commands, ExitCode: exitUsage}
		if errors.As(wrong.err, &d) {
			f.ID, f.Expected, f.Got = d.ID, d.Expected, d.Got
		}
		return f
	case errors.As(err, &d) && d.ID == diagnosis.LoginRequired && env.missingVariable() != "":
		name, login := env.missingVariable(), env.command("login")
		return failure{
			ID: d.ID, Message: "not logged in, and the variable " + name + " is not set or empty", Got: d.Got,
			Hint: "set " + name + ", or " + login, commands: []string{login}, ExitCode: exitUsage,
		}
	case errors.As(err, &d):
		message := d.Error()
		if errors.As(err, &refresh) {
			message = "the access token expired " + ago(refresh.ExpiredAt, env.Now()) + ", and refreshing it failed: " + message
		}
		hint, commands := own.hint, own.commands
		if hint == "" {
			hint, commands = env.hintFor(d)
		}
		return failure{
			ID: d.ID, Message: message, Expected: d.Expected, Got: d.Got, Hint: hint, commands: commands,
			Retryable: d.Kind().Retryable() || mayRetry(err), ExitCode: exitCodeOf(d.Kind()),
		}
	}
	return failure{Message: err.Error(), ExitCode: exitUnexpected}
}
