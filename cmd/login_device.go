package cmd

import (
	"context"
	"errors"

	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// anyPort is the redirect URI of a client that is registered before a port is
// known: loopback addresses match at every port (RFC 8252, section 7.3).
const anyPort = "http://127.0.0.1/callback"

// loginByDevice is the device authorization grant (RFC 8628): the user enters a
// code on another device while this one asks the server for the outcome.
func loginByDevice(ctx context.Context, l *login) (*oauth.TokenResponse, oauth.IDTokenExpectation, error) {
	var expected oauth.IDTokenExpectation
	if err := l.findClient(ctx, anyPort); err != nil {
		return nil, expected, err
	}
	extra, err := l.extra()
	if err != nil {
		return nil, expected, err
	}
	device, err := l.client.AuthorizeDevice(ctx, oauth.DeviceParams{Scope: l.scopes, Audience: l.audiences, Resource: l.resources, Extra: extra})
	if err != nil {
		return nil, expected, err
	}
	l.showDevice(device)
	waiting, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	answer, err := l.client.PollDevice(waiting, device)
	if err != nil && ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		err = loginTimeout(l.timeout)
	}
	return answer, expected, err
}

// showDevice is printed even with --quiet: without it nobody could go on.
func (l *login) showDevice(d *oauth.DeviceAuthorization) {
	s := l.env.stderr()
	s.line("%s %s", s.strong("On any device, open"), clean(d.VerificationURI))
	s.line("%s %s", s.strong("and enter the code"), s.name(clean(d.UserCode)))
	if d.VerificationURIComplete != "" {
		s.line("%s %s", s.faint("or, with the code in it:"), clean(d.VerificationURIComplete))
	}
}
