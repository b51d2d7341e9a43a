package cmd

import (
	"fmt"
	"net"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// introduce prints the URLs of the server and commands to try.
func (o *devOptions) introduce(s *screen, d *running) {
	login := d.api
	s.line("%s %s", s.strong("authorization server"), d.issuer)
	s.line("%s             %s", s.strong("demo API"), d.api)
	for _, resource := range o.resources {
		login = resource
		s.line("%s             %s", s.strong("your API"), clean(resource))
	}
	if o.console {
		s.line("%s              %s", s.strong("console"), d.console)
	}
	if d.ca != "" {
		s.line("%s       %s", s.strong("CA certificate"), clean(d.ca))
	}
	s.line("%s", s.faint("users alice and bob, password \"password\""))
	if len(o.users) > 0 {
		s.line("%s", s.faint("and those of --user"))
	}
	s.line("")
	s.line("Try in another terminal:")
	s.line("  %s", s.name("oauthctl login "+clean(login)))
	s.line("  %s", s.name("oauthctl verify"))
	if len(o.resources) == 0 {
		s.line("  %s", s.name("oauthctl call GET /api/items"))
	}
	s.line("")
	s.line("%s", s.faint("Press Ctrl-C to stop"))
}

// warn prints a warning for each flag that makes this server unsafe.
func (o *devOptions) warn(env *Env) {
	if o.seed != 0 {
		text := "--seed: everyone who knows the number can sign tokens as this server; no real API may trust it"
		if o.insecureListen {
			text = "--seed with --insecure-listen: other machines can reach this server, and everyone who knows the number can sign tokens as it"
		}
		env.warn("%s", text)
	}
	if o.insecureListen {
		env.warn("--insecure-listen: other machines can log in here as any user, since the passwords are public")
		host, _, _ := net.SplitHostPort(o.listen)
		if isUnspecified(host) && o.issuer == "" {
			env.warn("the issuer's URL has the host 127.0.0.1, which other machines cannot reach; set --issuer and --api-url")
		}
	}
	if o.anyRedirectURI {
		env.warn("--any-redirect-uri: codes can be sent to other machines without encryption")
	}
}

// printToken prints a token that a server with these flags would issue. It does not
// start the server.
func (o *devOptions) printToken(env *Env) error {
	if o.seed == 0 && o.state == "" {
		return usageOf("--mint needs --seed or --state: without them no server has the key", "oauthctl dev --mint "+shellQuote(o.mint)+" --seed 7")
	}
	config, err := o.config(env)
	if err != nil {
		return err
	}
	server, err := o.assemble(&config, o.listen, o.apiListen)
	if err != nil {
		return err
	}
	raw, err := server.Mint(o.mint)
	if err != nil {
		return usage("--mint: %w", err)
	}
	env.stdout().line("%s", raw)
	return nil
}

func listFaults(env *Env) error {
	type row struct {
		Name      string `json:"name"`
		Diagnosis string `json:"diagnosis"`
		Effect    string `json:"effect"`
	}
	var rows []row
	for _, f := range devserver.Faults() {
		rows = append(rows, row{f.Name, string(f.Diagnosis), f.Effect})
	}
	if env.global.wantsJSON() {
		return env.printJSON(rows)
	}
	s := env.stdout()
	for _, r := range rows {
		s.line("%s  %s", s.strong(fmt.Sprintf("%-26s", r.Name)), r.Effect)
		if r.Diagnosis != "" {
			s.line("%28s%s", "", s.faint(r.Diagnosis))
		}
	}
	return nil
}
