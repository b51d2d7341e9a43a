package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

type callOptions struct {
	method string
	target string
	items  []string
	apiOptions
	allowOrigin []string

	data      string
	dataGiven bool
	header    []string
	form      bool
	multipart bool

	include bool
	output  string
	resume  bool
	time    bool
	graphql bool

	retry       int
	retryStatus []int
	curl        bool
	dryRun      bool
	noToken     bool
	report      string

	paginate  bool
	next      string
	nextParam string

	stream    bool
	reconnect bool

	parsed *requestItems
	at     streamed
}

// apiOptions say how a command reaches the API.
type apiOptions struct {
	unixSocket   string
	insecureHTTP bool
}

func (o *apiOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.unixSocket, "unix-socket", "", "connect to the API through the Unix domain socket at `PATH`")
	f.BoolVar(&o.insecureHTTP, "insecure-http", false, "send the token over plain http, where others on the network can read it")
}

// check refuses flags that cannot be combined, before anything is sent.
func (o *callOptions) check(env *Env) error {
	json, filtered := env.global.json, env.global.jq != ""
	switch {
	case o.retry < 0:
		return usage("--retry: expected a number from 0, got %d", o.retry)
	case o.curl && o.dryRun:
		return usage("--curl and --dry-run both show the request; use one of them")
	case o.form && o.multipart:
		return usage("--form and --multipart cannot be combined")
	case o.multipart && o.dataGiven:
		return usage("--multipart cannot be combined with --data")
	case o.stream && (o.paginate || o.output != ""):
		return usage("--stream cannot be combined with --paginate or --output")
	case o.reconnect && !o.stream:
		return usage("--reconnect needs --stream")
	case o.paginate && (o.output != "" || o.include):
		return usage("--paginate cannot be combined with --output or --include")
	case o.paginate && !strings.EqualFold(o.method, http.MethodGet):
		return usage("--paginate: expected GET, got %q", o.method)
	case o.next != "" && !o.paginate:
		return usage("--next needs --paginate")
	case o.output != "" && (json || filtered):
		return usage("--output cannot be combined with --json or --jq")
	case o.output != "" && o.output != "-" && strings.EqualFold(o.method, http.MethodHead):
		return usage("--output: the answer to HEAD has no body")
	case o.resume && (o.output == "" || o.output == "-"):
		return usage("--continue needs --output FILE")
	case o.graphql && (o.stream || o.output != "" || o.paginate):
		return usage("--graphql cannot be combined with --stream, --output or --paginate")
	}
	for _, status := range o.retryStatus {
		if status < 400 || status > 599 {
			return usage("--retry-status: expected a status from 400 to 599, got %d", status)
		}
	}
	for _, origin := range o.allowOrigin {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return usage("--allow-origin: expected a URL such as https://files.example.com, got %q", origin)
		}
	}
	return nil
}

func newCall(env *Env) *cobra.Command {
	var o callOptions
	cmd := &cobra.Command{
		Use: "call [METHOD] URL|PATH [ITEM...]",
		Long: `Call the profile's API with the access token attached, refreshing it first if it
expires soon. PATH is appended to the API's URL. The items build the request:

  name=value    a text field of the JSON body; name=@FILE takes it from a file
  name:=json    a field with any JSON value; name:=@FILE takes it from a file
  name==value   a query parameter
  Name:value    a header field; Name: removes a default one
  name@FILE     a file in a multipart form; ;type= and ;filename= may follow
  a[b]=value    a field inside another; a[]=value adds to a list

METHOD defaults to GET, or to POST if there is a body. The body of the response
is printed to stdout; on a pipe it is not changed. The token is sent to the
API's own origin only, unless --allow-origin adds another.`,
		Example: `  # List the items
  oauthctl call GET /api/items

  # Create an item
  oauthctl call POST /api/items id:=3 name=Gizmo

  # Print the names only
  oauthctl call GET /api/items --jq '.[].name'

  # Send a body from standard input
  echo '{"id":4,"name":"Nut"}' | oauthctl call POST /api/items -d -

  # Show the request without sending it
  oauthctl call POST /api/files file@report.pdf note=Draft --dry-run`,
		Args: callArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dataGiven = cmd.Flags().Changed("data")
			o.take(args)
			return env.reporting(o.report, cmd, func() error { return runCall(cmd.Context(), env, &o) })
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return methods(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *callOptions) addFlags(f *pflag.FlagSet) {
	addGroup(f, "Request flags", o.addRequestFlags)
	addGroup(f, "Response flags", o.addResponseFlags)
	addGroup(f, "Flags for several requests", o.addRepeatFlags)
	addGroup(f, "Connection and token flags", o.addTokenFlags, o.apiOptions.addFlags)
}

func (o *callOptions) addRequestFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.data, "data", "d", "", "send `DATA` as the body; @FILE reads a file, - standard input")
	allowEmpty(f.Lookup("data"))
	f.StringArrayVarP(&o.header, "header", "H", nil, "add the header field `\"NAME: VALUE\"` (repeatable)")
	f.BoolVar(&o.form, "form", false, "send the fields, or the data, as a URL-encoded form")
	f.BoolVar(&o.multipart, "multipart", false, "send the fields as a multipart form, even without a file")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the request and send nothing")
	f.BoolVar(&o.curl, "curl", false, "print the request as a curl command without the token, and send nothing")
}

func (o *callOptions) addResponseFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.include, "include", "i", false, "also print the status and the headers")
	f.StringVarP(&o.output, "output", "o", "", "save the body to `FILE` once it is complete")
	f.BoolVarP(&o.resume, "continue", "C", false, "with --output, request only the missing part of FILE, and append it")
	f.BoolVar(&o.stream, "stream", false, "print each server-sent event or line as it arrives")
	f.BoolVar(&o.reconnect, "reconnect", false, "with --stream, reconnect with Last-Event-ID when the stream ends")
	f.BoolVar(&o.graphql, "graphql", false, "fail if a GraphQL response has errors, even with status 200")
	f.BoolVar(&o.time, "time", false, "print a timing breakdown to stderr")
	f.StringVar(&o.report, "report", "", "write the requests and responses to `FILE` for a bug report, with labels instead of secrets")
}

func (o *callOptions) addRepeatFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.paginate, "paginate", false, "follow Link: rel=\"next\" and join the lists")
	f.StringVar(&o.next, "next", "", "with --paginate, a jq `EXPRESSION` for the next page's URL, cursor or parameters")
	f.StringVar(&o.nextParam, "next-param", "cursor", "query parameter `NAME` for a cursor of --next")
	f.IntVar(&o.retry, "retry", 0, "retry GET, HEAD, OPTIONS, PUT and DELETE up to `N` times on transient failures")
	f.IntSliceVar(&o.retryStatus, "retry-status", nil, "with --retry, also retry on this `STATUS`, such as 500 (repeatable)")
}

func (o *callOptions) addTokenFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.noToken, "no-token", false, "send no token")
	f.StringArrayVar(&o.allowOrigin, "allow-origin", nil, "also send the token to the origin of `URL` (repeatable)")
}

func runCall(ctx context.Context, env *Env, o *callOptions) error {
	if err := o.check(env); err != nil {
		return err
	}
	if err := o.looksWrong(); err != nil {
		return err
	}
	request, err := o.request(env)
	if err != nil {
		return err
	}
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	client, err := env.apiClient(a, o)
	if err != nil {
		return err
	}
	preview, err := client.Preview(ctx, request)
	if err != nil {
		return callFault(err)
	}
	if (o.curl || o.dryRun) && !o.noToken {
		if err := a.CheckAPI(o.allowOrigin...); err != nil {
			return err
		}
	}
	switch {
	case o.curl:
		if s, err := a.Session(); err == nil && !s.DPoPKey.IsZero() && !o.noToken {
			return boundUsage("--curl")
		}
		return env.printCurl(a.Profile(), preview, request, o)
	case o.dryRun:
		return env.showRequest(preview, request, client.Source != nil)
	}
	env.about = preview.URL.Scheme + "://" + preview.URL.Host + preview.URL.EscapedPath()
	if o.time {
		var clock stopwatch
		ctx = clock.watch(ctx)
		defer clock.print(env)
	}
	if o.paginate {
		return env.callPages(ctx, client, request, o)
	}
	return env.callOnce(ctx, client, request, o)
}

// callOnce sends the request and shows its answer.
func (env *Env) callOnce(ctx context.Context, client *apicall.Client, request apicall.Request, o *callOptions) error {
	a := &answer{env: env, o: o}
	if o.output != "" && o.output != "-" {
		out, err := openOutput(ctx, o.output, o.resume)
		if err != nil {
			return err
		}
		defer out.discard()
		a.out = out
		if out.resumed > 0 {
			request.Header["Range"] = []string{fmt.Sprintf("bytes=%d-", out.resumed)}
		}
	}
	return env.send(ctx, client, request, a)
}

func (env *Env) send(ctx context.Context, client *apicall.Client, request apicall.Request, a *answer) error {
	if request.Body != nil && request.Body.Length > maxHeld {
		request.Body = env.withProgress(request.Body)
	}
	send := env.attempts
	if a.o.reconnect {
		send = env.reconnecting
	}
	res, err := send(ctx, client, request, a)
	if err != nil {
		return err
	}
	if a.refusal == nil || a.resumedAll(res) {
		return nil
	}
	return env.explainRefusal(ctx, res, a.refusal, a.o)
}

// resumedAll reports whether an answer says that there was nothing left to
// continue with.
func (a *answer) resumedAll(res *http.Response) bool {
	return a.out != nil && a.o.resume && res.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// withProgress reports on a terminal how far an upload has come.
func (env *Env) withProgress(body *apicall.Body) *apicall.Body {
	open := body.Open
	return &apicall.Body{Length: body.Length, Once: body.Once, Open: func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return &uploading{r, progress{env: env, total: body.Length}}, nil
	}}
}

type uploading struct {
	io.ReadCloser
	progress progress
}

// Read implements [io.Reader].
func (u *uploading) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil {
		u.progress.end()
	} else {
		_, _ = u.progress.Write(p[:n])
	}
	return n, err
}

// showRequest prints the request as it would be sent, the secrets redacted.
func (env *Env) showRequest(req *http.Request, request apicall.Request, token bool) error {
	s := env.stdout()
	address := req.URL.String()
	if !env.global.showSecrets {
		address = safehttp.RedactURL(address)
	}
	s.line("%s %s", s.strong(clean(req.Method)), clean(address))
	if token {
		s.line("%s: [redacted]", s.name("Authorization"))
	}
	for _, name := range sortedKeys(req.Header) {
		for _, value := range req.Header[name] {
			if !env.global.showSecrets {
				value = safehttp.RedactField(name, value)
			}
			s.line("%s: %s", s.name(clean(name)), clean(value))
		}
	}
	return env.showRequestBody(request)
}

func (env *Env) showRequestBody(request apicall.Request) error {
	s := env.stdout()
	switch {
	case request.Body == nil:
		return nil
	case request.Body.Once:
		s.line("")
		s.line("%s", s.faint("the body is read when it is sent"))
		return nil
	case request.Body.Length > maxHeld:
		s.line("")
		s.line("%s", s.faint(size(request.Body.Length)+" of body"))
		return nil
	}
	r, err := request.Body.Open()
	if err != nil {
		return usage("the body: %w", err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return usage("the body: %w", err)
	}
	s.line("")
	kind := ""
	if values := request.Header["Content-Type"]; len(values) > 0 {
		kind = values[0]
	}
	if !env.global.showSecrets {
		if text, known := safehttp.RedactBody(kind, body); known {
			body = []byte(text)
		}
	}
	return env.showBody(body, kind)
}

// callFault makes what package apicall says of the request itself a fault of the
// command line.
func callFault(err error) error {
	var (
		d      *diagnosis.Diagnosis
		field  *apicall.HeaderError
		wrong  *usageError
		broken jqError
	)
	switch {
	case err == nil, errors.As(err, &d), errors.As(err, &wrong), errors.As(err, &broken), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &field):
		return &usageError{what: err.Error(), hint: "add --no-token to send your own"}
	}
	return usage("%w", err)
}

// noAPI says what is missing to call the target with a token: a login, or an API.
func (env *Env) noAPI(a *account.Account, target string) error {
	if _, err := a.Session(); err != nil && !a.ActsForItself() && env.environmentToken().IsZero() {
		return err
	}
	wrong := &usageError{what: "no API is configured for this profile"}
	api, otherwise := "URL", "give a complete URL with --allow-origin URL"
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		api = safehttp.Origin(u)
		otherwise = "add --allow-origin " + api
		wrong.what += ", so the token is not sent to " + api
		wrong.err = &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Got: diagnosis.Values{api}}
	}
	wrong.commands = []string{env.command("profile", "set", "api="+api)}
	wrong.hint = wrong.commands[0] + ", or " + otherwise
	return wrong
}

func (env *Env) apiClient(a *account.Account, o *callOptions) (*apicall.Client, error) {
	httpClient, err := env.client()
	if err != nil {
		return nil, err
	}
	api := a.Profile().Get(profile.API)
	if api == "" && (!isURL(o.target) || !o.noToken && len(o.allowOrigin) == 0) {
		return nil, env.noAPI(a, o.target)
	}
	if err := env.reachAPI(httpClient, a.Profile(), o); err != nil {
		return nil, err
	}
	httpClient.Patient = o.stream
	client := &apicall.Client{HTTP: httpClient, API: api, AllowOrigins: o.allowOrigin, Retries: o.retry, RetryStatus: o.retryStatus, Now: env.Now}
	if !o.noToken {
		if _, err := env.pastedToken(); err != nil {
			return nil, err
		}
		client.Source = a.TokenSource(o.allowOrigin...)
	}
	client.Dropped = func(_, to *url.URL) {
		env.warn("redirected to %s: the token is not sent there", clean(env.secrets.Scrub(safehttp.Origin(to))))
	}
	client.NotRepeated = func(why error) { env.warn("%s", clean(notRepeated(why))) }
	client.Retrying = func(after time.Duration, why error) {
		env.warn("%s; retrying in %s", clean(why.Error()), span(after))
	}
	return client, nil
}
