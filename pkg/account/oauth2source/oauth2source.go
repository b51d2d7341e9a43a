// Package oauth2source gives an account's access token to programs that use
// golang.org/x/oauth2. It is apart from package account so that other programs
// do not link that module.
package oauth2source

import (
	"context"
	"errors"

	"golang.org/x/oauth2"

	"github.com/oauthctl/oauthctl/pkg/account"
)

// ErrBound says that the account's tokens are bound to a key (RFC 9449), and
// package oauth2 cannot make the proofs that they need; see
// [account.Account.HTTPClient].
var ErrBound = errors.New("oauth2source: the tokens are bound to a key")

// New returns a source of the account's access token, refreshed when it is due.
// The context is used for every refresh, since x/oauth2 passes none. Its errors
// are those of [account.Account.Token], or ErrBound.
func New(ctx context.Context, a *account.Account) oauth2.TokenSource {
	return source{ctx: ctx, account: a}
}

type source struct {
	ctx     context.Context //nolint:containedctx // see New
	account *account.Account
}

// Token implements [oauth2.TokenSource].
func (s source) Token() (*oauth2.Token, error) {
	t, err := s.account.Token(s.ctx, account.Want{})
	if err != nil {
		return nil, err
	}
	if t.Bound() {
		return nil, ErrBound
	}
	return &oauth2.Token{AccessToken: t.Value.Reveal(), TokenType: t.Type, Expiry: t.ExpiresAt}, nil
}
