package cmd

import (
	"bufio"
	"io"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

const maxPasted = 64 << 10

// loginUI is the user interface of a login: the terminal and the browser.
type loginUI struct {
	env    *Env
	opens  bool   // a browser is opened here
	listen string // of --listen
	paste  bool   // the user may paste the last address of the browser
	typed  *bufio.Scanner
}

// Searched prints the requests of discovery if it failed or with --verbose.
func (u *loginUI) Searched(trail discovery.Trail, err error) {
	if err != nil || u.env.global.verbose {
		showTrail(u.env.stderr(), trail)
	}
}

// Registered prints the id of the new client. If again is set, the server has
// removed the last one.
func (u *loginUI) Registered(clientID string, again bool) {
	if again {
		u.env.say("the server no longer knows the client of the last login")
	}
	u.env.say("registered as client %s", clean(clientID))
}

// Console prints the steps for registering a client with the provider.
func (u *loginUI) Console(provider string, steps []string) {
	s := u.env.stderr()
	s.line("%s", s.strong(provider+" needs a client of your own. In its console:"))
	for i, step := range steps {
		s.line("%d. %s", i+1, clean(step))
	}
}

// Requesting prints the requested scopes and, with --verbose, those that were added.
func (u *loginUI) Requesting(scopes, added []string) {
	if len(scopes) > 0 && !u.env.global.quiet {
		u.env.say("requesting the scopes %s", clean(strings.Join(scopes, " ")))
	}
	if len(added) > 0 && u.env.global.verbose {
		u.env.say("added by default: %s", clean(strings.Join(added, " ")))
	}
}

// ShowURL prints even with --quiet: the user needs the address.
func (u *loginUI) ShowURL(address, redirectURI string) {
	s := u.env.stderr()
	s.line("%s", s.strong("Log in here:"))
	s.line("%s", clean(address))
	// The third field is this machine's address as the SSH client sees it.
	if ssh := strings.Fields(u.env.Getenv("SSH_CONNECTION")); len(ssh) == 4 && !u.opens && u.listen == "" {
		if at, err := url.Parse(redirectURI); err == nil {
			s.line("To use a browser on the machine you came from, run there: %s", s.name(clean("ssh -N -L "+at.Port()+":127.0.0.1:"+at.Port()+" "+ssh[2])))
		}
	}
	if u.paste {
		s.line("%s", s.faint("If your browser shows an error after you sign in, paste its address here."))
	}
	if u.env.IsTerminal(u.env.Stderr) {
		s.line("%s", s.faint("Waiting for the browser; press Ctrl-C to stop."))
	}
}

// readsLines prepares the terminal for pasting a long address. The returned function
// restores it.
func (u *loginUI) readsLines() (restore func()) {
	if !u.paste {
		return func() {}
	}
	neverStop()
	return wholeLines(u.env.Stdin)
}

// OpenBrowser opens the system's browser.
func (u *loginUI) OpenBrowser(address string) error { return u.env.Browse(address) }

// ReadLine returns the next line that the user pastes or types.
func (u *loginUI) ReadLine() (string, error) {
	if !u.paste {
		return "", io.EOF
	}
	if u.typed == nil {
		u.typed = bufio.NewScanner(u.env.Stdin)
		u.typed.Buffer(nil, maxPasted)
		u.typed.Split(typedLine)
	}
	if !u.typed.Scan() {
		return "", io.EOF
	}
	return strings.TrimSpace(corrected(u.typed.Text())), nil
}

// The keys that edit or end a line. The terminal does not handle them itself while it
// is prepared for long lines.
const (
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyWord      = 0x17 // Ctrl-W
	keyLine      = 0x15 // Ctrl-U
	keyDelete    = 0x7f
)

// typedLine is a [bufio.SplitFunc] for lines. Ctrl-D at the beginning of a line ends
// the input.
func typedLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if len(data) > 0 && data[0] == keyEnd {
		return 1, nil, bufio.ErrFinalToken
	}
	return bufio.ScanLines(data, atEOF)
}

// corrected applies the keys in a line that delete what was typed before.
func corrected(line string) string {
	var kept []rune
	for _, r := range line {
		switch r {
		case keyBackspace, keyDelete:
			kept = kept[:max(0, len(kept)-1)]
		case keyWord, keyLine:
			kept = kept[:0]
		default:
			kept = append(kept, r)
		}
	}
	return string(kept)
}

// ShowCode prints even with --quiet: the user needs the code.
func (u *loginUI) ShowCode(d *oauth.DeviceAuthorization) {
	s := u.env.stderr()
	s.line("%s %s", s.strong("On any device, open"), clean(d.VerificationURI))
	s.line("%s %s", s.strong("and enter the code"), s.name(clean(d.UserCode)))
	if d.VerificationURIComplete != "" {
		s.line("%s %s", s.faint("or, with the code in it:"), clean(d.VerificationURIComplete))
	}
}

// Warn shows a warning.
func (u *loginUI) Warn(err error) { u.env.warnOf(err) }
