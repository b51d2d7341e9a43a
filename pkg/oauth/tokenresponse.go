package oauth

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// TokenResponse is a successful answer of the token endpoint (RFC 6749, section
// 5.1).
type TokenResponse struct {
	AccessToken secret.String
	// TokenType is "Bearer" or "DPoP", in this spelling whatever was sent; "N_A"
	// where a token exchange gave what is no access token (RFC 8693, section
	// 2.2.1).
	TokenType    string
	RefreshToken secret.String
	// RefreshExpiresAt is when the refresh token ends, zero where the server does
	// not say (refresh_token_expires_in; refresh_expires_in of Keycloak).
	RefreshExpiresAt time.Time
	IDToken          secret.String
	// Scope is what was granted: what the server says or, where it says
	// nothing, what was asked for.
	Scope      []string
	ScopeGiven bool
	// ExpiresAt is when the access token ends by expires_in, a year ahead at
	// most; zero where the server does not tell or tells nonsense.
	ExpiresAt time.Time
	// IssuedTokenType is the URI of a token exchange's result (RFC 8693).
	IssuedTokenType string
	// Raw is the whole JSON object as it came, with the fields not listed here.
	Raw secret.String
}

const longestLife = 365 * 24 * time.Hour

func parseTokenResponse(res *reply, req TokenRequest, now time.Time) (*TokenResponse, error) {
	body, ok := members(res.Body)
	// GitHub answers 200 with an error.
	if !ok || res.Status != http.StatusOK && res.Status != http.StatusCreated || body["error"] != nil && body["error"].Kind() != 'n' {
		return nil, failed(res, body)
	}
	shape := func(expected, got string) error {
		return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)})
	}
	t := &TokenResponse{Raw: secret.New(string(res.Body))}
	for name, to := range map[string]*secret.String{"access_token": &t.AccessToken, "refresh_token": &t.RefreshToken, "id_token": &t.IDToken} {
		s, ok := text(body[name])
		if !ok || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, shape(name+" to be a string of visible ASCII characters", "something else")
		}
		*to = secret.New(s)
	}
	if t.AccessToken.IsZero() {
		return nil, shape("access_token", "none")
	}
	t.IssuedTokenType, _ = text(body["issued_token_type"])
	kind, ok := text(body["token_type"])
	switch {
	case !ok || kind == "":
		return nil, shape("token_type", "none")
	case kind == "N_A" && req.GrantType == grantTokenExchange:
		t.TokenType = kind
	case strings.EqualFold(kind, "Bearer"):
		t.TokenType = "Bearer"
	case strings.EqualFold(kind, "DPoP"):
		t.TokenType = "DPoP"
	default:
		return nil, shape("token_type Bearer or DPoP", kind)
	}
	if life := lifetime(body["expires_in"]); life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	t.RefreshExpiresAt = refreshExpiry(body, now)
	t.Scope, t.ScopeGiven = scopes(body["scope"], req.scope)
	return t, nil
}

func refreshExpiry(body map[string]jsontext.Value, now time.Time) time.Time {
	for _, name := range []string{"refresh_token_expires_in", "refresh_expires_in"} {
		if life := lifetime(body[name]); life > 0 {
			return now.Add(life)
		}
	}
	return time.Time{}
}

// rotated is the refresh token of a success that cannot be used otherwise, nil
// if there is none.
func rotated(res *reply, now time.Time) *TokenResponse {
	body, ok := members(res.Body)
	refresh, isText := text(body["refresh_token"])
	if !ok || !isText || refresh == "" || res.Status != http.StatusOK && res.Status != http.StatusCreated {
		return nil
	}
	return &TokenResponse{RefreshToken: secret.New(refresh), RefreshExpiresAt: refreshExpiry(body, now)}
}

// lifetime reads expires_in, which some servers send as a string. Anything that
// is no positive number says nothing.
func lifetime(v jsontext.Value) time.Duration {
	number := string(v)
	if s, ok := text(v); ok {
		number = s
	}
	seconds, err := strconv.ParseFloat(number, 64)
	if math.IsNaN(seconds) || seconds <= 0 || err != nil && !math.IsInf(seconds, 1) {
		return 0
	}
	if seconds > longestLife.Seconds() {
		return longestLife
	}
	return time.Duration(seconds * float64(time.Second))
}

// scopes reads what was granted. An absent scope means as asked (RFC 6749,
// section 5.1). Twitch sends an array, GitHub separates by commas.
func scopes(v jsontext.Value, asked []string) (granted []string, given bool) {
	var list []string
	s, ok := text(v)
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return slices.Clone(asked), false
	case !ok && json.Unmarshal(v, &list) == nil:
		return list, true
	case !ok:
		return slices.Clone(asked), false
	}
	commas := !strings.Contains(s, " ") && !strings.Contains(spaced(asked), ",")
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || commas && r == ',' }), true
}
