// Package profile checks the names of profiles, in [CheckName].
package profile

import (
	"errors"
	"fmt"
	"strings"
)

// CheckName returns an error unless name is a valid profile name: 1 to 64 ASCII
// letters, digits, dots, dashes and underscores, starting with a letter, a digit
// or an underscore. Device names of Windows (con, prn, aux, nul, com0 to com9,
// lpt0 to lpt9), in any case and with any extension, are refused on every
// system, because the name is also a file name and profiles are copied between
// systems.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the profile name is empty")
	case len(name) > 64 || strings.ContainsFunc(name, isForeign) || name[0] == '.' || name[0] == '-':
		return fmt.Errorf("profile %.200q: expected at most 64 letters, digits, dots, dashes and underscores, not starting with a dot or a dash", name)
	case isDevice(name):
		return fmt.Errorf("profile %q: the name is a device on Windows", name)
	}
	return nil
}

func isForeign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// isDevice reports whether Windows opens a device for name, whatever follows the
// first dot.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	return len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") && base[3] >= '0' && base[3] <= '9'
}
