package cmd

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// verb is a row of the table of commands. Flags are costly to make, so only the
// command that was chosen is made in full; the others show name and sentence.
type verb struct {
	name   string
	group  string
	common bool // shown with its sentence in the root help
	short  string
	make   func(*Env) *cobra.Command
	// waits is false for a command that contacts no server: it ends before a signal
	// could interrupt it, so it needs no signal handler.
	waits bool
	// failed is what --json prints if the command fails, and to which stream.
	failed func(*Env, failure) (io.Writer, any)
}

// The groups in which help shows the commands, by what a developer does.
const (
	groupGet    = "get"
	groupVerify = "verify"
	groupUse    = "use"
	groupSecure = "secure"
	groupFind   = "find"
	groupMore   = "more"
)

type commandGroup struct{ id, title string }

// commandGroups lists the groups in the order of use.
func commandGroups() []commandGroup {
	return []commandGroup{
		{groupGet, "Get a token"},
		{groupVerify, "Verify a token"},
		{groupUse, "Use a token"},
		{groupSecure, "Protect an API"},
		{groupFind, "Find problems"},
		{groupMore, "More"},
	}
}

// verbOf returns the row of the table for a command or for what is above it.
func verbOf(cmd *cobra.Command) (verb, bool) {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	table := verbs()
	i := slices.IndexFunc(table, func(v verb) bool { return v.name == cmd.Name() })
	if i < 0 {
		return verb{}, false
	}
	return table[i], true
}

// verbs returns the table of commands, in the order of use. A new command is one
// row here.
func verbs() []verb {
	return []verb{
		{"login", groupGet, true, "Log in with a browser, a code or client credentials", newLogin, true, failedToStdout},
		{"status", groupGet, true, "Show who is logged in, with what, and for how long", newStatus, true, failedToStdout},
		{"token", groupGet, true, "Print a valid access token, refreshing it if needed", newToken, true, failedToStderr},
		{"logout", groupGet, false, "Revoke the session's tokens and delete them here", newLogout, true, failedToStdout},
		{"profile", groupGet, false, "List, show and change profiles", newProfile, false, failedToStdout},
		{"discover", groupGet, false, "Show the metadata of a server or API and how it was checked", newDiscover, true, failedToStdout},
		{"userinfo", groupGet, false, "Print what the server says about the user", newUserinfo, true, failedToStdout},
		{"exchange", groupGet, false, "Exchange a token for another, or an assertion for a token", newExchange, true, failedToStdout},
		{"revoke", groupGet, false, "Revoke a token at the server", newRevoke, true, failedToStdout},

		{"decode", groupVerify, true, "Show the contents of a token without verifying it", newDecode, false, failedToStdout},
		{"verify", groupVerify, true, "Verify a token: signature, issuer, audience, times", newVerify, true, failedReport},
		{"check", groupVerify, false, "Verify a token, and the scopes and claims that are needed", newCheck, true, failedReport},
		{"introspect", groupVerify, false, "Ask the server whether a token is active", newIntrospect, true, failedIntrospection},
		{"jwks", groupVerify, false, "Show key sets; generate and convert keys", newJWKS, true, failedToStdout},

		{"call", groupUse, true, "Call a protected API with the token attached", newCall, true, failedToStderr},
		{"exec", groupUse, false, "Run a command with the token in its environment", newExec, true, failedToStderr},
		{"proxy", groupUse, false, "Run a local proxy that adds the token to requests", newProxy, true, failedToStdout},

		{"dev", groupSecure, true, "Run a development authorization server and an API", newDev, true, failedToStdout},
		{"guard", groupSecure, true, "Protect any API with a reverse proxy and a policy", newGuard, true, failedToStdout},
		{"audit", groupSecure, true, "Test which tokens an API accepts and which it refuses", newAudit, true, failedToStdout},
		{"sign", groupSecure, false, "Create a signed token for testing", newSign, false, failedToStdout},
		{"demo", groupSecure, false, "Walk through the whole flow: a login, a call, and four refusals", newDemo, true, failedToStdout},

		{"doctor", groupFind, true, "Find out why a login or a call does not work", newDoctor, true, failedToStdout},
		{"explain", groupFind, true, "Explain an error by its id", newExplain, false, failedToStdout},

		{"completion", groupMore, false, "Print the completion script for a shell", newCompletion, false, failedToStdout},
		{"version", groupMore, false, "Print the version", newVersion, false, failedToStdout},
		{"help", groupMore, false, "Show the help of a command or about a topic", newHelp, false, failedToStdout},
	}
}

const longRoot = `oauthctl gets, verifies and uses OAuth 2.0 and JWT access tokens, and protects
APIs. Try it without any setup: oauthctl demo`

// newRoot makes the command tree for args: every verb by name, the chosen one
// with its flags. With nil args every verb is made in full.
func newRoot(env *Env, args []string) *cobra.Command {
	keepOrder()
	var printVersion bool
	root := &cobra.Command{
		Use:               "oauthctl",
		Short:             "The developer toolkit for OAuth 2.0 and JWT access tokens",
		Long:              longRoot,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return unknownCommand(env, args[0])
			case printVersion:
				return runVersion(env)
			}
			return cmd.Help()
		},
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The flags after the one that is wrong were not read.
		env.global.json = env.global.json || slices.Contains(args, "--json")
		if wrong := strictError(err); wrong != nil {
			return wrong
		}
		return flagError(cmd, err)
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { env.showHelp(cmd) })
	root.Flags().BoolVarP(&printVersion, "version", "V", false, "print the version")
	env.global.addFlags(root.PersistentFlags())
	if !isCompletion(args) {
		makeStrict(root)
	}
	keepFlagOrder(root)
	for _, g := range commandGroups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title + ":"})
	}
	addVerbs(root, env, args)
	return root
}

// isCompletion reports whether args are what a shell asks for the next word. Flags
// are not strict then: cobra reads them twice.
func isCompletion(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
}

func addVerbs(root *cobra.Command, env *Env, args []string) {
	all, completing := args == nil, isCompletion(args)
	table := verbs()
	if i := named(table, args); i >= 0 && table[i].name != "help" {
		root.AddCommand(table[i].complete(env, true)) // no other verb is looked at
		return
	}
	if completing {
		_ = root.RegisterFlagCompletionFunc("profile", completeProfiles(env))
		root.PersistentFlags().VisitAll(func(f *pflag.Flag) { f.Usage = flagText(f) })
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "help" {
		args = args[1:]
	}
	stubs := make([]*cobra.Command, len(table))
	for i, v := range table {
		if all || v.name == "help" {
			made := v.complete(env, true)
			root.AddCommand(made)
			if completing {
				root.SetHelpCommand(made) // otherwise cobra offers its own too
			}
			continue
		}
		stubs[i] = &cobra.Command{Use: v.name, Short: v.short, GroupID: v.group, Run: func(*cobra.Command, []string) {}}
		root.AddCommand(stubs[i])
	}
	if all {
		return
	}
	chosen, _, err := root.Find(args)
	if err != nil {
		return
	}
	for i, stub := range stubs {
		if stub == chosen {
			root.RemoveCommand(stub)
			made := table[i].complete(env, !completing)
			root.AddCommand(made)
			if completing {
				completeValues(env, made)
			}
		}
	}
}

// named returns the index of the verb that the first argument names, or -1.
func named(table []verb, args []string) int {
	if len(args) == 0 {
		return -1
	}
	return slices.IndexFunc(table, func(v verb) bool { return v.name == args[0] })
}

// complete makes the command, with strict flags where it is to run.
func (v verb) complete(env *Env, strict bool) *cobra.Command {
	cmd := v.make(env)
	if strict {
		makeStrict(cmd)
	}
	keepFlagOrder(cmd)
	cmd.Short, cmd.GroupID = v.short, v.group
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if v.waits {
			env.listenForSignals(cmd, args)
		}
		return env.compileFilter()
	}
	return cmd
}

// noArgs and upTo are argument checks with this program's messages and exit code.
func noArgs(cmd *cobra.Command, args []string) error { return upTo(0)(cmd, args) }

func upTo(most int) cobra.PositionalArgs { return between(0, most) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > most && cmd.HasSubCommands():
			return unknownSubcommand(cmd, args[0])
		case len(args) > most:
			hint := "usage: " + cmd.UseLine()
			if strings.EqualFold(args[0], "bearer") || tokenText().MatchString(args[most]) && len(args) > 1 {
				hint = "a token is one argument: leave out the word before it, or quote it"
			}
			return &usageError{what: "unexpected argument " + shownArg(args[most]), hint: hint}
		case len(args) < least:
			return &usageError{what: "missing argument " + argumentName(cmd, len(args)), hint: "usage: " + cmd.UseLine()}
		}
		return nil
	}
}

// argumentName returns the name of argument number n in the usage of a command.
func argumentName(cmd *cobra.Command, n int) string {
	words := slices.DeleteFunc(strings.Fields(cmd.Use)[1:], func(word string) bool { return word == "[flags]" || word == "--" })
	if n >= len(words) {
		return ""
	}
	return strings.Trim(words[n], "[].")
}

// isParent reports whether a command only has others below it.
func isParent(cmd *cobra.Command) bool { return cmd.Annotations[onlyParent] != "" }

// onlyParent marks a command that does nothing but list those below it.
const onlyParent = "only a parent"
