package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// verb is a row of the table of commands. Flags are costly to make, so only the
// command that was chosen is made in full; the others show name and sentence.
type verb struct {
	name  string
	group string
	short string
	make  func(*Env) *cobra.Command
	// waits is false for a command that contacts nobody: it is over before anybody
	// could interrupt it, and needs no ear for signals.
	waits bool
}

// The groups in which help shows the commands, by what a developer does.
const (
	groupGet    = "get"
	groupJudge  = "judge"
	groupUse    = "use"
	groupSecure = "secure"
	groupMore   = "more"
)

// verbs returns the table of commands. A new command is one row here.
func verbs() []verb {
	return []verb{
		{"login", groupGet, "Log in: authorization code with PKCE in the browser", newLogin, true},
		{"logout", groupGet, "Revoke the session's tokens and forget them", newLogout, true},
		{"token", groupGet, "Print an access token that is good for a while", newToken, true},
		{"exchange", groupGet, "Exchange a token for another, or an assertion for a token", newExchange, true},
		{"status", groupGet, "Show who is logged in, with what, and for how long", newStatus, true},
		{"profile", groupGet, "List, show and change profiles", newProfile, false},
		{"userinfo", groupGet, "Print what the server says about the user", newUserinfo, true},
		{"introspect", groupJudge, "Ask the server whether a token is active", newIntrospect, true},
		{"revoke", groupGet, "Revoke a token at the server", newRevoke, true},
		{"discover", groupGet, "Show a server's or an API's metadata, each check told", newDiscover, true},

		{"doctor", groupMore, "Find out why a login or a call does not work", newDoctor, true},

		{"decode", groupJudge, "Show what a token holds, verifying nothing", newDecode, false},
		{"verify", groupJudge, "Verify a token: signature, issuer, audience, times", newVerify, true},
		{"check", groupJudge, "Verify a token, then the scopes and claims it needs", newCheck, true},
		{"jwks", groupJudge, "Look into key sets, make and convert keys", newJWKS, true},
		{"explain", groupJudge, "Explain a diagnosis by its id", newExplain, false},

		{"proxy", groupUse, "Lend the token to programs on this machine", newProxy, true},
		{"exec", groupUse, "Run a command with the token in its environment", newExec, true},
		{"call", groupUse, "Call a protected API with the token attached", newCall, true},

		{"dev", groupSecure, "Run a development authorization server and a protected API", newDev, true},
		{"demo", groupSecure, "Watch the whole flow, seven steps and four refusals", newDemo, true},
		{"audit", groupSecure, "Prove which tokens an API accepts and which it refuses", newAudit, true},
		{"guard", groupSecure, "Protect any API with a reverse proxy and a policy", newGuard, true},
		{"sign", groupSecure, "Mint a token for tests", newSign, false},

		{"completion", groupMore, "Print the completion script for a shell", newCompletion, false},
		{"version", groupMore, "Print the version", newVersion, false},
	}
}

const longRoot = `oauthctl gets, judges and uses OAuth 2.0 and JWT access tokens, and secures APIs
with them.

Try it without any set-up: oauthctl demo`

// newRoot makes the command tree for args: every verb by name, the chosen one
// with its flags. With nil args every verb is made in full.
func newRoot(env *Env, args []string) *cobra.Command {
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
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
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
	env.global.addFlags(root.PersistentFlags())
	makeStrict(root)
	root.AddGroup(
		&cobra.Group{ID: groupGet, Title: "Get a token:"},
		&cobra.Group{ID: groupJudge, Title: "Judge a token:"},
		&cobra.Group{ID: groupUse, Title: "Use a token:"},
		&cobra.Group{ID: groupSecure, Title: "Secure an API:"},
		&cobra.Group{ID: groupMore, Title: "More:"},
	)
	root.SetHelpCommandGroupID(groupMore)
	addVerbs(root, env, args)
	addTopics(root)
	return root
}

func addVerbs(root *cobra.Command, env *Env, args []string) {
	all := args == nil
	completing := len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	if completing {
		_ = root.RegisterFlagCompletionFunc("profile", completeProfiles(env))
	}
	if completing || len(args) > 0 && args[0] == "help" {
		args = args[1:]
	}
	table := verbs()
	stubs := make([]*cobra.Command, len(table))
	for i, v := range table {
		if all {
			root.AddCommand(v.complete(env))
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
			made := table[i].complete(env)
			root.AddCommand(made)
			if completing {
				completeValues(env, made)
			}
		}
	}
}

func (v verb) complete(env *Env) *cobra.Command {
	cmd := v.make(env)
	makeStrict(cmd)
	cmd.Short, cmd.GroupID = v.short, v.group
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if v.waits {
			env.listenForSignals(cmd, args)
		}
		return env.compileFilter()
	}
	return cmd
}

func unknownCommand(root *cobra.Command, name string) error {
	hint := "run `oauthctl --help` to see the commands"
	if isMethod(name) {
		return &usageError{what: fmt.Sprintf("unknown command %q", name), hint: "oauthctl call " + strings.ToUpper(name) + " PATH"}
	}
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean `oauthctl " + near[0] + "`?"
	}
	return &usageError{what: "unknown command " + shownArg(name), hint: hint}
}

// noArgs and upTo are cobra's argument checks with our words and exit code.
func noArgs(cmd *cobra.Command, args []string) error { return upTo(0)(cmd, args) }

func upTo(most int) cobra.PositionalArgs { return between(0, most) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > most:
			hint := "usage: " + cmd.UseLine()
			if strings.EqualFold(args[0], "bearer") || tokenText().MatchString(args[most]) && len(args) > 1 {
				hint = "a token is one argument: leave out the word before it, or quote it"
			}
			return &usageError{what: "unexpected argument " + shownArg(args[most]), hint: hint}
		case len(args) < least:
			return &usageError{what: "an argument is missing", hint: "usage: " + cmd.UseLine()}
		}
		return nil
	}
}
