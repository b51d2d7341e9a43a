package cmd

import (
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// quoteArgument quotes an argument for a message. Of one that holds a token only
// the beginning is shown, since messages end in logs.
func quoteArgument(text string) string {
	if at := strings.Index(text, "eyJ"); at >= 0 {
		return diagnosis.Quote(text[:min(at+4, len(text))]+"…") + " (a token)"
	}
	return diagnosis.Quote(text)
}
