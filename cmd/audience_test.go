package cmd_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// An audience that was given at the first login is requested at the next one too. The audience that was discovered with
// the API is sent only as its resource.
func TestLoginKeepsTheAudience(t *testing.T) {
	w := newWorld(t, devserver.Config{Resources: []string{"urn:other"}})
	var asked url.Values
	click := w.browse
	w.browse = func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		asked = u.Query()
		return click(address)
	}
	logins := []struct {
		args []string
		want []string
	}{
		{[]string{"login", w.api, "--browser"}, nil},
		{[]string{"login", "--browser"}, nil},
		{[]string{"login", w.issuer, "-p", "other", "--browser", "--audience", "urn:other"}, []string{"urn:other"}},
		{[]string{"login", "-p", "other", "--browser"}, []string{"urn:other"}},
	}
	for _, l := range logins {
		if code := w.run(l.args...); code != 0 {
			t.Fatalf("%v: exit %d: %s", l.args, code, &w.stderr)
		}
		if strings.Contains(w.stderr.String(), "is not for the requested audience") {
			t.Errorf("%v: a warning: %s", l.args, &w.stderr)
		}
		if diff := cmp.Diff(l.want, asked["audience"]); diff != "" {
			t.Errorf("%v: audience (-want +got):\n%s", l.args, diff)
		}
	}
}

// If the server issues a token for another API than the requested one, there is a warning, because the API would refuse
// the token.
func TestLoginComparesTheAudience(t *testing.T) {
	w := newWorld(t, devserver.Config{Resources: []string{"urn:other"}, Faults: []string{"wrong-audience"}})
	if code := w.run("login", w.issuer, "--browser", "--audience", "urn:other"); code != 0 {
		t.Fatalf("exit %d: %s", code, &w.stderr)
	}
	for _, want := range []string{"the access token is not for the requested audience", "urn:other", "https://api.example"} {
		if !strings.Contains(w.stderr.String(), want) {
			t.Errorf("%q is missing: %s", want, &w.stderr)
		}
	}
	if code := w.run("login", w.issuer, "--browser", "--audience", "urn:unknown"); code == 0 || !strings.Contains(w.stderr.String(), "RESOURCE_REFUSED") {
		t.Errorf("an unknown audience: exit %d: %s", code, &w.stderr)
	}
}
