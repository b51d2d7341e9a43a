package cmd

import (
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
)

// doctorJSON is what doctor prints with --json; docs/reference/doctor.schema.json
// describes it.
type doctorJSON struct {
	Schema   int         `json:"schema"`
	Profile  string      `json:"profile,omitempty"`
	URL      string      `json:"url,omitempty"`
	Kind     doctor.Kind `json:"kind,omitempty"`
	Rungs    []rungJSON  `json:"rungs"`
	First    *firstJSON  `json:"first,omitempty"`
	ExitCode int         `json:"exit_code"`
}

// doctorsJSON is what doctor prints with --json for several profiles.
type doctorsJSON struct {
	Schema   int          `json:"schema"`
	Profiles []doctorJSON `json:"profiles"`
	ExitCode int          `json:"exit_code"`
}

type rungJSON struct {
	Rung      string           `json:"rung"`
	Name      string           `json:"name"`
	Status    doctor.Status    `json:"status"`
	Text      string           `json:"text,omitempty"`
	ID        diagnosis.ID     `json:"id,omitempty"`
	Owner     doctor.Owner     `json:"owner,omitempty"`
	Request   string           `json:"request,omitempty"`
	Expected  diagnosis.Values `json:"expected,omitzero"`
	Got       diagnosis.Values `json:"got,omitzero"`
	Rule      string           `json:"rule,omitempty"`
	Fix       string           `json:"fix,omitempty"`
	Reproduce string           `json:"reproduce,omitempty"`
}

type firstJSON struct {
	Rung  string       `json:"rung"`
	Name  string       `json:"name"`
	ID    diagnosis.ID `json:"id"`
	Owner doctor.Owner `json:"owner"`
}

// doctorReport returns a doctorJSON for one visit, or a doctorsJSON for several.
func doctorReport(env *Env, o doctorOptions, visits []*visit) any {
	all := doctorsJSON{Schema: 1, Profiles: []doctorJSON{}}
	for _, v := range visits {
		all.Profiles = append(all.Profiles, env.visitJSON(o, v))
		if all.ExitCode == exitDone {
			all.ExitCode = v.exitCode
		}
	}
	if len(visits) == 1 {
		return all.Profiles[0]
	}
	return all
}

func (env *Env) visitJSON(o doctorOptions, v *visit) doctorJSON {
	report := doctorJSON{Schema: 1, Profile: v.profile, URL: v.report.URL, Kind: v.report.Kind, Rungs: []rungJSON{}, ExitCode: v.exitCode}
	if first := v.report.First(o.strict); first != nil {
		report.First = &firstJSON{first.Rung, first.Name, first.ID, first.Owner}
	}
	for i := range v.report.Results {
		r := &v.report.Results[i]
		rung := rungJSON{
			Rung: r.Rung, Name: r.Name, Status: r.Status, Text: env.scrub(r.Text), ID: r.ID, Owner: r.Owner,
			Expected: env.scrubbed(r.Expected), Got: env.scrubbed(r.Got), Rule: r.Rule,
		}
		if r.Request != nil {
			rung.Request = r.Request.Method + " " + r.Request.URL
		}
		switch r.Status {
		case doctor.Failed, doctor.Warning:
			rung.Fix, _ = env.fixOf(r)
			rung.Reproduce = env.reproduceOf(r)
		case doctor.Note:
			rung.Fix = r.Fix
		}
		report.Rungs = append(report.Rungs, rung)
	}
	return report
}
