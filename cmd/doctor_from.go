package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
)

// explainedJSON is what doctor --from prints with --json.
type explainedJSON struct {
	doctorJSON `json:",inline"`

	Run       reportRun `json:"run"`
	Meaning   string    `json:"meaning,omitempty"`
	Cure      string    `json:"fix,omitempty"`
	Exchanges int       `json:"exchanges"`
}

// explainReport prints the requests of a report and what its failure means, and
// examines the recorded responses. It sends nothing.
func (env *Env) explainReport(ctx context.Context, o doctorOptions) error {
	report, err := env.readReport(o.from)
	if err != nil {
		return err
	}
	run := report.Log.Run
	v := &visit{}
	if v.report, err = doctor.Examine(ctx, report.examination()); err != nil {
		return err
	}
	fault := v.settle(o)
	if env.global.wantsJSON() {
		explained := explainedJSON{doctorJSON: env.visitJSON(o, v), Run: run, Exchanges: len(report.Log.Entries)}
		if run.Error != nil {
			entry, _ := diagnosis.Lookup(run.Error.ID)
			explained.Meaning, explained.Cure = entry.Meaning, entry.Fix
		}
		err = env.printJSON(explained)
	} else {
		env.showRecorded(report)
		env.showVisit(v, o)
	}
	if err != nil || fault == nil {
		return err
	}
	return printedError{fault}
}

func (env *Env) readReport(path string) (*reportJSON, error) {
	data, err := env.readInput(path, 16<<20)
	if err != nil {
		return nil, usage("--from: %w", err)
	}
	var report reportJSON
	if err := json.Unmarshal(data, &report); err != nil || report.Log.Run.Schema != 1 {
		return nil, &usageError{what: "--from: " + shownArg(path) + " is not a report of oauthctl", hint: "write one with `oauthctl call --report FILE` or `oauthctl login --report FILE`"}
	}
	return &report, nil
}

// examination returns the configuration for an examination of the recorded
// responses.
func (r *reportJSON) examination() doctor.Config {
	run := r.Log.Run
	c := doctor.Config{
		URL: run.About, Recording: &doctor.Recording{},
		Local: []doctor.Local{{Text: r.Log.Creator.Name + " " + r.Log.Creator.Version}, {Text: run.Platform}},
	}
	for _, e := range r.Log.Entries {
		c.URL = cmp.Or(c.URL, e.Request.URL)
		c.Recording.Exchanges = append(c.Recording.Exchanges, e.exchange())
	}
	if run.Error != nil {
		d := &diagnosis.Diagnosis{ID: run.Error.ID}
		if d.Kind() == diagnosis.Store || d.ID == diagnosis.ConfigInvalid {
			c.Local = append(c.Local, doctor.Local{Err: d})
		}
	}
	return c
}

// exchange converts an entry for the examination.
func (e *harEntry) exchange() doctor.Exchange {
	x := doctor.Exchange{
		Method: e.Request.Method, URL: e.Request.URL, HasToken: headerOf(e.Request.Headers).Get("Authorization") != "",
		Status: e.Response.Status, Header: headerOf(e.Response.Headers), Body: []byte(e.Response.Content.Text),
		Took: time.Duration(e.Time * float64(time.Millisecond)),
	}
	x.Start, _ = time.Parse(time.RFC3339Nano, e.Started)
	if e.Error != "" {
		x.Err = &diagnosis.Diagnosis{ID: cmp.Or(e.ErrorID, diagnosis.Unreachable), Err: errors.New(e.Error)}
	}
	return x
}

func headerOf(fields []harField) http.Header {
	h := http.Header{}
	for _, field := range fields {
		h.Add(field.Name, field.Value)
	}
	return h
}

// showRecorded prints the recorded requests and how the run ended.
func (env *Env) showRecorded(report *reportJSON) {
	s, run := env.stdout(), report.Log.Run
	s.line("%s %s, %s", clean(report.Log.Creator.Name), clean(report.Log.Creator.Version), clean(run.Platform))
	s.line("%s", clean(strings.TrimSpace(run.Command+" "+run.About)))
	for i, e := range report.Log.Entries {
		outcome := fmt.Sprintf("%d %s", e.Response.Status, e.Response.StatusText)
		if e.Error != "" {
			outcome = e.Error
		}
		s.line("%3d %s", i+1, continued(clean(e.Request.Method+" "+e.Request.URL), 4))
		s.line("    %s", s.faint(continued(clean(outcome), 4)))
	}
	if run.Error == nil {
		s.line("the command succeeded")
		return
	}
	entry, _ := diagnosis.Lookup(run.Error.ID)
	s.line("%s %s", s.bad(s.marks.fail), continued(clean(run.Error.Message), 2))
	s.table([][2]string{
		{"    id", string(run.Error.ID)},
		{"    exit code", fmt.Sprint(run.ExitCode)},
		{"    means", continued(entry.Meaning, 15)},
		{"    fix", continued(entry.Fix, 15)},
	})
}
