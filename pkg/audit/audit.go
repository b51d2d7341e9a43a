package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Config configures an audit. Target, Operations and Tokens are required.
type Config struct {
	// Target is the base URL of the API. The paths of the operations are appended to it.
	Target     *url.URL
	Operations []Operation
	Tokens     Tokens
	// Scopes lists all scopes of the API. If nil, they are those of Operations.
	Scopes []string
	// Unlisted lists operations that are in only one of two documents, see [Merge].
	Unlisted []string
	// Transport sends the requests. If nil, it is that of HTTP. Redirects are
	// not followed.
	Transport http.RoundTripper
	// Cases lists patterns of [path.Match] for the names of cases. If nil, all
	// cases are run.
	Cases []string
	// Unsafe is how operations that change data are tested.
	Unsafe Mode
	// AnyAudience omits the cases of the audience, for an API that accepts tokens with
	// any audience.
	AnyAudience bool
	// Header is added to every request.
	Header http.Header
	// Rate is the maximum number of requests per second; 0 means no limit.
	Rate float64
	// Revocation tests whether revoked tokens are refused. Rotation tests key
	// changes, and is the maximum wait for them; 0 disables the test.
	Revocation bool
	Rotation   time.Duration
	// Timeout is the time limit for each request; 0 means 10 seconds.
	Timeout time.Duration
	// Observe, if not nil, is called with each exchange, one at a time.
	Observe func(Exchange)
	// Wait waits between requests. If nil, a timer is used.
	Wait func(context.Context, time.Duration) error
}

// Exchange is one request and its response.
type Exchange struct {
	Operation string
	Case      string
	Method    string
	URL       string // with a token in the query removed
	Token     string // as claims, without the signature
	Answer    *Answer
}

const (
	parallel       = 4
	defaultTimeout = 10 * time.Second
)

// Audit is a planned audit. Call Run once.
type Audit struct {
	config Config
	asks   []*asking
	pace   *pace
	watch  sync.Mutex // Observe is called one at a time

	counting sync.Mutex
	sent     int
}

// asking is an operation with its cases.
type asking struct {
	op    *Operation
	cases []*Case
	skip  string // why it is not tested at all, or ""
	cells []*cell
	seen  Seen    // shared by all cases
	stop  Outcome // why the whole operation is undecided or failed

	missingParam string
}

// cell is one case of one operation.
type cell struct {
	c       *Case
	answer  *Answer
	lacks   string // why there is no response
	token   string // the claims that were sent
	fetched bool   // the API read the key that the token pointed to
}

// New plans an audit. It returns an error if the configuration is incomplete, or if
// an element of Cases matches no case.
func New(c Config) (*Audit, error) {
	switch {
	case c.Target == nil || c.Target.Host == "":
		return nil, errors.New("audit: expected an absolute URL")
	case c.Tokens == nil:
		return nil, errors.New("audit: expected a source of tokens")
	case len(c.Operations) == 0:
		return nil, errors.New("audit: expected at least one operation")
	case c.Unsafe != Safe && c.Unsafe != Dry && c.Unsafe != Real:
		return nil, fmt.Errorf("audit: expected dry or real, got %q", c.Unsafe)
	}
	if c.Transport == nil {
		t := safehttp.NewTransport(nil)
		t.MaxIdleConnsPerHost, t.DisableCompression = parallel, true
		c.Transport = t
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Wait == nil {
		c.Wait = safehttp.Pause
	}
	for _, glob := range c.Cases {
		if !slices.ContainsFunc(matrix(), func(row Case) bool { ok, _ := path.Match(glob, row.Name); return ok }) {
			return nil, fmt.Errorf("audit: no case matches %q", glob)
		}
	}
	a := &Audit{config: c, pace: newPace(c.Rate, c.Wait)}
	for i := range c.Operations {
		a.asks = append(a.asks, a.plan(&c.Operations[i]))
	}
	a.planState()
	return a, nil
}

// asked reports whether the case is selected.
func (a *Audit) asked(c *Case) bool {
	return a.config.Cases == nil || slices.ContainsFunc(a.config.Cases, func(glob string) bool {
		ok, _ := path.Match(glob, c.Name)
		return ok
	})
}

// plan chooses the cases of an operation.
func (a *Audit) plan(o *Operation) *asking {
	x := &asking{op: o}
	if !o.IsSafe() && a.config.Unsafe == Safe {
		x.skip = "changes data"
		return x
	}
	cases := matrix()
	for i := range cases {
		if c := &cases[i]; a.asked(c) && c.Group != GroupState && a.concerns(c, o) {
			x.cases = append(x.cases, c)
			x.cells = append(x.cells, &cell{c: c})
		}
	}
	return x
}

// concerns reports whether a case applies to an operation.
func (a *Audit) concerns(c *Case, o *Operation) bool {
	isReal := a.config.Unsafe == Real && !o.IsSafe()
	switch {
	case (o.Access != Protected) != (c.Group == GroupPublic):
		return false
	case c.NeedsScopes && len(o.needed()) == 0:
		return false
	case a.config.AnyAudience && (c.Group == GroupAud || c.Name == "audience-array"):
		return false
	case c.Group == GroupRoute && o.Method != http.MethodGet:
		return false
	case isReal && c.Token == "good" && c.Name != "good": // it is sent once
		return false
	case isReal && c.Accept && c.Name != "good" && c.Group != GroupPublic:
		return false
	case c.Name == "scope-other" && !a.hasOtherScopes(o):
		return false
	case c.Group == GroupRoute:
		return c.apply(o.message(a.config.Target, nil, Safe), "")
	case c.Name == "scope-elsewhere" && a.config.Tokens.Lacks(c, o) != "":
		// Not sent if the API reads scopes there.
		return a.config.Tokens.Lacks(caseNamed("missing-scope"), o) != ""
	case c.Name == "jku-header":
		signer, _ := a.config.Tokens.(*Signer)
		return signer != nil && signer.trap() != nil && safehttp.IsLoopback(a.config.Target.Hostname())
	}
	return true
}

// hasOtherScopes reports whether the API has scopes that do not open the
// operation.
func (a *Audit) hasOtherScopes(o *Operation) bool {
	granting := o.granting()
	return slices.ContainsFunc(a.scopes(), func(scope string) bool { return !slices.Contains(granting, scope) })
}

func (a *Audit) scopes() []string {
	if a.config.Scopes != nil {
		return a.config.Scopes
	}
	return Scopes(a.config.Operations)
}

// Scopes returns the scopes that operations need, each once.
func Scopes(operations []Operation) []string {
	var all []string
	for i := range operations {
		all = append(all, operations[i].granting()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// planState puts the cases of the issuer's state on the first protected GET
// operation.
func (a *Audit) planState() {
	i := slices.IndexFunc(a.asks, func(x *asking) bool {
		return x.op.Method == http.MethodGet && x.op.Access == Protected && isAskable(x.op, Safe)
	})
	if i < 0 {
		return
	}
	cases := matrix()
	for j := range cases {
		c := &cases[j]
		wanted := c.Name == "revoked" && a.config.Revocation || c.Name != "revoked" && a.config.Rotation > 0
		if c.Group == GroupState && wanted && a.asked(c) {
			a.asks[i].cases = append(a.asks[i].cases, c)
			a.asks[i].cells = append(a.asks[i].cells, &cell{c: c})
		}
	}
}

func isAskable(o *Operation, mode Mode) bool {
	reason, _ := o.missing(mode)
	return reason == ""
}

// Plan describes what an audit will send.
type Plan struct {
	Operations int      // the number of operations to test
	Requests   int      // the maximum number of requests
	Methods    []string // the methods of the operations
	// Duration is an estimate from Rate, including the waits for key changes.
	Duration time.Duration
	Source   string // the source of the tokens
}

// Plan returns the plan of the audit. It sends nothing.
func (a *Audit) Plan() Plan {
	p := Plan{Source: a.config.Tokens.Source()}
	for _, x := range a.asks {
		if x.skip != "" || !isAskable(x.op, a.config.Unsafe) {
			continue
		}
		p.Operations++
		p.Methods = append(p.Methods, x.op.Method)
		p.Requests += len(x.cells) + 2
		if x.op.Access != Protected {
			p.Requests -= 2
		}
	}
	slices.Sort(p.Methods)
	p.Methods = slices.Compact(p.Methods)
	perRequest := 5 * time.Millisecond
	if a.config.Rate > 0 {
		perRequest = time.Duration(float64(time.Second) / a.config.Rate)
	}
	p.Duration = time.Duration(p.Requests)*perRequest + 2*a.config.Rotation
	return p
}

// Run sends the requests and reports the results. If ctx ends, the report has
// the results so far, with Interrupted set.
func (a *Audit) Run(ctx context.Context) *Report {
	switch tokens := a.config.Tokens.(type) {
	case *Signer:
		if tokens.OtherScopes == nil {
			tokens.OtherScopes = a.scopes()
		}
	case *RealTokens:
		if tokens.OtherScopes == nil {
			tokens.OtherScopes = a.scopes()
		}
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, x := range a.asks {
		if x.skip != "" {
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			a.ask(ctx, x)
		})
	}
	running.Wait()
	for _, x := range a.asks {
		a.askState(ctx, x)
	}
	return a.report(ctx.Err() != nil)
}

// removeToken hides the token of the case in-query.
func removeToken(u *url.URL) string {
	if !strings.Contains(u.RawQuery, "access_token") {
		return u.String()
	}
	shown, query := *u, u.Query()
	query.Set("access_token", "redacted")
	shown.RawQuery = query.Encode()
	return shown.String()
}
