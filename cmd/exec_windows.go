package cmd

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// replace runs a command and ends with its exit code; a console's Ctrl-C reaches
// it automatically.
func (env *Env) replace(path string, argv, environ []string) error {
	signal.Ignore(os.Interrupt)
	child := exec.Command(path, argv[1:]...)
	child.Env = environ
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := child.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ended):
		os.Exit(ended.ExitCode())
	}
	return err
}
