package cmd

import (
	"strings"
	"unicode/utf8"
)

// signs are the marks of results: words where the terminal may not have more.
type signs struct {
	pass, fail, warn, open, none string
	label                        int // width of the operation
}

func (env *Env) signs() signs {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := env.Getenv(name); value != "" {
			if strings.Contains(strings.ToLower(strings.ReplaceAll(value, "-", "")), "utf8") {
				break
			}
			return signs{"ok", "FAIL", "!", "?", ".", 14}
		}
	}
	return signs{"✓", "✗", "!", "?", "·", 18}
}

// padded makes all marks of a terminal equally wide.
func (s *screen) padded(mark string) string {
	return mark + strings.Repeat(" ", utf8.RuneCountInString(s.marks.fail)-utf8.RuneCountInString(mark))
}
