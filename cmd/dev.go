package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

type devOptions struct {
	listen         string
	apiListen      string
	insecureListen bool
	accessTokenTTL time.Duration
	alg            string
	autoApprove    bool
	faults         []string
	users          []string
	clients        []string
	seed           int64
	state          string
}

func newDev(env *Env) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use: "dev",
		Long: `Run a development authorization server and a protected API on loopback, without
any configuration. The users are alice and bob, their password is password. The
API offers GET /api/items (items:read), POST /api/items (items:write) and DELETE
/api/users/{id} (users:delete).

It is for development only: its users are known to everybody. Nothing is kept
unless --state names a file.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDev(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:9000", "the authorization server's `ADDRESS`")
	f.StringVar(&o.apiListen, "api-listen", "127.0.0.1:9001", "the API's `ADDRESS`")
	f.BoolVar(&o.insecureListen, "insecure-listen", false, "allow addresses that other machines can reach")
	f.DurationVar(&o.accessTokenTTL, "access-token-ttl", 5*time.Minute, "how long access tokens live")
	f.StringVar(&o.alg, "alg", "", "sign with this algorithm (default ES256)")
	f.BoolVar(&o.autoApprove, "auto-approve", false, "log alice in and consent without asking")
	f.StringArrayVar(&o.users, "user", nil, "let `NAME[:PASSWORD]` log in too (repeatable; @FILE has one a line)")
	f.StringArrayVar(&o.clients, "client", nil, "register `ID[:SECRET][,REDIRECT_URI...]` (repeatable; @FILE has one a line)")
	f.Int64Var(&o.seed, "seed", 0, "make the same keys and client ids from the same `NUMBER`")
	f.StringVar(&o.state, "state", "", "keep keys, clients and refresh tokens in `FILE` over restarts")
	f.StringArrayVar(&o.faults, "fault", nil, "misbehave: `NAME[=VALUE]` (repeatable; \"list\" shows the names)")
	return cmd
}

func runDev(ctx context.Context, env *Env, o devOptions) error {
	if len(o.faults) == 1 && o.faults[0] == "list" {
		return listFaults(env)
	}
	d, err := startDev(env, o)
	if err != nil {
		return err
	}
	defer d.stop()
	s := env.stderr()
	if !env.global.quiet {
		s.line("%s %s", s.strong("authorization server"), d.issuer)
		s.line("%s        %s", s.strong("protected API"), d.api)
		s.line("%s", s.faint("users alice and bob, password \"password\""))
		if len(o.users) > 0 {
			s.line("%s", s.faint("and those of --user"))
		}
		s.line("")
		s.line("Try in another terminal:")
		s.line("  %s", s.name("oauthctl login "+d.api))
		s.line("  %s", s.name("oauthctl verify"))
		s.line("  %s", s.name("oauthctl call GET /api/items"))
		s.line("")
		s.line("%s", s.faint("Ctrl-C ends it"))
	}
	select {
	case <-ctx.Done():
		// Ctrl-C is how it is meant to end.
		return nil
	case err := <-d.failed:
		return fmt.Errorf("dev: %w", err)
	}
}

// running is a development server that listens.
type running struct {
	server      *devserver.Server
	issuer, api string
	failed      chan error
	stop        func()
}

// startDev binds both addresses and serves; demo does the same with free ports.
func startDev(env *Env, o devOptions) (*running, error) {
	users, clients, err := o.people()
	if err != nil {
		return nil, err
	}
	as, err := o.bind("--listen", o.listen)
	if err != nil {
		return nil, err
	}
	api, err := o.bind("--api-listen", o.apiListen)
	if err != nil {
		as.Close()
		return nil, err
	}
	r := &running{issuer: "http://" + as.Addr().String(), api: "http://" + api.Addr().String(), failed: make(chan error, 2)}
	r.server, err = devserver.New(devserver.Config{
		Issuer:         r.issuer,
		API:            r.api,
		AccessTokenTTL: o.accessTokenTTL,
		Algorithm:      o.alg,
		AutoApprove:    o.autoApprove,
		Faults:         o.faults,
		Users:          users,
		Clients:        clients,
		Seed:           o.seed,
		State:          o.state,
		Now:            env.Now,
	})
	if err != nil {
		as.Close()
		api.Close()
		return nil, usage("%s", strings.TrimPrefix(err.Error(), "devserver: "))
	}
	var serving sync.WaitGroup
	servers := []*http.Server{newServer(r.server.AuthorizationServer()), newServer(r.server.API())}
	for i, l := range []net.Listener{as, api} {
		serving.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				r.failed <- err
			}
		})
	}
	r.stop = func() {
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, server := range servers {
			if server.Shutdown(grace) != nil {
				server.Close()
			}
		}
		serving.Wait()
	}
	return r, nil
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 256 << 10}
}

// bind listens on an address that only this machine can reach, unless told
// otherwise: its users' passwords are printed in the documentation.
func (o devOptions) bind(flag, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return nil, usage("%s: expected HOST:PORT, got %q", flag, address)
	case !safehttp.IsLoopback(host) && !o.insecureListen:
		return nil, &usageError{
			what: fmt.Sprintf("%s: %s is not a loopback address", flag, address),
			hint: "everybody knows the password of this server's users; --insecure-listen allows it all the same",
		}
	}
	return listen(flag, address)
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

// people reads --user and --client.
func (o *devOptions) people() (users []devserver.User, clients []devserver.Client, err error) {
	lines, err := listed("--user", o.users)
	if err != nil {
		return nil, nil, err
	}
	for _, line := range lines {
		name, password, _ := strings.Cut(line, ":")
		if name == "" {
			return nil, nil, usage("--user: expected NAME[:PASSWORD], got an empty name")
		}
		users = append(users, devserver.User{Name: name, Password: password, FullName: name, Email: name + "@example.com"})
	}
	if lines, err = listed("--client", o.clients); err != nil {
		return nil, nil, err
	}
	for _, line := range lines {
		parts := strings.Split(line, ",")
		id, password, _ := strings.Cut(parts[0], ":")
		clients = append(clients, devserver.Client{ID: id, Secret: password, RedirectURIs: slices.Clip(parts[1:])})
	}
	return users, clients, nil
}

// listed returns a repeatable flag's values, and for @FILE the file's lines but
// for empty ones and those that begin with #.
func listed(flag string, values []string) ([]string, error) {
	var all []string
	for _, value := range values {
		path, isFile := strings.CutPrefix(value, "@")
		if !isFile {
			all = append(all, value)
			continue
		}
		data, err := readFile(path, 1<<20)
		if err != nil {
			return nil, usage("%s: %w", flag, err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				all = append(all, line)
			}
		}
	}
	return all, nil
}
