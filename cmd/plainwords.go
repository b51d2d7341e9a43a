package cmd

import (
	"regexp"
	"strings"
	"sync"
)

// packages are the packages whose errors begin with their name, as is the custom
// in Go. A user does not know them.
func packages() []string {
	return []string{
		"account", "apicall", "audit", "bearer", "benchmark", "challenge", "devserver", "diagnosis", "discovery", "doctor", "dpop", "exec", "forge", "guard", "jwks",
		"loopback", "oauth", "oauth2source", "oauthtest", "openapi", "policy", "policyfile", "problem", "profile", "provider", "redis", "revocation", "safehttp", "secret", "session", "token",
	}
}

var packagePrefix = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^|: )(?:(?:` + strings.Join(packages(), "|") + `): )+`)
})

// plainMessage is an error's text without the names of packages.
func plainMessage(text string) string {
	if !strings.Contains(text, ": ") {
		return text
	}
	return packagePrefix().ReplaceAllString(text, "$1")
}
