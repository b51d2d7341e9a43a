package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// maxCredential limits the input of a credential helper, in bytes.
const maxCredential = 64 << 10

// credentialHelper answers git (git-credential) or docker
// (docker-credential-helpers). The token is only for the API's own origin: a
// repository of another host gets none.
func (env *Env) credentialHelper(ctx context.Context, o tokenOptions, f tokenFormat) error {
	switch o.action {
	case "", "get":
	case "store", "erase":
		return nil // the session is the store
	case "list":
		return env.printJSON(map[string]string{})
	default:
		return nil // of a later version: git ignores what a helper does not know
	}
	asked, err := io.ReadAll(io.LimitReader(env.Stdin, maxCredential))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	o.asked = string(asked)
	p, err := env.profile()
	if err != nil {
		return err
	}
	target, err := f.target(o.asked)
	if err != nil {
		return err
	}
	if err := belongs(target, p.Get(profile.API), o.allowOrigin); err != nil {
		if f.lacks != "" {
			// From this line docker knows that there is no credential, and
			// continues without one.
			env.stdout().line("%s", f.lacks)
		}
		return err
	}
	t, err := env.usableToken(ctx, o.wantedToken)
	if err != nil {
		return err
	}
	env.mask(t.value)
	return f.print(env, o, t)
}

func printDocker(env *Env, o tokenOptions, t *usableToken) error {
	return env.printJSON(struct {
		ServerURL string
		Username  string
		Secret    string
	}{strings.TrimSpace(o.asked), o.username, t.value.Reveal()})
}

func printGit(env *Env, o tokenOptions, t *usableToken) error {
	out := env.stdout()
	out.line("username=%s", o.username)
	out.line("password=%s", t.value.Reveal())
	if !t.expires.IsZero() {
		out.line("password_expiry_utc=%d", t.expires.Unix())
	}
	return nil
}

// gitServer returns the server in git's request.
func gitServer(asked string) (*url.URL, error) {
	fields := gitFields(asked)
	return &url.URL{Scheme: fields["protocol"], Host: fields["host"]}, nil
}

// gitFields reads git's request: lines of NAME=VALUE until an empty one.
func gitFields(asked string) map[string]string {
	fields := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(asked))
	for lines.Scan() && lines.Text() != "" {
		if name, value, found := strings.Cut(lines.Text(), "="); found {
			fields[name] = value
		}
	}
	if u, err := url.Parse(fields["url"]); err == nil && u.Host != "" && fields["host"] == "" {
		fields["protocol"], fields["host"] = u.Scheme, u.Host
	}
	return fields
}

// dockerServer returns the registry in docker's request, with or without a
// scheme.
func dockerServer(asked string) (*url.URL, error) {
	text := strings.TrimSpace(asked)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, usage("expected the registry's address on standard input")
	}
	return u, nil
}

// belongs returns an error for an origin to which the token does not belong.
func belongs(target *url.URL, api string, allowed []string) error {
	if target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return usage("expected the protocol and host that a credential is for on standard input")
	}
	for _, address := range append([]string{api}, allowed...) {
		u, err := safehttp.CheckURL(address)
		if err == nil && safehttp.Origin(u) == safehttp.Origin(target) {
			return nil
		}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Expected: diagnosis.Values(slices.Concat([]string{api}, allowed)), Got: diagnosis.Values{safehttp.Origin(target)}}
}

// host returns the API's host, for a file that lists credentials by host.
func (t *usableToken) host() (string, error) {
	u, err := safehttp.CheckURL(t.api)
	if err != nil {
		return "", usage("--format netrc needs the profile's API, whose host the entry is for")
	}
	return u.Hostname(), nil
}
