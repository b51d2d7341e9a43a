package session_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// A source returns the access token of a session and refreshes it if needed. Any number of processes may use the same
// store.
func ExampleSource() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := session.New(session.Options{Dir: dir + "/state", Kind: session.File})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	login := &session.Session{
		Profile: "default", Issuer: "https://auth.example.com", ClientID: "app", TokenEndpoint: "https://auth.example.com/token", TokenType: "Bearer",
		AccessToken: secret.New("first"), RefreshToken: secret.New("r1"), ExpiresAt: time.Now().Add(10 * time.Second),
	}
	if err := store.Save(ctx, login); err != nil {
		panic(err)
	}
	source := &session.Source{Store: store, Profile: "default", Renew: func(_ context.Context, s *session.Session) (*session.Session, error) {
		fmt.Println("renewed") // a real program sends the refresh token here
		next := *s
		next.AccessToken, next.RefreshToken, next.ExpiresAt = secret.New("second"), secret.New("r2"), time.Now().Add(time.Hour)
		return &next, nil
	}}
	for range 2 {
		result, err := source.Session(ctx, session.Want{})
		fmt.Println(result.Session.AccessToken.Reveal(), result.Warning, err)
	}
	// Output:
	// renewed
	// second <nil> <nil>
	// second <nil> <nil>
}
