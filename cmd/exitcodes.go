package cmd

import "github.com/oauthctl/oauthctl/pkg/diagnosis"

// Exit codes. Scripts rely on them; `help exit-codes` and docs/exit-codes.md
// are generated from the table below.
const (
	exitDone        = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitRejected    = 3
	exitDenied      = 4
	exitLogin       = 5
	exitUnavailable = 6
	exitUnsafe      = 7
	exitStore       = 8
	exitAPI         = 9
	exitInterrupted = 130
	exitTerminated  = 143
)

type exitCode struct {
	code    int
	means   string // the meaning in a few words
	details string // shown in parentheses, or ""
	advice  string
}

// text returns what the code means, with its details.
func (e exitCode) text() string {
	if e.details == "" {
		return e.means
	}
	return e.means + " (" + e.details + ")"
}

// exitCodeOf returns the exit code of a command that fails with a diagnosis of
// this kind.
func exitCodeOf(kind diagnosis.Kind) int {
	switch kind {
	case diagnosis.Advice:
		return exitDone
	case diagnosis.Usage:
		return exitUsage
	case diagnosis.Rejected:
		return exitRejected
	case diagnosis.Denied:
		return exitDenied
	case diagnosis.LoginNeeded:
		return exitLogin
	case diagnosis.Unavailable:
		return exitUnavailable
	case diagnosis.Unsafe:
		return exitUnsafe
	case diagnosis.Store:
		return exitStore
	case diagnosis.API:
		return exitAPI
	}
	return exitUnexpected
}

func exitCodes() []exitCode {
	return []exitCode{
		{exitDone, "done; valid; allowed", "", "continue"},
		{exitUnexpected, "unexpected failure", "also: --jq failed on the data; standard output could not be written", "read the message, report a bug"},
		{exitUsage, "the command or its configuration is wrong", "", "fix the command"},
		{exitRejected, "the token is not valid, or the API answered 401", "for example: expired, revoked, of another issuer, for another API", "get another token"},
		{exitDenied, "the token is valid but does not allow this, or the API answered 403", "for example: a scope or a claim is missing", "request the missing scope"},
		{exitLogin, "login required, denied, or timed out", "", "run `oauthctl login`"},
		{exitUnavailable, "could not be checked now", "unreachable, timed out, 429, 5xx from the authorization server or the key endpoint", "retry later"},
		{exitUnsafe, "a server's response failed a security check", "issuer, state, iss, nonce, ID token, token response", "stop, and check the server"},
		{exitStore, "the token store failed", "locked, unwritable, unreadable", "fix the store"},
		{exitAPI, "the API answered with another error, or with a redirect that is not followed", "its body is still printed", "read the body"},
		{exitNotExecutable, "exec: the command cannot be run", "", "fix its permissions"},
		{exitNotFound, "exec: the command does not exist", "", "fix its name"},
		{exitInterrupted, "interrupted (SIGINT)", "", ""},
		{exitTerminated, "terminated (SIGTERM)", "", ""},
	}
}
