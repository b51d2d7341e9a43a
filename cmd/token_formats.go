package cmd

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// tokenFormat is a value of --format.
type tokenFormat struct {
	name  string
	print func(*Env, tokenOptions, *usableToken) error
	// passedOn means that another program will send the token, without the proofs
	// that a bound token needs.
	passedOn bool
	// id selects the ID token instead of the access token.
	id bool
	// isJSON means that --json changes nothing.
	isJSON bool
	// target is set for a credential helper. It parses the program's request, and
	// returns the server for which the token is requested.
	target func(asked string) (*url.URL, error)
	// lacks is the line with which a credential helper reports that it has no token.
	lacks string
}

// tokenFormats returns the table of formats.
func tokenFormats() []tokenFormat {
	return []tokenFormat{
		{name: "raw", print: printRaw},
		{name: "header", print: printHeader},
		{name: "json", print: printTokenJSON, isJSON: true},
		{name: "env", print: printEnv, passedOn: true},
		{name: "fish", print: printFish, passedOn: true},
		{name: "powershell", print: printPowerShell, passedOn: true},
		{name: "curl", print: printCurlConfig, passedOn: true},
		{name: "netrc", print: printNetrc, passedOn: true},
		{name: "git", print: printGit, passedOn: true, target: gitServer},
		{name: "docker", print: printDocker, passedOn: true, target: dockerServer, lacks: "credentials not found in native keychain"},
		{name: "exec-credential", print: printExecCredential, isJSON: true},
		{name: "id_token", print: printRaw, id: true},
	}
}

// tokenFormatNames are the values of --format.
func tokenFormatNames() []string {
	var names []string
	for _, f := range tokenFormats() {
		names = append(names, f.name)
	}
	return names
}

// tokenFormatNamed returns the row of a format.
func tokenFormatNamed(name string) tokenFormat {
	return tokenFormats()[slices.Index(tokenFormatNames(), name)]
}

func printRaw(env *Env, _ tokenOptions, t *usableToken) error {
	env.stdout().line("%s", t.value.Reveal())
	return nil
}

func printHeader(env *Env, _ tokenOptions, t *usableToken) error {
	env.stdout().line("Authorization: %s %s", t.kind, t.value.Reveal())
	return nil
}

func printEnv(env *Env, o tokenOptions, t *usableToken) error {
	env.stdout().line("export %s=%s", o.variable, shellQuote(t.value.Reveal()))
	return nil
}

func printFish(env *Env, o tokenOptions, t *usableToken) error {
	env.stdout().line("set -gx %s '%s'", o.variable, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(t.value.Reveal()))
	return nil
}

func printPowerShell(env *Env, o tokenOptions, t *usableToken) error {
	env.stdout().line("$env:%s = '%s'", o.variable, strings.ReplaceAll(t.value.Reveal(), "'", "''"))
	return nil
}

func printCurlConfig(env *Env, _ tokenOptions, t *usableToken) error {
	env.stdout().line("header = \"Authorization: %s %s\"", t.kind, t.value.Reveal())
	return nil
}

func printNetrc(env *Env, o tokenOptions, t *usableToken) error {
	host, err := t.host()
	if err != nil {
		return err
	}
	env.stdout().line("machine %s login %s password %s", host, o.username, t.value.Reveal())
	return nil
}

func printTokenJSON(env *Env, o tokenOptions, t *usableToken) error {
	shown := struct {
		AccessToken string `json:"access_token,omitempty"`
		IDToken     string `json:"id_token,omitempty"`
		TokenType   string `json:"token_type"`
		ExpiresAt   string `json:"expires_at,omitempty"`
		Scope       string `json:"scope,omitempty"`
	}{AccessToken: t.value.Reveal(), TokenType: t.kind, Scope: strings.Join(t.scope, " ")}
	if o.id {
		shown.AccessToken, shown.IDToken = "", shown.AccessToken
	}
	shown.ExpiresAt = timestamp(t.expires)
	return env.printJSON(shown)
}

// printExecCredential prints the response of a kubectl credential plugin
// (client.authentication.k8s.io), in the version that kubectl requests.
func printExecCredential(env *Env, _ tokenOptions, t *usableToken) error {
	type status struct {
		Expires string `json:"expirationTimestamp,omitempty"`
		Token   string `json:"token"`
	}
	answer := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     status `json:"status"`
	}{"client.authentication.k8s.io/v1", "ExecCredential", status{Token: t.value.Reveal()}}
	var asked struct {
		APIVersion string `json:"apiVersion"`
	}
	const beta = "client.authentication.k8s.io/v1beta1"
	if json.Unmarshal([]byte(env.Getenv("KUBERNETES_EXEC_INFO")), &asked) == nil && asked.APIVersion == beta {
		answer.APIVersion = beta
	}
	answer.Status.Expires = timestamp(t.expires)
	return env.printJSON(answer)
}
