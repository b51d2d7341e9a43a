package profile_test

import (
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/profile"
)

func TestCheckName(t *testing.T) {
	good := []string{
		"default", "a", "7", "_x", "prod.eu-1", "A.B_c", strings.Repeat("x", 64),
		// Similar to a device name, but allowed.
		"console", "com", "com10", "coms", "lpt", "lptx", "null", "auxiliary", "my.con", "x-nul", "_com1", "prn2", "com_1",
	}
	for _, name := range good {
		if err := profile.CheckName(name); err != nil {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
	bad := []string{
		"", ".", "..", ".hidden", "-p", "a/b", `a\b`, "a b", "a:b", "ä", "a\x00", "a\n", strings.Repeat("x", 65), "com¹",
		"con", "CON", "Prn", "aux", "nul", "NUL.", "nul.tar.gz", "Aux.json", "com0", "COM9", "com1.x", "lpt0", "LPT5.client", "con..",
	}
	for _, name := range bad {
		err := profile.CheckName(name)
		if err == nil {
			t.Errorf("CheckName(%q) accepts it", name)
		} else if len(err.Error()) > 400 {
			t.Errorf("CheckName(%.20q…): the message has %d bytes", name, len(err.Error()))
		}
	}
}
