package account_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/account/oauth2source"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/oauthtest"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/session"
)

// console is the smallest user interface of a login. Here the browser is a
// program that signs alice in.
type console struct{}

func (console) Searched(discovery.Trail, error)         {}
func (console) Registered(string, bool)                 {}
func (console) ShowURL(address, redirectURI string)     {}
func (console) Console(provider string, steps []string) {}
func (console) Requesting(scopes, added []string)       {}
func (console) ShowCode(*oauth.DeviceAuthorization)     {}
func (console) Warn(err error)                          { fmt.Println("warning:", err) }
func (console) ReadLine() (string, error)               { return "", io.EOF }
func (console) OpenBrowser(address string) error        { return visit(address) }

// Log in with only the URL of an API: the authorization server is discovered
// (RFC 9728), a client is registered (RFC 7591), and the browser opens.
func ExampleAccount_Login() {
	t := &exampleT{}
	defer t.end()
	server := oauthtest.Start(t, oauthtest.AutoApprove("alice"))

	a, err := account.Open(profile.New("demo", nil), session.Open(t.dir()), account.Config{})
	if err != nil {
		panic(err)
	}
	done, err := a.Login(context.Background(), console{}, account.LoginOptions{URL: server.API(), OpenBrowser: true})
	if err != nil {
		panic(err)
	}
	fmt.Println(done.Session.Subject, done.Session.Scope)
	// Output: alice [items:read items:write openid offline_access]
}

// An HTTP client that adds an access token to its requests and refreshes it.
func ExampleAccount_HTTPClient() {
	t := &exampleT{}
	defer t.end()
	server, dir := loggedIn(t)

	p := profile.New("demo", profile.Values{profile.API: server.API()})
	a, err := account.Open(p, session.Open(dir), account.Config{})
	if err != nil {
		panic(err)
	}
	res, err := a.HTTPClient().Get(server.API() + "/api/items")
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	fmt.Println(res.StatusCode)
	// Output: 200
}

// Code that uses golang.org/x/oauth2 can use the account as its token source.
func Example_oauth2() {
	t := &exampleT{}
	defer t.end()
	server, dir := loggedIn(t)

	a, err := account.Open(profile.New("demo", nil), session.Open(dir), account.Config{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	client := oauth2.NewClient(ctx, oauth2source.New(ctx, a))
	res, err := client.Get(server.API() + "/api/items")
	if err != nil {
		panic(err)
	}
	res.Body.Close()
	client.CloseIdleConnections()
	fmt.Println(res.StatusCode == http.StatusOK)
	// Output: true
}

// loggedIn is a server at which alice has logged in, with her state directory.
func loggedIn(t *exampleT) (server *oauthtest.Server, dir string) {
	server, dir = oauthtest.Start(t, oauthtest.AutoApprove("alice")), t.dir()
	a, err := account.Open(profile.New("demo", nil), session.Open(dir), account.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := a.Login(context.Background(), console{}, account.LoginOptions{URL: server.API(), OpenBrowser: true}); err != nil {
		panic(err)
	}
	return server, dir
}

// dir returns a directory that is removed at the end of the example.
func (t *exampleT) dir() string {
	dir, err := os.MkdirTemp("", "oauthctl-example-")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// exampleT cleans up after an example; in a test, use the *testing.T.
type exampleT struct {
	testing.TB
	ends []func()
}

func (*exampleT) Helper()                        {}
func (t *exampleT) Cleanup(f func())             { t.ends = append(t.ends, f) }
func (*exampleT) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (t *exampleT) end() {
	for _, f := range t.ends {
		f()
	}
}
