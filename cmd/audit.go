package cmd

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

type auditOptions struct {
	openapi   string
	policy    string
	operation []string
	cases     []string
	quick     bool

	issuer         string
	issuerListen   string
	insecureListen bool
	alg            string
	key            string
	kid            string
	token          string
	clientID       string
	secretFile     string
	otherResource  string
	allowRefresh   bool

	audience   string
	subject    string
	claims     []string
	scopeClaim string
	typ        string
	params     []string
	headers    []string

	revocation bool
	rotation   time.Duration

	unsafe      string
	iOwn        string
	rate        float64
	strict      bool
	minCoverage int

	baseline      string
	writeBaseline string
	sarif         string
	junit         string

	command []string
	// listens and typed are set if --issuer-listen and --typ were given.
	listens, typed bool
	given          []givenFlag
}

func newAudit(env *Env) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use: "audit URL [flags] [-- COMMAND [ARG...]]",
		Long: `Test, operation by operation, which access tokens an API accepts and which it
refuses. Each request differs from a valid one in one way. A valid request is
sent before and after, for comparison. A result that is not proven is never
shown as passed.

By default the tokens come from an issuer in this process, which the API has to
trust while it is tested. With -- COMMAND, audit starts the API with
OAUTH_ISSUER, OAUTH_JWKS_URI, OAUTH_AUDIENCE and PORT in its environment, and
ends it afterwards. With -p PROFILE the session's token is used, and cases that
need the issuer's key are not proven.

Only GET and HEAD requests are sent, and only to loopback addresses, unless
flags allow more. Exit code 0 means that everything requested is proven, 7 that
the API accepts or refuses a request wrongly, 6 that something could not be
proven.`,
		Example: `  # Test an API that a command starts, here a guard with its policy
  oauthctl audit http://127.0.0.1:8080 --policy policy.yaml -- \
    oauthctl guard --upstream http://127.0.0.1:8000 \
      --policy policy.yaml --listen 127.0.0.1:8080

  # Test one operation, with the private key of the issuer of oauthctl dev
  oauthctl audit http://127.0.0.1:9001 --issuer http://127.0.0.1:9000 \
    --key dev.json --operation "GET /api/items=items:read"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				o.command = args[dash:]
				args = args[:dash]
			}
			return between(1, 1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.listens, o.typed, o.given = cmd.Flags().Changed("issuer-listen"), cmd.Flags().Changed("typ"), givenFlags(cmd)
			return runAudit(cmd.Context(), env, args[0], o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *auditOptions) addFlags(f *pflag.FlagSet) {
	addGroup(f, "Flags for what to test", o.addOperationFlags)
	addGroup(f, "Flags for where the tokens come from", o.addIssuerFlags)
	addGroup(f, "Flags for what is in the tokens", o.addTokenFlags)
	addGroup(f, "Flags for what may be sent", o.addSafetyFlags)
	addGroup(f, "Flags for the result", o.addResultFlags)
}

func (o *auditOptions) addOperationFlags(f *pflag.FlagSet) {
	f.StringVar(&o.openapi, "openapi", "", "read the operations from this OpenAPI document, a `FILE|URL`")
	f.StringVar(&o.policy, "policy", "", "read the operations from the policy `FILE`")
	f.StringArrayVar(&o.operation, "operation", nil, "`\"METHOD /path=SCOPE\"`: test this operation; with a document, only the operations that match this pattern (repeatable)")
	f.StringArrayVar(&o.cases, "case", nil, "send only the cases that match this `PATTERN` (repeatable)")
	f.BoolVar(&o.quick, "quick", false, "send only the eight cases that find most faults")
	f.StringArrayVar(&o.params, "param", nil, "value of a parameter, `NAME=VALUE` (repeatable)")
	f.StringArrayVar(&o.headers, "header", nil, "add this `NAME:VALUE` to each request (repeatable)")
	f.BoolVar(&o.revocation, "revocation", false, "also test that revoked tokens are refused")
	f.DurationVar(&o.rotation, "rotation", 0, "also test what happens when keys change, waiting `DURATION` at most")
}

func (o *auditOptions) addIssuerFlags(f *pflag.FlagSet) {
	f.StringVar(&o.issuer, "issuer", "", "`URL` of the issuer")
	f.StringVar(&o.issuerListen, "issuer-listen", "127.0.0.1:9000", "serve the issuer in this process at `ADDRESS`")
	f.BoolVar(&o.insecureListen, "insecure-listen", false, "allow an --issuer-listen that others can reach")
	f.StringVar(&o.alg, "alg", "", "sign with this `ALGORITHM` (default ES256)")
	f.StringVar(&o.key, "key", "", "sign with the issuer's private key, a PEM or JWK `FILE`")
	f.StringVar(&o.kid, "kid", "", "with --key, the `ID` of that key in the issuer's key set")
	f.StringVar(&o.token, "token", "", "`TOKEN`: use one real token: @FILE, or - for standard input")
	f.StringVar(&o.clientID, "client-id", "", "request tokens from --issuer as the client `ID`")
	f.StringVar(&o.secretFile, "client-secret-file", "", "read the client's secret from `FILE`, - for standard input")
	f.BoolVar(&o.allowRefresh, "allow-refresh", false, "with -p, use the session's refresh token to get tokens with fewer scopes")
	f.StringVar(&o.otherResource, "other-resource", "", "`URL` of another API of the issuer, for the wrong audience")
}

func (o *auditOptions) addTokenFlags(f *pflag.FlagSet) {
	f.StringVar(&o.audience, "audience", "", "`AUDIENCE` of valid tokens (default: the policy's, else the origin of URL)")
	f.StringVar(&o.subject, "subject", "", "`SUBJECT` of valid tokens")
	f.StringArrayVar(&o.claims, "claim", nil, "add the claim `NAME=VALUE` or NAME:=JSON to valid tokens (repeatable)")
	f.StringVar(&o.scopeClaim, "scope-claim", "", "the `CLAIM` with the scopes (default scope)")
	f.StringVar(&o.typ, "typ", "at+jwt", "`TYP`: typ header of valid tokens")
}

func (o *auditOptions) addSafetyFlags(f *pflag.FlagSet) {
	f.StringVar(&o.iOwn, "i-own", "", "allow requests to this `HOST`, which you have permission to test")
	oneOf(f, &o.unsafe, "unsafe", []string{string(audit.Dry), string(audit.Real)}, "send methods that change data: `MODE` dry sends invalid requests, real valid ones")
	f.Float64Var(&o.rate, "rate", 0, "send at most `N` requests per second (default 10; no limit on loopback)")
}

func (o *auditOptions) addResultFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.strict, "strict", false, "exit with 7 for warnings too")
	f.IntVar(&o.minCoverage, "min-coverage", 100, "exit with 6 if fewer `PERCENT` of the results are proven")
	f.StringVar(&o.baseline, "baseline", "", "read known faults from `FILE`; they do not fail")
	f.StringVar(&o.writeBaseline, "write-baseline", "", "write the faults to `FILE`, for --baseline")
	f.StringVar(&o.sarif, "sarif", "", "write the findings to `FILE` as SARIF 2.1.0")
	f.StringVar(&o.junit, "junit", "", "write the results to `FILE` as JUnit XML")
}

// auditRun is an audit with its options, inputs and results.
type auditRun struct {
	options  auditOptions
	rawURL   string
	target   *url.URL
	issuer   string
	jwksURI  string // of the issuer that this process serves
	audience string
	listed   []audit.Operation // all operations
	asked    []audit.Operation // those that --operation selects
	unlisted []string
	policy   *policy.Policy // nil without --policy
	stop     func()         // ends the API that audit started
	// anyAudience is set if the policy accepts tokens for any audience.
	anyAudience bool
	baseline    audit.Baseline
	stale       []audit.Known
	report      *audit.Report
	exitCode    int
}

func runAudit(ctx context.Context, env *Env, rawURL string, o auditOptions) error {
	run, err := env.prepareAudit(ctx, rawURL, o)
	if err != nil {
		return err
	}
	if err := env.sendAudit(ctx, run); err != nil {
		return err
	}
	run.stale = run.baseline.Apply(run.report, run.isListed)
	result := run.result(ctx)
	run.exitCode = exitDone
	if result != nil {
		run.exitCode = env.classify(result).ExitCode
	}
	if err := env.writeAuditFiles(run); err != nil {
		return err
	}
	if env.global.wantsJSON() {
		err = env.printJSON(run.json())
	} else {
		env.showAudit(run)
	}
	if err != nil || result == nil {
		return err
	}
	return printedError{result}
}

// sendAudit sends the requests. It stops the issuer and the API that it started
// before it returns, because printing to a closed pipe would end this process and
// leave the API running.
func (env *Env) sendAudit(ctx context.Context, run *auditRun) error {
	tokens, closeIssuer, err := env.auditTokens(ctx, run)
	if err != nil {
		return err
	}
	defer closeIssuer()
	var started bool
	start := func() error {
		if started {
			return nil
		}
		started = true
		stop, err := env.startAudited(ctx, run)
		if err == nil {
			run.stop = stop
		}
		return err
	}
	defer func() {
		if run.stop != nil {
			run.stop()
		}
	}()
	if run.asked == nil { // the document is read from the API, which has to run first
		if err := start(); err != nil {
			return err
		}
		if err := env.auditOperations(ctx, run); err != nil {
			return err
		}
	}
	a, err := env.newAuditOf(run, tokens)
	if err != nil {
		return err
	}
	if err := env.announceAudit(run, a.Plan()); err != nil {
		return err
	}
	if err := start(); err != nil {
		return err
	}
	run.report = a.Run(ctx)
	return nil
}

// prepareAudit reads everything that is needed before the first request. If audit
// starts the API and the document has a URL, it is read later.
func (env *Env) prepareAudit(ctx context.Context, rawURL string, o auditOptions) (*auditRun, error) {
	run := &auditRun{options: o, rawURL: rawURL}
	var err error
	if run.target, err = url.Parse(rawURL); err != nil || run.target.Host == "" || run.target.Scheme != "http" && run.target.Scheme != "https" {
		return nil, usage("expected the URL of an API such as http://127.0.0.1:3000, got %q", rawURL)
	}
	if err := run.mayAsk(run.target); err != nil {
		return nil, err
	}
	if err := run.options.check(); err != nil {
		return nil, err
	}
	if run.policy, err = env.readPolicy(o.policy); err != nil {
		return nil, err
	}
	run.expect(run.policy)
	if len(o.command) == 0 || !isURL(o.openapi) {
		if err := env.auditOperations(ctx, run); err != nil {
			return nil, err
		}
	}
	if o.baseline != "" {
		data, err := env.readInput(o.baseline, 1<<20)
		if err != nil {
			return nil, usage("--baseline: %w", err)
		}
		if run.baseline, err = audit.LoadBaseline(data, o.baseline); err != nil {
			return nil, usage("--baseline: %w", err)
		}
	}
	return run, nil
}

// mayAsk returns an error if the host is neither this machine nor the one that the
// user is allowed to test.
func (run *auditRun) mayAsk(u *url.URL) error {
	host := u.Hostname()
	if safehttp.IsLoopback(host) || run.options.iOwn != "" && strings.EqualFold(run.options.iOwn, host) {
		return nil
	}
	return &usageError{
		what: fmt.Sprintf("%s is not a loopback address", host),
		hint: "audit sends invalid tokens on purpose; add --i-own " + shellQuote(host) + " if you are allowed to test that host",
	}
}

// check returns an error for flags that cannot be combined.
func (o *auditOptions) check() error {
	sources := 0
	for _, given := range []string{o.key, o.token, o.clientID} {
		if given != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return usage("--key, --token and --client-id cannot be combined: tokens come from one of them")
	case (o.key != "" || o.clientID != "") && o.issuer == "" && o.policy == "":
		return usage("--key and --client-id need --issuer")
	case o.allowRefresh && sources > 0:
		return usage("--allow-refresh is for the session of -p, not with --key, --token and --client-id")
	case o.kid != "" && o.key == "":
		return usage("--kid needs --key")
	case o.clientID != "" && o.secretFile == "":
		return usage("--client-id needs --client-secret-file")
	case o.openapi == "" && o.policy == "" && len(o.operation) == 0:
		return &usageError{what: "missing the operations of the API", hint: `give --openapi FILE, --policy FILE, or --operation "GET /items=items:read"`}
	case o.minCoverage < 0 || o.minCoverage > 100:
		return usage("--min-coverage: expected a number from 0 to 100, got %d", o.minCoverage)
	case o.rate < 0 || o.rotation < 0:
		return usage("--rate and --rotation cannot be negative")
	case o.quick && len(o.cases) > 0:
		return usage("--quick and --case cannot be combined")
	case o.sarif != "" && o.openapi == "" && o.policy == "":
		return usage("--sarif needs a file for its locations: --openapi or --policy")
	case o.sarif != "" && o.policy == "" && isURL(o.openapi):
		return usage("--sarif needs a file for its locations, and --openapi is a URL")
	}
	for _, glob := range slices.Concat(o.cases, o.operation) {
		if _, err := path.Match(glob, ""); err != nil {
			return usage("%q is not a pattern", glob)
		}
	}
	return nil
}

func (env *Env) newAuditOf(run *auditRun, tokens audit.Tokens) (*audit.Audit, error) {
	o := run.options
	header := http.Header{}
	for _, text := range o.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, usage("--header: expected NAME:VALUE")
		}
		header.Add(name, strings.TrimSpace(value))
	}
	if err := apicall.CheckHeader(header, true); err != nil {
		return nil, usage("--header: %w", err)
	}
	c := audit.Config{
		Target: run.target, Operations: run.asked, Scopes: audit.Scopes(run.listed), Unlisted: run.unlisted, Tokens: tokens, Cases: o.cases, Unsafe: audit.Mode(o.unsafe),
		Header: header, Rate: o.rate, Revocation: o.revocation, Rotation: o.rotation, Timeout: env.global.timeout,
		AnyAudience: run.anyAudience,
	}
	if o.quick {
		c.Cases = audit.Quick()
	}
	if c.Rate == 0 && !safehttp.IsLoopback(run.target.Hostname()) {
		c.Rate = 10
	}
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	c.Transport = client.Transport
	if env.global.verbose {
		c.Observe = env.showAudited
	}
	a, err := audit.New(c)
	if err != nil {
		return nil, usage("%w", err)
	}
	return a, nil
}

// announceAudit prints what will be sent. If it goes to another machine, it asks
// the user to confirm.
func (env *Env) announceAudit(run *auditRun, p audit.Plan) error {
	what := fmt.Sprintf("%s, at most %d requests (%s), about %.0f s; %s",
		plural(p.Operations, "operation"), p.Requests, strings.Join(p.Methods, ", "), max(p.Duration.Seconds(), 1), p.Source)
	env.say("%s", wrap(clean(what), ""))
	if run.options.unsafe == string(audit.Real) {
		env.warn("--unsafe real sends valid requests that change data at %s", clean(run.target.Host))
	}
	isAsked := !safehttp.IsLoopback(run.target.Hostname()) && !env.global.noInput && env.IsTerminal(env.Stdin) && env.IsTerminal(env.Stderr)
	if !isAsked {
		return nil
	}
	fmt.Fprintf(env.Stderr, "Send these requests to %s? [y/N] ", clean(run.target.Host))
	line, err := bufio.NewReader(env.Stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return &usageError{what: "nothing was sent", hint: "answer y, or give --no-input in a script"}
	}
	return nil
}

// isListed reports whether an operation is in the documents, even if --operation
// does not select it.
func (run *auditRun) isListed(name string) bool {
	return slices.ContainsFunc(run.listed, func(o audit.Operation) bool { return o.Name() == name })
}

// result returns the error with which the command ends, or nil if enough is proven
// and there is no finding that fails.
func (run *auditRun) result(ctx context.Context) error {
	coverage := run.report.Coverage()
	isUnproven := coverage.Decided*100 < run.options.minCoverage*coverage.Cells
	i := slices.IndexFunc(run.report.Findings, func(f audit.Finding) bool {
		return !f.Known && (f.Level == audit.Fail || run.options.strict)
	})
	switch {
	case run.report.Interrupted:
		return context.Cause(ctx)
	case i >= 0:
		return &diagnosis.Diagnosis{ID: run.report.Findings[i].ID, As: diagnosis.Unsafe}
	case len(run.stale) > 0:
		return &usageError{what: "the baseline has stale entries"}
	case run.report.Unreachable != nil:
		return &diagnosis.Diagnosis{ID: diagnosis.Unreachable, Err: run.report.Unreachable}
	case isUnproven, run.report.Refused != nil, coverage.Cells == 0:
		return &diagnosis.Diagnosis{ID: diagnosis.NotChecked, As: diagnosis.Unavailable}
	}
	return nil
}
