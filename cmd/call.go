package cmd

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

type callOptions struct {
	method      string
	target      string
	items       []string
	data        string
	header      []string
	include     bool
	noToken     bool
	allowOrigin []string
	retry       int
	curl        bool
	output      string
	paginate    bool
	stream      bool
	dryRun      bool
	time        bool
}

// check finds what does not go together before anything is sent.
func (o *callOptions) check(json, filtered bool) error {
	switch {
	case o.retry < 0:
		return usage("--retry: expected a number from 0, got %d", o.retry)
	case o.curl && o.dryRun:
		return usage("--curl and --dry-run are two ways to show the request; use one of them")
	case o.stream && (o.paginate || json || o.output != ""):
		return usage("--stream: not with --paginate, --json or --output")
	case o.paginate && (o.output != "" || o.include):
		return usage("--paginate: not with --output or --include")
	case o.paginate && !strings.EqualFold(o.method, http.MethodGet):
		return usage("--paginate: expected GET, got %q", o.method)
	case o.output != "" && (json || filtered):
		return usage("--output: not with --json or --jq")
	}
	return nil
}

func newCall(env *Env) *cobra.Command {
	var o callOptions
	cmd := &cobra.Command{
		Use: "call METHOD URL|PATH [ITEM...]",
		Long: `Call the profile's API with the access token attached, renewed first if it is
due. PATH is appended to the API's URL. The items make the request:

  name=value    a text field of the JSON body
  name:=json    a field with any JSON value
  name==value   a query parameter
  Name:value    a header field
  name@file     a file; it makes the body a form
  a[b]=value    a field inside another; a[]=value adds to a list

The body of the answer goes to stdout, untouched when it is piped. The token goes
to the API's own origin only; another one needs --allow-origin.`,
		Example: `  oauthctl call GET /api/items
  oauthctl call POST /api/items id:=3 name=Gizmo
  oauthctl call GET /api/items --jq '.[].name'
  oauthctl call GET /api/items --paginate --jq length
  echo '{"id":4,"name":"Nut"}' | oauthctl call POST /api/items -d -`,
		Args: between(2, 1000),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.method, o.target, o.items = args[0], args[1], args[2:]
			return runCall(cmd.Context(), env, o)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.data, "data", "d", "", "send `DATA` as the body, @FILE a file's, - standard input")
	f.StringArrayVarP(&o.header, "header", "H", nil, "add the header field `\"NAME: VALUE\"` (repeatable)")
	f.BoolVarP(&o.include, "include", "i", false, "print the status and the header as well")
	f.IntVar(&o.retry, "retry", 0, "repeat a GET, HEAD, PUT or DELETE that failed for a passing reason `N` times")
	f.BoolVar(&o.curl, "curl", false, "print the request as a curl command, the token by reference, and send nothing")
	f.StringVarP(&o.output, "output", "o", "", "write the body to `FILE`, which is replaced only by a whole one")
	f.BoolVar(&o.paginate, "paginate", false, "go on to the next page as the Link header says; lists are joined")
	f.BoolVar(&o.stream, "stream", false, "print each server-sent event, or each line, as it comes")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the request and send nothing")
	f.BoolVar(&o.time, "time", false, "tell on stderr where the time went")
	f.BoolVar(&o.noToken, "no-token", false, "send no token")
	f.StringArrayVar(&o.allowOrigin, "allow-origin", nil, "let the origin of this `URL` have the token too (repeatable)")
	return cmd
}

func runCall(ctx context.Context, env *Env, o callOptions) error {
	r, err := env.resolve()
	if err != nil {
		return err
	}
	if err := o.check(env.global.json, env.global.jq != ""); err != nil {
		return err
	}
	request, err := o.request(env)
	if err != nil {
		return err
	}
	client, err := env.apiClient(r, o)
	if err != nil {
		return err
	}
	if o.curl {
		if err := env.unbound(r, "--curl"); err != nil && !o.noToken {
			return err
		}
		line, err := client.Curl(request, "oauthctl token --format header")
		if err != nil {
			return callFault(err)
		}
		env.stdout().line("%s", line)
		return nil
	}
	if o.dryRun {
		return env.showRequest(ctx, client, request)
	}
	if o.time {
		var clock stopwatch
		ctx = clock.watch(ctx)
		defer clock.tell(env)
	}
	if o.paginate {
		return env.callPages(ctx, client, request)
	}
	res, err := client.Do(ctx, request)
	if err != nil {
		return callFault(err)
	}
	defer res.Body.Close()
	if err := env.showResponse(res, o); err != nil {
		return err
	}
	return env.explainRefusal(res)
}

// showRequest prints the request as it would be sent, the token redacted.
func (env *Env) showRequest(ctx context.Context, client *apicall.Client, request apicall.Request) error {
	req, err := client.Preview(ctx, request)
	if err != nil {
		return callFault(err)
	}
	s := env.stdout()
	s.line("%s %s", s.strong(clean(req.Method)), clean(req.URL.String()))
	if client.Source != nil {
		s.line("%s: [redacted]", s.name("Authorization"))
	}
	for _, name := range sortedKeys(req.Header) {
		for _, value := range req.Header[name] {
			s.line("%s: %s", s.name(clean(name)), clean(value))
		}
	}
	if request.Stream != nil {
		s.line("")
		s.line("%s", s.faint("the body comes from standard input"))
		return nil
	}
	if request.Body != nil {
		s.line("")
		return env.showBody(request.Body, req.Header.Get("Content-Type"))
	}
	return nil
}

// callFault takes what package apicall says of the request itself for a fault of
// the command line.
func callFault(err error) error {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) || errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "apicall: ") && !strings.HasPrefix(err.Error(), "safehttp: ") {
		return err
	}
	return usage("%w", err)
}

func (env *Env) apiClient(r *resolved, o callOptions) (*apicall.Client, error) {
	httpClient, err := env.client()
	if err != nil {
		return nil, err
	}
	if r.API == "" && !isURL(o.target) {
		return nil, &usageError{what: "the profile names no API", hint: "oauthctl profile set api=URL, or give a whole URL"}
	}
	httpClient.Patient = o.stream
	client := &apicall.Client{HTTP: httpClient, API: r.API, AllowOrigins: o.allowOrigin, Retries: o.retry, Now: env.Now}
	if !o.noToken {
		client.Source = &tokenSource{env: env}
	}
	client.Dropped = func(_, to *url.URL) {
		env.warn("redirected to %s: the token stays behind", clean(safehttp.Origin(to)))
	}
	client.NotRepeated = func(why error) { env.warn("not sent again with another token: %s", clean(why.Error())) }
	client.Retrying = func(after time.Duration, why error) {
		env.warn("%s; trying again in %s", clean(why.Error()), span(after))
	}
	return client, nil
}

// request makes the request from the flags and items.
func (o *callOptions) request(env *Env) (apicall.Request, error) {
	request := apicall.Request{Method: strings.ToUpper(o.method), Target: o.target}
	items, err := apicall.ParseItems(o.items)
	if err != nil {
		return request, usage("%w", err)
	}
	request.Query, request.Header = items.Query, items.Header
	for _, line := range o.header {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return request, usage(`--header: expected "NAME: VALUE", got %q`, line)
		}
		request.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	body, err := items.Body()
	switch {
	case err != nil:
		return request, usage("%w", err)
	case body != nil && o.data != "":
		return request, usage("--data and fields such as name=value both make the body; use one of them")
	case body != nil:
		request.Body = body
	case o.data == "-":
		request.Stream = env.Stdin
	case strings.HasPrefix(o.data, "@"):
		if request.Body, err = readFile(o.data[1:], 1<<30); err != nil {
			return request, usage("--data: %w", err)
		}
	case o.data != "":
		request.Body = []byte(o.data)
	}
	if (request.Body != nil || request.Stream != nil) && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if request.Header.Get("Accept") == "" {
		accept := "application/json, */*;q=0.5"
		if o.stream {
			accept = "text/event-stream, application/x-ndjson, application/json;q=0.5, */*;q=0.1"
		}
		request.Header.Set("Accept", accept)
	}
	return request, nil
}

// explainRefusal tells what a 401 or 403 means and which command helps.
func (env *Env) explainRefusal(res *http.Response) error {
	refusal := apicall.Refused(res)
	if refusal == nil {
		return nil
	}
	if flags := refusal.LoginFlags(); flags != nil {
		login := "oauthctl login"
		if env.global.profile != "" {
			login += " -p " + shellQuote(env.global.profile)
		}
		for _, flag := range flags {
			login += " " + shellQuote(flag)
		}
		refusal.Hint = login
	}
	return refusal.Diagnosis
}
