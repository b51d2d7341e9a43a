package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/profile"
)

type execOptions struct {
	wantedToken
	variable string
	command  []string
}

func newExec(env *Env) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use: "exec [flags] -- COMMAND [ARG...]",
		Long: `Run a command with the profile's access token in its environment, where other
users cannot read it, unlike arguments. The command replaces oauthctl: it
receives signals, and its exit code is returned.

The command finds the token in OAUTHCTL_TOKEN (or --env NAME), the API's URL in
OAUTHCTL_API, and the time at which the token expires in
OAUTHCTL_TOKEN_EXPIRES_AT. It does not inherit a client secret of oauthctl. The
exit code is 127 if the command does not exist, and 126 if it cannot be run.`,
		Example: `  # Run a script that reads OAUTHCTL_TOKEN
  oauthctl exec -- ./smoke-test.sh

  # Use another variable, and a token that is valid for at least two minutes
  oauthctl exec --env API_TOKEN --min-ttl 2m -- \
    sh -c 'echo "$OAUTHCTL_TOKEN_EXPIRES_AT"'`,
		Args: between(1, 10_000),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.command = args
			return runExec(cmd.Context(), env, o)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&o.variable, "env", variableToken, "`NAME` of the variable")
	f.DurationVar(&o.minTTL, "min-ttl", 0, "refresh the token if it is valid for less than this (default: a fifth of its lifetime, at most 1m)")
	f.BoolVar(&o.refresh, "refresh", false, "always refresh the token")
	return cmd
}

// exitError is a failure with an exit code of its own.
type exitError struct {
	error
	code int
}

// Unwrap returns the failure.
func (e exitError) Unwrap() error { return e.error }

// The exit codes of shells for a command that cannot be run.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func runExec(ctx context.Context, env *Env, o execOptions) error {
	switch {
	case strings.ContainsAny(o.variable, "= \x00"):
		return usage("--env: expected the name of a variable, got %q", o.variable)
	case o.minTTL < 0:
		return usage("--min-ttl: expected a duration such as 60s, got %s", o.minTTL)
	}
	path, err := exec.LookPath(o.command[0])
	if err != nil {
		return cannotRun(o.command[0], err)
	}
	o.bearer = "exec"
	t, err := env.usableToken(ctx, o.wantedToken)
	if err != nil {
		return err
	}
	environ := os.Environ()
	environ = withVariable(environ, profile.API.Variable(), t.api)
	environ = withVariable(environ, "OAUTHCTL_TOKEN_EXPIRES_AT", timestamp(t.expires))
	environ = withVariable(environ, o.variable, t.value.Reveal())
	if err := env.replace(path, o.command, environ); err != nil {
		return cannotRun(o.command[0], err)
	}
	return nil
}

// cannotRun is a command that does not exist or cannot be run.
func cannotRun(command string, err error) error {
	code := exitNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	return exitError{usage("cannot run %s: %w", command, plainPathError(err)), code}
}

// withVariable returns an environment in which a variable has one value, or is
// absent if that is empty.
func withVariable(environ []string, name, value string) []string {
	kept := make([]string, 0, len(environ)+1)
	for _, pair := range environ {
		if !strings.HasPrefix(pair, name+"=") {
			kept = append(kept, pair)
		}
	}
	if value == "" {
		return kept
	}
	return append(kept, name+"="+value)
}
