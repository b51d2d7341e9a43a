// Package doctor finds the first fault that prevents a login or a call, and who
// has to fix it.
//
// Start with [Examine]. It runs a table of checks, called rungs, from this machine
// to the response of the API. Each rung has a rule and an owner. If a rung fails,
// only the rungs that depend on it are skipped.
//
// The package changes nothing. It sends GET, HEAD and OPTIONS requests; to an MCP
// server also a POST of initialize, server/discover and tools/list; and, if
// [Config.Deep] is set, one token request that cannot succeed. It registers no
// client, refreshes no session, and sends the session's token only to the
// session's own API. Responses are interpreted by the packages that a login and a
// call use, so that the results agree.
package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Kind is the kind of a URL.
type Kind string

// The kinds.
const (
	API    Kind = "api"
	MCP    Kind = "mcp"
	Issuer Kind = "issuer"
)

// Owner is who can fix a fault.
type Owner string

// The owners.
const (
	You       Owner = "you"
	Network   Owner = "network"
	TheAPI    Owner = "api"
	TheIssuer Owner = "issuer"
)

// Status is how a rung ended.
type Status string

// Statuses of a rung. A Warning is a fault that does not prevent a login or a
// call with this program. A Note is not a fault.
const (
	Passed     Status = "passed"
	Failed     Status = "failed"
	Warning    Status = "warning"
	Note       Status = "note"
	NotReached Status = "not_reached"
)

// Request is a request that was sent, without common headers. It contains no
// token.
type Request struct {
	Method   string
	URL      string
	Header   http.Header
	Body     string
	HasToken bool // the session's access token went with it
}

// Result is how one rung ended.
type Result struct {
	Rung   string // "0" to "20", "M1" to "M4"
	Name   string
	Status Status
	// Text summarises the result in one line.
	Text string
	// ID is the diagnosis of a failure or a warning, and of some notes.
	ID       diagnosis.ID
	Owner    Owner
	Request  *Request // nil if nothing was sent
	Expected diagnosis.Values
	Got      diagnosis.Values
	Rule     string // the section of the specification
	Fix      string // what the owner should change, or ""
	// Err is the error that a login or a call would end with.
	Err error
}

// Report is the result of an examination.
type Report struct {
	URL     string
	Kind    Kind   // "" if it was not found out
	Issuer  string // the examined issuer, or ""
	Results []Result
}

// First returns the first rung that failed or, with strict, has a warning, or
// nil.
func (r *Report) First(strict bool) *Result {
	for i := range r.Results {
		if s := r.Results[i].Status; s == Failed || strict && s == Warning {
			return &r.Results[i]
		}
	}
	return nil
}

// Fault returns the result of a rung as an error. Its kind also depends on the
// owner: a user's mistake on the command line may be the server's fault here.
func (r *Result) Fault() *diagnosis.Diagnosis {
	d := &diagnosis.Diagnosis{ID: r.ID, Expected: r.Expected, Got: r.Got}
	if found, ok := errors.AsType[*diagnosis.Diagnosis](r.Err); ok {
		*d = *found
	}
	switch r.Owner {
	case TheAPI, TheIssuer:
		if d.Kind() == diagnosis.Usage || d.Kind() == diagnosis.Advice {
			d.As = diagnosis.Unsafe
		}
	case You:
		if d.Kind() == diagnosis.Advice {
			d.As = diagnosis.Usage
		}
	}
	return d
}

// Config configures an examination. HTTP is required unless Local has a fault
// that Blocks, or there is a Recording.
type Config struct {
	// URL is that of an API, an MCP server or an issuer, or of the metadata of one;
	// with "" only this machine is examined.
	URL string
	// HTTP sends the requests; its Transport must not add credentials.
	HTTP *safehttp.Client
	// Now returns the current time. If nil, it is time.Now.
	Now func() time.Time
	// Account is the account of the profile in force, nil if it could not be opened.
	Account *account.Account
	// Local holds the caller's results about this machine: configuration,
	// proxy, browser. One without an error is a note.
	Local []Local
	// MCP means that the URL is an MCP server, whatever its responses.
	MCP bool
	// Deep allows one request to the token endpoint, which cannot succeed.
	Deep bool
	// NoToken keeps the session's token from the API.
	NoToken bool
	// Dial opens a connection to find out which address families work; nil leaves
	// that out.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Recording is a recorded run whose responses are used instead of requests.
	// HTTP, Now, Account, Deep, NoToken and Dial are then ignored.
	Recording *Recording
}

// Local is a fact about this machine.
type Local struct {
	Text string
	Err  error // the fault, or nil
	// Blocks means that the fault prevents every request.
	Blocks bool
	// Warns means that the fault does not prevent a login.
	Warns bool
}

// Examine runs the checks. It takes a second or two, or longer if servers do
// not respond. The error is that of the context.
func Examine(ctx context.Context, c Config) (*Report, error) {
	if c.Recording != nil {
		c = c.replayed()
	}
	e := &examination{config: c, broken: map[string]string{}}
	if resource, ok := discovery.ResourceOf(c.URL); ok {
		e.config.URL = resource
	}
	if c.MCP {
		e.kind = MCP
	}
	report := e.walk(ctx)
	return report, ctx.Err()
}
