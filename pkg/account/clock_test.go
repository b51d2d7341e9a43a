package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// If the times of an ID token are wrong, the error has the server's clock from
// the response: it shows which clock is wrong, or that both agree and the token
// is wrong.
func TestClockOfTheServer(t *testing.T) {
	for name, tt := range map[string]struct {
		offset time.Duration // of this machine's clock
		claims func(map[string]any)
		want   string // "" for a login that succeeds
	}{
		"this machine is behind": {-2 * time.Hour, nil, "the server's clock is 2 h ahead of this machine's"},
		"this machine is ahead":  {20 * time.Minute, nil, "the server's clock is 20 m behind this machine's"},
		"a little behind":        {-40 * time.Second, nil, ""},
		"the token is too new":   {0, func(c map[string]any) { c["iat"] = time.Now().Add(time.Hour).Unix() }, "the server's clock agrees with this machine's"},
		"the token is too old":   {0, func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, "the server's clock agrees with this machine's"},
		"all are right":          {0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r := newHome(t), newRigged(t)
			h.offset, r.claims = tt.offset, tt.claims
			_, err := h.login(&user{t: t}, r.URL, nil)
			if (err == nil) != (tt.want == "") {
				t.Fatal(err)
			}
			var clocks *oauth.ClockError
			if err != nil && (!errors.As(err, &clocks) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// The error for a refused code has the server's clock too. The error for a
// wrong signature has none.
func TestClockOfARefusal(t *testing.T) {
	h, r := newHome(t), newRigged(t)
	h.offset = -time.Hour
	r.answer = func(string, map[string]any) (int, any) { return 400, map[string]any{"error": "invalid_grant"} }
	var refused *oauth.Error
	if _, err := h.login(&user{t: t}, r.URL, nil); !errors.As(err, &refused) || !refused.Clock.Differs() || !refused.Request.DependsOnTime() {
		t.Errorf("%v, %+v", err, refused)
	}
	r.answer, r.claims = nil, func(c map[string]any) { c["aud"] = "other" }
	var clocks *oauth.ClockError
	_, err := h.login(&user{t: t}, r.URL, func(*account.LoginOptions) { h.offset = 0 })
	if !errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid}) || errors.As(err, &clocks) {
		t.Errorf("%v", err)
	}
}
