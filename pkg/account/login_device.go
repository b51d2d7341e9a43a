package account

import (
	"context"
	"errors"

	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// loginByDevice uses the device authorization grant (RFC 8628): the user enters
// a code on another device while this one polls the server.
func loginByDevice(ctx context.Context, l *login, want wanted) (authorized, error) {
	registered, err := l.known(ctx, want.server)
	if err != nil {
		return authorized{}, err
	}
	reused := registered != nil
	got, device, err := l.askDevice(ctx, want)
	if errors.Is(forgotten(err, reused), errForgotten) {
		if err := l.forgetClient(ctx); err != nil {
			return authorized{}, err
		}
		got, device, err = l.askDevice(ctx, want)
	}
	if err != nil {
		return authorized{}, err
	}
	l.ui.ShowCode(device)
	waiting, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	got.response, err = got.client.PollDevice(waiting, device)
	if err != nil && ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		err = timedOut(l.options.Timeout, nil)
	}
	return got, err
}

// askDevice requests a code to show.
func (l *login) askDevice(ctx context.Context, want wanted) (authorized, *oauth.DeviceAuthorization, error) {
	registered, err := l.known(ctx, want.server)
	if err != nil {
		return authorized{}, nil, err
	}
	client, err := l.client(ctx, want, anyPort, registered)
	if err != nil {
		return authorized{}, nil, err
	}
	device, err := client.AuthorizeDevice(ctx, oauth.DeviceParams{Scope: want.scopes, Audience: want.audiences, Resource: want.resources, Extra: want.params})
	return authorized{client: client}, device, err
}
