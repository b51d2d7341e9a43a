package cmd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/discovery"
)

// The syntax of curl and HTTPie is accepted if its meaning is clear; otherwise
// the error has the right command.

func callArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && (strings.HasPrefix(args[0], "{") || strings.HasPrefix(args[0], "[")) && cmd.Flags().Changed("json") {
		return &usageError{what: "--json prints the answer as JSON and takes no value", hint: "send JSON with -d DATA, or as items such as name=value"}
	}
	if len(args) == 0 {
		return &usageError{what: "the URL or path is missing", hint: "usage: " + cmd.UseLine()}
	}
	if len(args) > 1 && isMethod(args[1]) && isTarget(args[0]) {
		command := "oauthctl call " + strings.ToUpper(args[1])
		for _, arg := range slices.Delete(slices.Clone(args), 1, 2) {
			command += " " + shellQuote(arg)
		}
		return usageOf(fmt.Sprintf("the method %s must come before the URL", args[1]), command)
	}
	return between(1, 1000)(cmd, args)
}

// isTarget reports whether a first argument is a URL or a path, and not a method.
func isTarget(arg string) bool { return strings.ContainsAny(arg, "/:.?") || arg == "localhost" }

// take reads the arguments. As in HTTPie the method can be omitted: it is POST
// if there is a body, otherwise GET.
func (o *callOptions) take(args []string) {
	if len(args) > 1 && !isTarget(args[0]) {
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

// methods are those that completion offers.
func methods() []string {
	return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
}

func isMethod(name string) bool { return slices.Contains(methods(), strings.ToUpper(name)) }

// looksWrong refuses a target that is a host without a scheme, because it would
// be appended to the API's URL as a path. An empty one is the API's URL itself.
func (o *callOptions) looksWrong() error {
	authority, _, _ := strings.Cut(o.target, "/")
	authority, _, _ = strings.Cut(authority, "?")
	if !isHost(authority) || len(authority) == len(o.target) && strings.Count(authority, ".") == 1 && !strings.Contains(authority, ":") {
		return nil
	}
	return &usageError{
		what: fmt.Sprintf("%q looks like a URL without a scheme", o.target),
		hint: fmt.Sprintf("write %s, or /%s for a path of the API", discovery.CompleteURL(o.target), o.target),
	}
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// isHost reports whether text is a host with or without a port, by its form.
func isHost(text string) bool {
	if strings.HasPrefix(text, "[") {
		address, rest, closed := strings.Cut(text[1:], "]")
		port, hasPort := strings.CutPrefix(rest, ":")
		_, err := netip.ParseAddr(address)
		return closed && err == nil && (rest == "" || hasPort && isPort(port))
	}
	host, port, hasPort := strings.Cut(text, ":")
	if !hasLabels(host) || hasPort && !isPort(port) {
		return false
	}
	if host == "localhost" || hasPort {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Contains(host, ".") && len(last) >= 2 && strings.Trim(strings.ToLower(last), letters) == ""
}

// hasLabels reports whether host consists of letters, digits and hyphens with
// single dots between them.
func hasLabels(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(strings.ToLower(label), letters+digits+"-") != "" {
			return false
		}
	}
	return true
}

// isPort reports whether text has the form of a port: one to five digits.
func isPort(text string) bool {
	return text != "" && len(text) <= 5 && strings.Trim(text, digits) == ""
}
