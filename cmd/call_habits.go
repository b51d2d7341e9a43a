package cmd

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What people write who know curl or HTTPie is understood where it is clear, and
// answered with the right command where it is not.

func callArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && (strings.HasPrefix(args[0], "{") || strings.HasPrefix(args[0], "[")) && cmd.Flags().Changed("json") {
		return &usageError{what: "--json prints the answer as JSON and takes no value", hint: "send JSON with -d DATA, or as items such as name=value"}
	}
	if len(args) == 0 {
		return &usageError{what: "the URL or path is missing", hint: "usage: " + cmd.UseLine()}
	}
	return between(1, 1000)(cmd, args)
}

// take reads the arguments. As for HTTPie the method may be left out: it is GET, or
// POST where there is a body.
func (o *callOptions) take(args []string) {
	if len(args) > 1 && !strings.ContainsAny(args[0], "/:.?") {
		o.method, o.target, o.items = args[0], args[1], args[2:]
		return
	}
	o.target, o.items = args[0], args[1:]
	o.method = "GET"
	if o.dataGiven || o.multipart {
		o.method = "POST"
	}
	for _, item := range o.items {
		i := separator(item)
		if i > 0 && !strings.HasPrefix(item[i:], "==") && (item[i] != ':' || strings.HasPrefix(item[i:], ":=")) {
			o.method = "POST"
		}
	}
}

func isMethod(name string) bool {
	switch strings.ToUpper(name) {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return true
	}
	return false
}

var hostLike = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::[0-9]{1,5})?(?:[/?]|$)`)
})

// looksWrong refuses a target that is a host without a scheme: as a path it would
// be appended to the API's URL.
func (o *callOptions) looksWrong() error {
	if isMethod(o.target) && o.method != "" && !strings.Contains(o.target, "/") && isHost(o.method) {
		return &usageError{what: fmt.Sprintf("the method %s comes after the URL", o.target), hint: "oauthctl call " + o.target + " " + o.method}
	}
	authority, _, _ := strings.Cut(o.target, "/")
	authority, _, _ = strings.Cut(authority, "?")
	if !isHost(authority) || len(authority) == len(o.target) && strings.Count(authority, ".") == 1 && !strings.Contains(authority, ":") {
		return nil
	}
	scheme := "https://"
	if host, _, _ := strings.Cut(authority, ":"); host == "localhost" || strings.HasPrefix(host, "127.") || strings.HasPrefix(authority, "[::1]") {
		scheme = "http://"
	}
	return &usageError{
		what: fmt.Sprintf("%q looks like a URL without a scheme", o.target),
		hint: fmt.Sprintf("write %s%s, or /%s for a path of the API", scheme, o.target, o.target),
	}
}

// isHost reports whether text is a host with or without a port, by its form.
func isHost(text string) bool {
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return false
		}
		_, err := netip.ParseAddr(text[1:end])
		return err == nil
	}
	if !hostLike().MatchString(text) || text == "" {
		return false
	}
	host, _, port := strings.Cut(text, ":")
	if host == "localhost" || port {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Contains(host, ".") && len(last) >= 2 && strings.Trim(strings.ToLower(last), "abcdefghijklmnopqrstuvwxyz") == ""
}

// callFlagError answers flags of curl and HTTPie.
func callFlagError(cmd *cobra.Command, err error) error {
	hints := map[string]string{
		"X": "METHOD is the first argument: oauthctl call POST PATH", "request": "METHOD is the first argument: oauthctl call POST PATH",
		"k": "--insecure-skip-tls-verify, or better --ca-cert FILE", "insecure": "--insecure-skip-tls-verify, or better --ca-cert FILE",
		"L": "GET and HEAD follow redirects without a flag", "location": "GET and HEAD follow redirects without a flag", "follow": "GET and HEAD follow redirects without a flag", "F": "send a file with an item: name@FILE; or a form with --multipart name=value",
		"u": "the token authorizes the request; to send a password use --no-token and Authorization:\"Basic ...\"", "user": "the token authorizes the request; to send a password use --no-token and Authorization:\"Basic ...\"",
		"url": "the URL is an argument: oauthctl call GET URL", "data-raw": "-d DATA", "data-binary": "-d @FILE", "data-urlencode": "--form name=value", "G": "query parameters are items: name==value",
		"I": "oauthctl call HEAD PATH", "head": "oauthctl call HEAD PATH", "s": "-q prints no messages", "f": "a failure has an exit code without a flag; a form is --form", "fail": "a failure has an exit code without a flag",
		"m": "--timeout 30s", "max-time": "--timeout 30s", "cacert": "--ca-cert FILE", "cert": "--client-cert FILE", "key": "--client-key FILE", "x": "set HTTPS_PROXY in the environment", "proxy": "set HTTPS_PROXY in the environment",
		"A": "User-Agent:NAME is an item", "user-agent": "User-Agent:NAME is an item", "b": "Cookie:NAME=VALUE is an item", "cookie": "Cookie:NAME=VALUE is an item", "compressed": "answers are decompressed without a flag",
		"N": "--stream", "no-buffer": "--stream", "w": "--json gives the status", "write-out": "--json gives the status", "O": "-o FILE", "download": "-o FILE", "h": "--help",
	}
	if name, ok := unknownFlag(err); ok {
		if hint := hints[name]; hint != "" {
			return &usageError{what: err.Error(), hint: hint}
		}
	}
	return flagError(cmd, err)
}

// unknownFlag returns the name of a flag that does not exist.
func unknownFlag(err error) (string, bool) {
	unknown, ok := err.(*pflag.NotExistError) //nolint:errorlint // cobra hands it on as it is
	if !ok {
		return "", false
	}
	return unknown.GetSpecifiedName(), true
}

// flagError names the flags that an unknown one is close to.
func flagError(cmd *cobra.Command, err error) error {
	hint := "run `" + cmd.CommandPath() + " --help` to see the flags"
	name, unknown := unknownFlag(err)
	if unknown && (name == "client-secret" || name == "token" || name == "password") {
		return &usageError{what: err.Error(), hint: "a secret never comes as an argument, which other users can read: --client-secret-file FILE, a variable, or the profile's client_secret"}
	}
	if unknown && len(name) > 1 {
		best, least := "", 3
		near := func(f *pflag.Flag) {
			d := diagnosis.Distance(name, f.Name)
			if strings.HasPrefix(name, f.Name) || strings.HasPrefix(f.Name, name) && len(name) > 2 {
				d = min(d, 2)
			}
			if !f.Hidden && d < least {
				best, least = f.Name, d
			}
		}
		cmd.Flags().VisitAll(near)
		cmd.InheritedFlags().VisitAll(near)
		if best != "" {
			hint = "did you mean --" + best + "?"
		}
	}
	return &usageError{what: err.Error(), hint: hint}
}
