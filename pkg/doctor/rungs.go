package doctor

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// rung is a row of the table: a check, its rule, and who has to fix a fault unless
// the check says otherwise.
type rung struct {
	number string
	name   string
	kinds  []Kind // nil means every kind
	rule   string
	owner  Owner
	needs  []string // the names of the rungs that must pass first
	check  func(*examination, context.Context) finding
}

// firstAnswer means, in the list of what a rung needs, the response to the first
// request. A recording may lack it.
const firstAnswer = "first answer"

// Session is the name of the rung that examines the stored session.
const Session = "session"

// rungs returns the table, in the order in which a fault affects a login and a call.
func rungs() []rung {
	apis, mcp := []Kind{API, MCP}, []Kind{MCP}
	return []rung{
		{"0", "machine", nil, "", You, nil, (*examination).machine},
		{"1", "reach", nil, "", Network, []string{"configuration"}, (*examination).reach},
		{"2", "tls", nil, "RFC 8414, section 3; RFC 9728, section 3", TheAPI, []string{"reach"}, (*examination).tls},

		{"3", "refuses", apis, "RFC 9110, section 15.5.2; RFC 6750, section 3.1", TheAPI, []string{"tls", firstAnswer}, (*examination).refuses},
		{"4", "challenge", apis, "RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 9728, section 5.1", TheAPI, []string{"tls", "refuses"}, (*examination).challenge},
		{"5", "resource metadata", apis, "RFC 9728, section 3.1", TheAPI, []string{"tls"}, (*examination).resourceMetadata},
		{"6", "resource", apis, "RFC 9728, section 3.3", TheAPI, []string{"resource metadata"}, (*examination).resourceName},
		{"7", "authorization servers", apis, "RFC 9728, section 2", TheAPI, []string{"resource metadata", "resource"}, (*examination).authorizationServers},

		{"1", "reach issuer", apis, "", Network, []string{"authorization servers"}, (*examination).reachIssuer},
		{"2", "tls issuer", apis, "RFC 8414, section 3", TheIssuer, []string{"reach issuer"}, (*examination).tlsIssuer},
		{"8", "issuer metadata", nil, "RFC 8414, section 3.1", TheIssuer, []string{"tls", "tls issuer"}, (*examination).issuerMetadata},
		{"9", "issuer", nil, "RFC 8414, section 3.3", TheIssuer, []string{"issuer metadata"}, (*examination).issuer},
		{"10", "endpoints", nil, "RFC 8414, section 2", TheIssuer, []string{"issuer"}, (*examination).endpoints},
		{"11", "pkce", nil, "RFC 9700, section 2.1.1", TheIssuer, []string{"issuer"}, (*examination).pkce},
		{"12", "iss in the response", nil, "RFC 9207, section 3", TheIssuer, []string{"issuer"}, (*examination).issParameter},
		{"13", "key set", nil, "RFC 7517, section 4; RFC 7518, section 3.3", TheIssuer, []string{"issuer"}, (*examination).keySet},
		{"14", "clock", nil, "RFC 9110, section 6.6.1", TheIssuer, []string{"tls"}, (*examination).clock},
		{"15", "client", nil, "RFC 7591, section 3", You, []string{"endpoints"}, (*examination).client},
		{"16", "scopes", nil, "RFC 6749, section 3.3", TheAPI, []string{"issuer"}, (*examination).scopes},
		{"17", "browser", apis, "Fetch Standard, section 3.2", TheAPI, []string{"tls"}, (*examination).browser},

		{"M1", "mcp stream", mcp, "MCP, transports", TheAPI, []string{"tls", firstAnswer}, (*examination).mcpStream},
		{"M2", "mcp origin", mcp, "MCP, transports", TheAPI, []string{"tls"}, (*examination).mcpOrigin},
		{"M3", "mcp requests", mcp, "MCP, authorization", TheAPI, []string{"tls"}, (*examination).mcpRequests},
		{"M4", "mcp scopes", mcp, "MCP, authorization", TheAPI, []string{"resource metadata"}, (*examination).mcpScopes},

		{"18", Session, nil, "RFC 9068, section 4", You, []string{"machine"}, (*examination).session},
		{"19", "call", apis, "RFC 6750, section 3.1", TheAPI, []string{"tls", Session}, (*examination).call},
		{"20", "token endpoint", nil, "RFC 6749, section 5.2", TheIssuer, []string{"endpoints"}, (*examination).tokenEndpoint},
	}
}

// finding is the result of a check. The row of the table adds the rest.
type finding struct {
	status   Status // "" omits the rung from the report
	text     string
	host     string
	id       diagnosis.ID
	owner    Owner // "" means the row's
	request  *Request
	expected diagnosis.Values
	got      diagnosis.Values
	rule     string // "" means the row's
	fix      string // "" means the catalogue's
	err      error
}

// of adds the host of a URL.
func (f finding) of(rawURL string) finding {
	if u, err := url.Parse(rawURL); err == nil {
		f.host = u.Host
	}
	return f
}

func passed(text string) finding { return finding{status: Passed, text: text} }
func noted(text string) finding  { return finding{status: Note, text: text} }
func skipped(why string) finding { return finding{status: NotReached, text: why} }

// failedWith returns a failure with the error of another package. A response that a
// recording lacks is not a failure.
func failedWith(err error, r *Request) finding {
	if isNotRecorded(err) {
		return skipped(errNotRecorded.Error())
	}
	f := finding{status: Failed, text: err.Error(), request: r, err: err}
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		f.id, f.text, f.expected, f.got = d.ID, d.Summary(), d.Expected, d.Got
		if d.Err != nil && d.Got == nil {
			f.got = diagnosis.Text(d.Err.Error())
		} else if d.Err != nil && f.text != "" {
			f.text += ": " + d.Err.Error()
		}
	}
	return f
}

func failed(id diagnosis.ID, text string, r *Request) finding {
	return finding{status: Failed, id: id, text: text, request: r}
}

// warned turns a failure into a warning.
func (f finding) warned() finding {
	if f.status == Failed {
		f.status = Warning
	}
	return f
}

func (f finding) by(owner Owner) finding     { f.owner = owner; return f }
func (f finding) fixedBy(fix string) finding { f.fix = fix; return f }

// walk runs the checks of the table in order.
func (e *examination) walk(ctx context.Context) *Report {
	report := &Report{URL: e.config.URL}
	for _, row := range rungs() {
		if ctx.Err() != nil {
			break
		}
		if row.kinds != nil {
			e.settleKind(ctx)
			if !slices.Contains(row.kinds, e.kind) {
				continue
			}
		}
		if e.config.URL == "" && row.number != "0" {
			break
		}
		var f finding
		if why := e.missing(row); why != "" {
			f = skipped(why)
		} else {
			f = row.check(e, ctx)
		}
		if f.status == "" {
			continue
		}
		switch f.status {
		case Failed:
			e.broken[row.name] = row.name + " failed"
		case NotReached:
			e.broken[row.name] = f.text
		}
		report.Results = append(report.Results, e.result(row, f))
	}
	report.Kind, report.Issuer = e.kind, e.issuerURL
	e.blameOwnClock(report)
	e.blameAudience(report)
	return report
}

// missing returns why a rung that this one needs did not pass, or "".
func (e *examination) missing(row rung) string {
	for _, name := range row.needs {
		if why := e.broken[name]; why != "" {
			return why
		}
	}
	return ""
}

func (e *examination) result(row rung, f finding) Result {
	r := Result{
		Rung: row.number, Name: row.name, Status: f.status, Host: f.host, Text: f.text, ID: f.id, Request: f.request,
		Expected: f.expected, Got: f.got, Err: f.err,
	}
	if f.status == Passed || f.status == NotReached {
		return r
	}
	r.Owner, r.Rule, r.Fix = row.owner, row.rule, f.fix
	if f.owner != "" {
		r.Owner = f.owner
	}
	if f.rule != "" {
		r.Rule = f.rule
	}
	if entry, ok := diagnosis.Lookup(f.id); ok && r.Fix == "" {
		r.Fix = entry.Fix
	}
	if r.Err == nil && f.id != "" {
		r.Err = &diagnosis.Diagnosis{ID: f.id, Expected: f.expected, Got: f.got}
	}
	return r
}
