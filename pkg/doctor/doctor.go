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

// Status is the result of a rung.
type Status string

// Statuses of a rung. A Warning is a fault that does not prevent a login or a
// call with this toolkit. A Note is not a fault. NotReached means that the rung could
// not be checked.
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
	HasToken bool // it was sent with the session's access token
	// Connection means that the result is about the connection, and not about a
	// response.
	Connection bool
}

// Result is the result of one rung.
type Result struct {
	Rung   string // "0" to "20", "M1" to "M4"
	Name   string
	Status Status
	Host   string // whose certificate was examined, "" for other rungs
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
	// Err is the error that a login or a call would return.
	Err error
}

// Report is the result of an examination.
type Report struct {
	URL     string
	Kind    Kind   // "" if it is unknown
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

// Config configures an examination. HTTP is required, unless an element of Local
// Blocks, or Recording is set.
type Config struct {
	// URL is the URL of an API, an MCP server or an issuer, or of the metadata of one.
	// If it is "", only this machine is examined.
	URL string
	// HTTP sends the requests; its Transport must not add credentials.
	HTTP *safehttp.Client
	// Now returns the current time. If nil, it is time.Now.
	Now func() time.Time
	// Account is the account of the current profile, or nil if it could not be opened.
	Account *account.Account
	// Local holds what the caller has checked on this machine: configuration, proxy,
	// browser.
	Local []Local
	// MCP means that the URL is an MCP server, even if its responses do not show it.
	MCP bool
	// Deep allows one request to the token endpoint, which cannot succeed.
	Deep bool
	// NoToken means that the session's token is not sent to the API.
	NoToken bool
	// Dial opens a connection, to check whether IPv4 and IPv6 work. If nil, this is not
	// checked.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Recording is a recorded run whose responses are used instead of requests.
	// HTTP, Now, Account, Deep, NoToken and Dial are then ignored.
	Recording *Recording
}

// Local is the result of a check of this machine.
type Local struct {
	Text string // a short description of the result
	Err  error  // the fault, or nil
	// Blocks means that the fault prevents every request.
	Blocks bool
	// Warns means that the fault does not prevent a login.
	Warns bool
}

// Examine runs the checks. It takes one or two seconds, or longer if servers do not
// respond. It returns an error only if the context ends; faults are in the report.
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
