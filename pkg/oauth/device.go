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

// DeviceParams holds the parameters of a device authorization request (RFC
// 8628, section 3.1).
type DeviceParams struct {
	Scope    []string
	Audience []string
	Resource []string
	Extra    url.Values
}

// DeviceAuthorization holds the values to show to the user (RFC 8628, section
// 3.2), and the secret code for polling.
type DeviceAuthorization struct {
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string // "" if the server sent none
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
	endpoint, err := c.endpoint("device_authorization_endpoint")
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	req := TokenRequest{}.with("scope", spaced(p.Scope)).with("audience", p.Audience...).with("resource", p.Resource...).With(p.Extra)
	if req.err != nil {
		return nil, fmt.Errorf("oauth: %w", req.err)
	}
	start := c.now()
	// RFC 8628, section 3.1, requires client_id with every client authentication.
	params := append(req.params, param{"client_id", secret.New(c.ID)})
	res, err := c.post(ctx, DeviceEndpoint, endpoint, params)
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

func parseDevice(res *answer, now time.Time) (*DeviceAuthorization, error) {
	if !res.isGood(http.StatusOK) {
		return nil, res.failed()
	}
	d := &DeviceAuthorization{Interval: pollInterval, ExpiresAt: now.Add(longestPolling)}
	// Google uses the older name verification_url.
	if d.VerificationURI, _ = res.text("verification_uri"); d.VerificationURI == "" {
		d.VerificationURI, _ = res.text("verification_url")
	}
	deviceCode, err := res.text("device_code")
	userCode, userErr := res.text("user_code")
	switch {
	case err != nil || deviceCode == "":
		return nil, res.unusable("device_code", res.what("device_code"))
	case userErr != nil || userCode == "":
		return nil, res.unusable("user_code", res.what("user_code"))
	case !opens(d.VerificationURI):
		return nil, res.unusable("verification_uri, an https URL,", diagnosis.Values{d.VerificationURI})
	}
	d.deviceCode, d.UserCode = secret.New(deviceCode), userCode
	// The URL with the code is optional (RFC 8628, section 3.2), so an invalid
	// one is omitted.
	if complete, err := res.text("verification_uri_complete"); err == nil && opens(complete) {
		d.VerificationURIComplete = complete
	}
	if life := lifetime(res.value("expires_in")); life > 0 && life < longestPolling {
		d.ExpiresAt = now.Add(life)
	}
	if pause := lifetime(res.value("interval")); pause > 0 {
		d.Interval = min(pause, longestPause)
	}
	return d, nil
}

func opens(rawURL string) bool {
	_, err := safehttp.CheckURL(rawURL)
	return err == nil
}

// PollDevice waits until the user has decided and returns the tokens (RFC 8628,
// sections 3.4 and 3.5). It polls once per interval, five seconds slower after
// each slow_down, and continues if the server is temporarily unreachable. Errors
// are Diagnoses as of [Client.Token]; LOGIN_TIMEOUT if the code has expired.
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
	return safehttp.Pause(ctx, d)
}
