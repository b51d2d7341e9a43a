package oauth

import (
	"fmt"
	"maps"
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

// TokenResponse is a successful response of the token endpoint (RFC 6749, section
// 5.1).
type TokenResponse struct {
	AccessToken secret.String
	// TokenType is "Bearer" or "DPoP", in this spelling for any spelling in the
	// response. It is "N_A" if the result of a token exchange is not an access token
	// (RFC 8693, section 2.2.1).
	TokenType    string
	RefreshToken secret.String
	// RefreshExpiresAt is when the refresh token expires, or zero if the response does
	// not contain it (refresh_token_expires_in; Keycloak uses refresh_expires_in).
	RefreshExpiresAt time.Time
	IDToken          secret.String
	// Scope is the granted scope: that of the response or, if it has none, the
	// requested scope. ScopeGiven reports whether the response has one.
	Scope      []string
	ScopeGiven bool
	// ExpiresAt is when the access token expires, calculated from expires_in, and at
	// most a year from now. It is zero if expires_in is missing or invalid.
	ExpiresAt time.Time
	// IssuedTokenType is the token type URI of a token exchange's result (RFC 8693,
	// section 3).
	IssuedTokenType string
	// Clock compares the server's clock with this machine's, by the Date of the
	// response.
	Clock ServerClock
	// Raw is the complete JSON object, unchanged, including fields that are not listed
	// here.
	Raw secret.String
}

// longestLife is the maximum lifetime of a token that is used.
const longestLife = 365 * 24 * time.Hour

func (c *Client) parseTokenResponse(res *answer, req TokenRequest, now time.Time) (*TokenResponse, error) {
	// GitHub sends errors with status 200.
	if !res.isGood(http.StatusOK, http.StatusCreated) {
		return nil, res.failed()
	}
	t := &TokenResponse{Raw: secret.New(string(res.Body)), Clock: res.clock}
	res = res.within(c.TokenMember)
	for _, m := range []struct {
		name string
		to   *secret.String
	}{{"access_token", &t.AccessToken}, {"refresh_token", &t.RefreshToken}, {"id_token", &t.IDToken}} {
		s, err := res.text(m.name)
		if err != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, res.unusable(m.name+", a string of visible ASCII characters,", res.what(m.name))
		}
		*m.to = secret.New(s)
	}
	if t.AccessToken.IsZero() {
		return nil, res.withoutToken()
	}
	t.IssuedTokenType, _ = res.text("issued_token_type")
	if err := c.readTokenType(t, res, req); err != nil {
		return nil, err
	}
	if life := lifetime(res.value("expires_in")); life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	t.RefreshExpiresAt = refreshExpiry(res, now)
	t.Scope, t.ScopeGiven = scopes(res.value("scope"), req.scope)
	return t, nil
}

// NestedTokenError is wrapped by TOKEN_ENDPOINT_SHAPE if the response has no access
// token itself, but has members that contain one. Members lists their names; set
// [Client.TokenMember] to one of them.
type NestedTokenError struct{ Members []string }

// Error lists the members.
func (e *NestedTokenError) Error() string {
	return "an access token is in the member " + diagnosis.Quote(strings.Join(e.Members, ", "))
}

// within returns the object in a member if it has an access token, or the response
// itself.
func (a *answer) within(member string) *answer {
	nested := a.nested(member)
	if nested == nil {
		return a
	}
	return nested
}

// nested returns the object in a member if it has an access token, or nil.
func (a *answer) nested(member string) *answer {
	v := a.value(member)
	if v.Kind() != '{' {
		return nil
	}
	inner := &answer{reply: a.reply, members: map[string]jsontext.Value{}, twice: map[string]bool{}}
	if inner.isObject = inner.readJSON(v); !inner.isObject || inner.value("access_token") == nil {
		return nil
	}
	return inner
}

// withoutToken returns the error for a response without an access token. It lists
// the members that contain one.
func (a *answer) withoutToken() error {
	d := &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"access_token from the token endpoint"}, Got: a.what("access_token")}
	var members []string
	for _, name := range slices.Sorted(maps.Keys(a.members)) {
		if a.nested(name) != nil {
			members = append(members, name)
		}
	}
	if members != nil {
		d.Err = &NestedTokenError{Members: members}
	}
	return fmt.Errorf("oauth: %w", d)
}

// TokenTypeError is wrapped by TOKEN_ENDPOINT_SHAPE if the response has no
// token_type, or one that is not registered. [Client.AssumeBearer] accepts such a
// response. Type is "" if the response has none.
type TokenTypeError struct{ Type string }

// Error describes the problem with the type.
func (e *TokenTypeError) Error() string {
	if e.Type == "" {
		return "without a token_type it is unknown how the token is used (RFC 6749, section 7.1)"
	}
	return "the token_type " + diagnosis.Quote(e.Type) + " is not registered"
}

func (c *Client) readTokenType(t *TokenResponse, res *answer, req TokenRequest) error {
	kind, err := res.text("token_type")
	switch {
	case err == nil && kind == "N_A" && req.GrantType == GrantTokenExchange:
		t.TokenType = kind
	case err == nil && strings.EqualFold(kind, "Bearer"):
		t.TokenType = "Bearer"
	case err == nil && strings.EqualFold(kind, "DPoP"):
		t.TokenType = "DPoP"
	case c.AssumeBearer && err == nil:
		t.TokenType = "Bearer"
	case err != nil:
		return res.unusable("token_type", res.what("token_type"))
	default:
		return fmt.Errorf("oauth: %w", &diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"token_type Bearer", "DPoP"}, Got: res.what("token_type"), Err: &TokenTypeError{kind}})
	}
	return nil
}

func refreshExpiry(res *answer, now time.Time) time.Time {
	for _, name := range []string{"refresh_token_expires_in", "refresh_expires_in"} {
		if life := lifetime(res.value(name)); life > 0 {
			return now.Add(life)
		}
	}
	return time.Time{}
}

// rotated returns a response with only the refresh token of a successful response
// that failed a check, or nil if it has none.
func rotated(res *answer, now time.Time) *TokenResponse {
	refresh, err := res.text("refresh_token")
	if !res.isObject || err != nil || refresh == "" || res.Status != http.StatusOK && res.Status != http.StatusCreated {
		return nil
	}
	return &TokenResponse{RefreshToken: secret.New(refresh), RefreshExpiresAt: refreshExpiry(res, now)}
}

// lifetime reads a number of seconds, which some servers send as a string. It
// returns 0 for anything that is not a positive number.
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

// scopes returns the granted scope. If the response has none, the scope is as
// requested (RFC 6749, section 5.1). Twitch sends an array, and GitHub separates
// scopes by commas.
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
