package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// DeviceParams is what a device authorization request asks for (RFC 8628,
// section 3.1).
type DeviceParams struct {
	Scope    []string
	Audience []string
	Resource []string
	Extra    url.Values
}

// DeviceAuthorization is what to show the user (RFC 8628, section 3.2), and the
// secret code to poll with.
type DeviceAuthorization struct {
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string // "" where the server sends none
	ExpiresAt               time.Time
	Interval                time.Duration

	deviceCode secret.String
	scope      []string
	resource   []string
}

// GrantDeviceCode is the grant type of RFC 8628, section 3.4.
const GrantDeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

const (
	pollInterval   = 5 * time.Second // RFC 8628, section 3.2
	pollSlower     = 5 * time.Second // RFC 8628, section 3.5
	longestPolling = time.Hour
	longestPause   = time.Minute
)

// AuthorizeDevice begins the device grant (RFC 8628, section 3.1); show its
// result to the user and call [Client.PollDevice]. Errors are Diagnoses as of
// [Client.Token].
func (c *Client) AuthorizeDevice(ctx context.Context, p DeviceParams) (*DeviceAuthorization, error) {
	endpoint, err := c.endpoint("device_authorization_endpoint", c.server().DeviceAuthorizationEndpoint)
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	req := TokenRequest{}.with("scope", spaced(p.Scope)).with("audience", p.Audience...).with("resource", p.Resource...).With(p.Extra)
	if req.err != nil {
		return nil, fmt.Errorf("oauth: %w", req.err)
	}
	start := c.now()
	// RFC 8628 has the client send its id whatever its authentication.
	params := append(req.params, param{"client_id", secret.New(c.ID)})
	res, err := c.post(ctx, endpoint, params)
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	d, err := parseDevice(res, start)
	if err != nil {
		return nil, err
	}
	d.scope, d.resource = slices.Clone(p.Scope), slices.Clone(p.Resource)
	return d, nil
}

func parseDevice(res *reply, now time.Time) (*DeviceAuthorization, error) {
	body, ok := members(res.Body)
	if !ok || res.Status != http.StatusOK || body["error"] != nil {
		return nil, failed(res, body)
	}
	d := &DeviceAuthorization{Interval: pollInterval, ExpiresAt: now.Add(longestPolling)}
	deviceCode, _ := text(body["device_code"])
	d.deviceCode = secret.New(deviceCode)
	d.UserCode, _ = text(body["user_code"])
	d.VerificationURI, _ = text(body["verification_uri"])
	if d.VerificationURI == "" {
		d.VerificationURI, _ = text(body["verification_url"]) // Google's older name
	}
	d.VerificationURIComplete, _ = text(body["verification_uri_complete"])
	got := ""
	switch {
	case deviceCode == "":
		got = "no device_code"
	case d.UserCode == "":
		got = "no user_code"
	case !opens(d.VerificationURI), d.VerificationURIComplete != "" && !opens(d.VerificationURIComplete):
		got = "a verification_uri that is no https URL"
	}
	if got != "" {
		return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"a device authorization response (RFC 8628, section 3.2)"}, Got: diagnosis.Text(got)})
	}
	if life := lifetime(body["expires_in"]); life > 0 && life < longestPolling {
		d.ExpiresAt = now.Add(life)
	}
	if pause := lifetime(body["interval"]); pause > 0 {
		d.Interval = min(pause, longestPause)
	}
	return d, nil
}

func opens(rawURL string) bool {
	_, err := safehttp.CheckURL(rawURL)
	return err == nil
}

// PollDevice waits until the user has decided and returns the tokens (RFC 8628,
// sections 3.4 and 3.5). It asks once per interval, five seconds slower after
// each slow_down, and goes on through a server that is away for a moment. Errors
// are Diagnoses as of [Client.Token]; LOGIN_TIMEOUT when the code has expired.
func (c *Client) PollDevice(ctx context.Context, d *DeviceAuthorization) (*TokenResponse, error) {
	interval := d.Interval
	req := TokenRequest{GrantType: GrantDeviceCode, scope: d.scope}
	req = req.secret("device_code", d.deviceCode).with("resource", d.resource...)
	for {
		if err := c.wait(ctx, interval); err != nil {
			return nil, fmt.Errorf("oauth: %w", err)
		}
		if c.now().After(d.ExpiresAt) {
			return nil, fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.LoginTimeout, Expected: diagnosis.Values{"the code entered in time"}, Got: diagnosis.Values{"it has expired"}})
		}
		res, err := c.Token(ctx, req)
		var answer *Error
		var d *diagnosis.Diagnosis
		switch {
		case errors.As(err, &answer) && answer.Code == "authorization_pending":
		case errors.As(err, &answer) && answer.Code == "slow_down":
			interval = min(interval+pollSlower, longestPause)
		case errors.As(err, &d) && d.Kind() == diagnosis.Unavailable && ctx.Err() == nil:
			interval = min(interval*2, longestPause)
		default:
			return res, err
		}
	}
}

func (c *Client) wait(ctx context.Context, d time.Duration) error {
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
