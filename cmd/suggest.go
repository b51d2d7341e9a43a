package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// otherWord is what people type who know other programs, and what to type here.
type otherWord struct {
	of    string // the command that it follows, "" for every command
	words string // separated by spaces
	hint  string // WORD is the word itself in capitals
}

// otherWords returns the table of other programs' words. A new one is one row
// here. Flags have their dashes.
func otherWords() []otherWord {
	const (
		method    = "METHOD is the first argument: oauthctl call POST PATH"
		insecure  = "--insecure-skip-tls-verify, or better --ca-cert FILE"
		redirects = "GET and HEAD follow redirects without a flag"
		password  = "the token authorizes the request; to send a password use --no-token and Authorization:\"Basic ...\""
	)
	return []otherWord{
		{"oauthctl", "auth authorize signin sign-in authenticate connect", "run `oauthctl login`"},
		{"oauthctl", "signout sign-out logoff disconnect", "run `oauthctl logout`"},
		{"oauthctl", "whoami me user id", "`oauthctl status` shows the session, `oauthctl userinfo` the user"},
		{"oauthctl", "info session show", "run `oauthctl status`"},
		{"oauthctl", "refresh renew", "run `oauthctl token --refresh`"},
		{"oauthctl", "access-token print-token get-token", "run `oauthctl token`"},
		{"oauthctl", "inspect parse dump debug jwt view", "run `oauthctl decode`"},
		{"oauthctl", "validate", "run `oauthctl verify`"},
		{"oauthctl", "test authorize-request can can-i", "`oauthctl check` checks a token for an operation, `oauthctl audit` tests an API"},
		{"oauthctl", "request req http curl fetch api send", "run `oauthctl call GET PATH`"},
		{"oauthctl", "get post put patch delete head options", "run `oauthctl call WORD PATH`"},
		{"oauthctl", "config configure configuration profiles settings context", "run `oauthctl profile`"},
		{"oauthctl", "metadata well-known wellknown openid-configuration", "run `oauthctl discover URL`"},
		{"oauthctl", "keys jwk keyset", "run `oauthctl jwks`"},
		{"oauthctl", "keygen generate genkey", "run `oauthctl jwks generate`"},
		{"oauthctl", "create encode issue make", "run `oauthctl sign`"},
		{"oauthctl", "serve server start mock", "run `oauthctl dev`"},
		{"oauthctl", "protect gateway", "run `oauthctl guard`"},
		{"oauthctl", "run env", "run `oauthctl exec -- COMMAND`"},
		{"oauthctl", "diagnose troubleshoot check-setup", "run `oauthctl doctor`"},
		{"oauthctl", "error errors why", "run `oauthctl explain ID`"},
		{"oauthctl", "usage man commands", "run `oauthctl help`"},

		{"oauthctl profile", "remove rm del unset", "run `oauthctl profile delete NAME`; an empty value removes a setting: oauthctl profile set KEY="},
		{"oauthctl profile", "switch select activate default", "run `oauthctl profile use NAME`"},
		{"oauthctl profile", "ls all", "run `oauthctl profile list`"},
		{"oauthctl profile", "get view current describe", "run `oauthctl profile show`"},
		{"oauthctl profile", "add create new edit", "run `oauthctl login URL -p NAME`, or `oauthctl profile set KEY=VALUE -p NAME`"},
		{"oauthctl jwks", "list get fetch ls view", "run `oauthctl jwks show`"},
		{"oauthctl jwks", "create new keygen gen make", "run `oauthctl jwks generate`"},
		{"oauthctl jwks", "kid id hash", "run `oauthctl jwks thumbprint`"},
		{"oauthctl jwks", "topem tojwk export", "run `oauthctl jwks convert`"},
		{"oauthctl guard", "list show ls", "run `oauthctl guard deny list`"},
		{"oauthctl guard", "revoke ban block", "run `oauthctl guard deny`"},
		{"oauthctl guard", "allow unblock undo", "run `oauthctl guard deny undo`"},
		{"oauthctl guard", "check test validate", "run `oauthctl guard --check-policy FILE`"},
		{"oauthctl guard deny", "ls show", "run `oauthctl guard deny list`"},
		{"oauthctl guard deny", "remove rm delete", "run `oauthctl guard deny undo`"},

		{"oauthctl call", "-X --request --method", method},
		{"oauthctl call", "-L --location --follow", redirects},
		{"oauthctl call", "-F", "send a file with an item: name@FILE; or a form with --multipart name=value"},
		{"oauthctl call", "-u --user", password},
		{"oauthctl call", "--url", "the URL is an argument: oauthctl call GET URL"},
		{"oauthctl call", "--data-raw --body", "-d DATA"},
		{"oauthctl call", "--data-binary", "-d @FILE"},
		{"oauthctl call", "--data-urlencode", "--form name=value"},
		{"oauthctl call", "-G", "query parameters are items: name==value"},
		{"oauthctl call", "-I --head", "oauthctl call HEAD PATH"},
		{"oauthctl call", "-f --fail", "a failure has an exit code without a flag; a form is --form"},
		{"oauthctl call", "-A --user-agent", "User-Agent:NAME is an item"},
		{"oauthctl call", "-b --cookie", "Cookie:NAME=VALUE is an item"},
		{"oauthctl call", "--compressed", "responses are decompressed without a flag"},
		{"oauthctl call", "-N --no-buffer", "--stream"},
		{"oauthctl call", "-w --write-out", "--json gives the status"},
		{"oauthctl call", "-O --download", "-o FILE"},

		{"", "-X --request", "`oauthctl call METHOD PATH` sends a request with another method"},
		{"", "-H --header", "`oauthctl call GET PATH -H \"NAME: VALUE\"` sends a header"},
		{"", "-d --data", "`oauthctl call POST PATH -d DATA` sends a body"},
		{"", "-k --insecure --skip-verify --no-verify", insecure},
		{"", "-s --silent", "-q prints only data and errors"},
		{"", "-m --max-time", "--timeout 30s"},
		{"", "--cacert --ca --capath", "--ca-cert FILE"},
		{"", "--cert", "--client-cert FILE"},
		{"", "--key", "--client-key FILE"},
		{"", "-x --proxy", "set HTTPS_PROXY in the environment"},
		{"", "-o --output --format", "--json prints JSON, --jq filters it"},
		{"", "--debug --trace", "-v prints the HTTP requests and responses"},
		{"", "--yes -y --non-interactive --batch", "--no-input"},
		{"", "--client-secret --token --password --access-token", "a secret is never an argument, since other users can read arguments: use --client-secret-file FILE, a variable, or the profile's client_secret"},
		{"", "-c", "--config FILE"},
	}
}

// otherWordHint returns what to type here for another program's word after a
// command, "" if the table has none.
func otherWordHint(command, word string) string {
	for _, of := range []string{command, ""} {
		for _, o := range otherWords() {
			if o.of == of && slices.Contains(strings.Fields(o.words), word) {
				return strings.ReplaceAll(o.hint, "WORD", strings.ToUpper(word))
			}
		}
	}
	return ""
}

// suggestion is the hint for an unknown word of which several are known: the
// nearest of names as form shows it, else otherwise.
func suggestion(typed string, names []string, form, otherwise string) string {
	if near := nearest(typed, names); near != "" {
		return "did you mean " + strings.ReplaceAll(form, "NAME", near) + "?"
	}
	return otherwise
}

// nearest returns the name that a mistyped one is most likely meant to be, ""
// if none is near.
func nearest(typed string, names []string) string {
	typed = strings.ToLower(typed)
	best, least := "", min(3, max(1, (len(typed)+2)/3))+1
	for _, name := range names {
		lower := strings.ToLower(name)
		d := diagnosis.Distance(typed, lower)
		if len(typed) > 2 && (strings.HasPrefix(lower, typed) || strings.HasPrefix(typed, lower) && len(lower) > 2) {
			d = min(d, 1)
		}
		if d < least && d < len(typed) {
			best, least = name, d
		}
	}
	return best
}

func unknownCommand(env *Env, name string) error {
	wrong := &usageError{what: "unknown command " + shownArg(name), hint: otherWordHint("oauthctl", strings.ToLower(name))}
	if wrong.hint != "" {
		return wrong
	}
	if slices.Contains(topicNames(env), strings.ToLower(name)) {
		wrong.hint = "run `oauthctl help " + strings.ToLower(name) + "`"
		return wrong
	}
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	wrong.hint = suggestion(name, names, "`oauthctl NAME`", "run `oauthctl help` to see the commands")
	return wrong
}

// unknownSubcommand is the answer to a word after a command that has others
// below it.
func unknownSubcommand(cmd *cobra.Command, name string) error {
	path := cmd.CommandPath()
	wrong := &usageError{what: "unknown subcommand " + shownArg(name) + " of " + path, hint: otherWordHint(path, strings.ToLower(name))}
	if wrong.hint != "" {
		return wrong
	}
	var names []string
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	otherwise := "run `" + path + " --help`"
	if len(names) > 0 {
		otherwise = "the subcommands are " + strings.Join(names, ", ")
	}
	wrong.hint = suggestion(name, names, "`"+path+" NAME`", otherwise)
	return wrong
}

// unknownTopic is the answer to a word after help that is neither a command nor
// a topic.
func unknownTopic(env *Env, word string) error {
	names := topicNames(env)
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	hint := suggestion(word, names, "`oauthctl help NAME`", otherWordHint("oauthctl", strings.ToLower(word)))
	if hint == "" {
		hint = "the topics are " + strings.Join(topicNames(env), ", ")
	}
	return &usageError{what: "unknown help topic " + shownArg(word), hint: hint}
}

// unknownDiagnosis suggests the id that was probably meant.
func unknownDiagnosis(id, wanted string) error {
	var ids []string
	for _, e := range diagnosis.All() {
		ids = append(ids, string(e.ID))
	}
	return &usageError{what: "unknown id " + shownArg(id), hint: suggestion(wanted, ids, "`oauthctl explain NAME`", "run `oauthctl explain list` to see all ids")}
}

func noSuchProfile(f *profile.File, name string) error {
	names := f.Names()
	otherwise := "there are no profiles yet; `oauthctl login URL` creates one"
	if len(names) > 0 {
		otherwise = "the profiles are " + strings.Join(names, ", ")
	}
	return &usageError{what: fmt.Sprintf("unknown profile %q", diagnosis.Shorten(name, 200)), hint: suggestion(name, names, "NAME", otherwise)}
}

// unknownFlag returns the name of a flag that does not exist.
func unknownFlag(err error) (string, bool) {
	unknown, ok := err.(*pflag.NotExistError) //nolint:errorlint // cobra returns it as it is
	if !ok {
		return "", false
	}
	return unknown.GetSpecifiedName(), true
}

// flagError describes a wrong flag, and suggests the one that is meant by an unknown
// one.
func flagError(cmd *cobra.Command, err error) error {
	list := cmd.CommandPath() + " --help"
	if !cmd.HasParent() {
		list = "oauthctl help flags"
	}
	wrong := &usageError{what: err.Error(), hint: "run `" + list + "` to see the flags"}
	if lacks, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		wrong.what = "--" + lacks.GetFlag().Name + " needs a value"
	}
	name, unknown := unknownFlag(err)
	if !unknown {
		return wrong
	}
	typed := "--" + name
	if len(name) == 1 {
		typed = "-" + name
	}
	wrong.what = "unknown flag " + typed
	if hint := otherWordHint(cmd.CommandPath(), typed); hint != "" {
		wrong.hint = hint
		return wrong
	}
	var names []string
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	if len(name) > 1 {
		wrong.hint = suggestion(name, names, "--NAME", wrong.hint)
	}
	return wrong
}
