package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// maxTokenInput bounds what is read as a token. It lies above the token limit,
// so that a token too large is reported as such.
const maxTokenInput = 11 << 20

const longTokenArg = `TOKEN is - for standard input, @FILE, or the token itself (visible to other
users in the process list). If omitted, the profile's access token is used.`

// takeStdin returns standard input for what was given as -. It is an error for
// the second of them, which would find nothing.
func (env *Env) takeStdin() (io.Reader, error) {
	if env.stdinTaken {
		return nil, usage("standard input holds one value: only one argument or flag may be -")
	}
	env.stdinTaken = true
	return env.Stdin, nil
}

// tokenArg reads a token argument: "-" is stdin, "@FILE" a file, anything else
// the token itself.
func (env *Env) tokenArg(arg string) (secret.String, error) { return env.tokenFrom(arg, readFile) }

// tokenFrom is tokenArg with what reads a file.
func (env *Env) tokenFrom(arg string, read func(path string, limit int64) ([]byte, error)) (secret.String, error) {
	var data []byte
	switch {
	case arg == "-":
		stdin, err := env.takeStdin()
		if err != nil {
			return secret.String{}, err
		}
		if env.IsTerminal(env.Stdin) {
			env.say("Paste a token, then press Enter and Ctrl-D.")
		}
		if data, err = io.ReadAll(io.LimitReader(stdin, maxTokenInput)); err != nil {
			return secret.String{}, fmt.Errorf("reading the token from standard input: %w", err)
		}
	case strings.HasPrefix(arg, "@"):
		var err error
		if data, err = read(arg[1:], maxTokenInput); err != nil {
			if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
				return secret.String{}, d
			}
			return secret.String{}, usage("the token: %w", err)
		}
	default:
		if _, err := os.Stat(arg); err == nil && len(arg) < 256 {
			return secret.String{}, &usageError{what: fmt.Sprintf("the token %s is the name of a file", diagnosis.Quote(arg)), hint: "@" + shellQuote(arg) + " reads the token from it"}
		}
		data = []byte(arg)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return secret.String{}, &diagnosis.Diagnosis{ID: diagnosis.TokenMissing}
	}
	return secret.New(text), nil
}

// withReport is withToken for the commands that report on a token: that it is
// empty is a check that failed, and not the failure of the command.
func (env *Env) withReport(run func(context.Context, *Env, secret.String) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		raw, err := reportable(env.tokenOrSession(args))
		if err != nil {
			return err
		}
		return run(cmd.Context(), env, raw)
	}
}

func reportable(raw secret.String, err error) (secret.String, error) {
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.TokenMissing}) {
		return secret.String{}, nil
	}
	return raw, err
}

// withToken makes of run what cobra calls: run is given the token of the argument
// or, without one, the profile's.
func (env *Env) withToken(run func(context.Context, *Env, secret.String) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		raw, err := env.tokenOrSession(args)
		if err != nil {
			return err
		}
		return run(cmd.Context(), env, raw)
	}
}

// readInput reads at most limit bytes of a file, or of standard input for "-".
func (env *Env) readInput(path string, limit int64) ([]byte, error) {
	if path != "-" {
		return readFile(path, limit)
	}
	stdin, err := env.takeStdin()
	if err != nil {
		return nil, err
	}
	return readAtMost(stdin, "standard input", limit)
}

// readFile reads at most limit bytes of a file.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, path, limit)
}

// readAtMost refuses what is longer than limit bytes, rather than use a part of it.
func readAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}
