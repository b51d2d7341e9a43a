package cmd

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// tokenText matches what looks like a token within a text: a JWT, or an opaque
// token by a prefix that is known.
var tokenText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}` +
		`|(?:gh[opsur]_|github_pat_|glpat-|xox[abep]-|ya29\.|ory_[art]t_)[A-Za-z0-9._-]{8,}`)
})

// maskTokens shortens what looks like a token, so that a message that repeats an
// argument or a line of input shows no token on a screen or in a log.
func maskTokens(text string) string {
	return tokenText().ReplaceAllStringFunc(text, func(found string) string { return found[:4] + "… (a token)" })
}

// shownArg quotes an argument for a message. A long one without spaces and
// slashes may be a secret of any form, so little of it is shown.
func shownArg(arg string) string {
	if masked := maskTokens(arg); masked != arg {
		return diagnosis.Quote(masked)
	}
	if len(arg) >= 32 && !strings.ContainsAny(arg, " /=") {
		return fmt.Sprintf("%q… (%d characters)", arg[:4], len(arg))
	}
	return diagnosis.Quote(arg)
}
