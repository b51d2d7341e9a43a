package cmd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const longCredential = `A token is - for standard input, @FILE, the token itself (visible to other users
in the process list), or the identity token of the CI job: ci:github (its
audience is the server, unless ci:github:AUDIENCE gives another), or
ci:gitlab:NAME, where NAME is the variable of the job's id_tokens.`

// credential reads the token to which a setting refers, of which ci:… is the CI
// job's own identity token, issued for audience.
func (env *Env) credential(ctx context.Context, arg, audience string) (secret.String, error) {
	if strings.HasPrefix(arg, "@") {
		return env.tokenFrom(arg, profile.ReadCredential)
	}
	read, err := env.credentialFor(arg)
	if err != nil || read == nil {
		return secret.String{}, err
	}
	return read(ctx, audience)
}

// credentialFor is [Env.credential] for an audience that is not known yet. What
// does not depend on it is read now, before anything is sent. It returns nil for
// no argument.
func (env *Env) credentialFor(arg string) (account.TokenFunc, error) {
	system, isCI := strings.CutPrefix(arg, "ci:")
	switch {
	case arg == "":
		return nil, nil
	case isCI:
		return func(ctx context.Context, audience string) (secret.String, error) {
			return env.jobToken(ctx, system, audience)
		}, nil
	}
	raw, err := env.tokenArg(arg)
	return func(context.Context, string) (secret.String, error) { return raw, nil }, err
}

// jobToken returns the identity token of this CI job.
func (env *Env) jobToken(ctx context.Context, system, audience string) (secret.String, error) {
	name, rest, _ := strings.Cut(system, ":")
	switch {
	case name == "github":
		if rest != "" {
			audience = rest
		}
		return env.githubToken(ctx, audience)
	case name == "gitlab" && rest != "":
		if value := env.Getenv(rest); value != "" {
			return secret.New(value), nil
		}
		return secret.String{}, &usageError{
			what: fmt.Sprintf("the variable %s, which should hold GitLab's identity token, is not set", rest),
			hint: fmt.Sprintf("in .gitlab-ci.yml: id_tokens: {%s: {aud: %s}}", rest, audience),
		}
	}
	return secret.String{}, usage("expected ci:github or ci:gitlab:NAME, got %s", diagnosis.Quote("ci:"+system))
}

// githubToken asks GitHub Actions for the job's identity token, at the address
// and with the token that the runner gives to jobs that may have one.
func (env *Env) githubToken(ctx context.Context, audience string) (secret.String, error) {
	address, bearer := env.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), env.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	u, err := url.Parse(address)
	if address == "" || bearer == "" || err != nil {
		return secret.String{}, &usageError{
			what: "GitHub Actions gives this job no identity token: ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN are not set",
			hint: "in the workflow: permissions: {id-token: write, contents: read}",
		}
	}
	query := u.Query()
	query.Set("audience", audience)
	u.RawQuery = query.Encode()
	client, err := env.client()
	if err != nil {
		return secret.String{}, err
	}
	client.Trace = nil // the answer's one member is the token
	whole, cancel := context.WithTimeout(ctx, max(10*time.Second, client.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(whole, http.MethodGet, u.String(), nil)
	if err != nil {
		return secret.String{}, usage("ACTIONS_ID_TOKEN_REQUEST_URL is not a URL")
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req, 1<<20)
	if err != nil {
		return secret.String{}, fmt.Errorf("asking GitHub for the job's identity token: %w", err)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if res.Status == http.StatusOK && json.Unmarshal(res.Body, &answer) == nil && answer.Value != "" {
		return secret.New(answer.Value), nil
	}
	d := &diagnosis.Diagnosis{ID: diagnosis.RequestRefused, Expected: diagnosis.Values{"an identity token from GitHub Actions"}, Got: diagnosis.Values{fmt.Sprintf("status %d", res.Status)}}
	if res.Status >= 500 || res.Status == http.StatusTooManyRequests {
		d.ID = diagnosis.ServerError
	}
	return secret.String{}, d
}

// mask keeps a token that is about to be printed out of the log of a GitHub
// Actions job. The runner takes such lines from either stream, and stdout belongs
// to the datum.
func (env *Env) mask(token secret.String) {
	if env.Getenv("GITHUB_ACTIONS") != "true" || token.IsZero() {
		return
	}
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(token.Reveal())
	env.stderr().line("::add-mask::%s", value)
}
