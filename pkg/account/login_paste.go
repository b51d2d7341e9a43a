package account

import (
	"errors"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/loopback"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// pasting is the text that the user has entered so far: an address may come in
// several lines.
type pasting struct {
	held string // the lines from the beginning of an address on
}

// maxHeld limits the stored lines that are not an answer, in bytes.
const maxHeld = 64 << 10

// pasted handles a line like a request from the browser, alone or together with
// the lines before it. It returns an error that wraps [loopback.ErrStray] if
// the login must wait for more.
func (l *login) pasted(p *pasting, line, redirectURI string, a *acceptor) error {
	if line == "" {
		return loopback.ErrStray
	}
	refusal, err := try(line, redirectURI, a)
	if p.held != "" && errors.Is(err, loopback.ErrStray) {
		if _, joined := try(p.held+line, redirectURI, a); !errors.Is(joined, loopback.ErrStray) {
			return joined
		}
	}
	if errors.Is(err, loopback.ErrStray) {
		if p.held += line; strings.Contains(line, "://") || len(p.held) > maxHeld {
			p.held = line
		}
		l.ui.Warn(refusal)
	}
	return err
}

// try reads a text as the address at which the browser ended. If it is not the
// answer, refusal says why. A pasted address may be cut off, unlike a request
// of a browser, so an address in which a parameter is missing is not treated as
// the answer.
func try(text, redirectURI string, a *acceptor) (refusal *diagnosis.Diagnosis, err error) {
	values, err := loopback.ParsePasted(text, redirectURI)
	if err != nil {
		return &diagnosis.Diagnosis{ID: diagnosis.PasteRefused, Expected: diagnosis.Values{redirectURI + "?…"}, Err: err}, loopback.ErrStray
	}
	var state *oauth.StateError
	missing := a.request.Missing(values)
	if missing == "" {
		err = a.accept(values)
	} else {
		err = loopback.ErrStray
	}
	// A terminal may deliver no more than 1024 or 4095 bytes of a line.
	const cut = "; a terminal cuts long lines, so over SSH forward the port instead"
	why := "it belongs to another login"
	switch {
	case missing != "":
		why = "it has no " + missing + cut
	case errors.As(err, &state) && state.Cut:
		why = "its end is missing" + cut
	}
	return &diagnosis.Diagnosis{ID: diagnosis.PasteRefused, Err: errors.New(why)}, err
}
