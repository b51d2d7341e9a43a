package cmd

import (
	"bytes"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// HelpExamples returns the examples of every command, by the command's path.
func HelpExamples() map[string]string {
	examples := map[string]string{}
	everyCommand(testRoot(), func(cmd *cobra.Command) { examples[cmd.CommandPath()] = cmd.Example })
	return examples
}

// testRoot returns the tree of all commands, complete with their flags.
func testRoot() *cobra.Command {
	env := &Env{
		Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer), Stdin: strings.NewReader(""),
		Getenv: func(string) string { return "" }, Now: time.Now, IsTerminal: func(any) bool { return false },
	}
	return newRoot(env, nil)
}

// everyCommand calls f with the commands below cmd.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, below := range cmd.Commands() {
		f(below)
		everyCommand(below, f)
	}
}
