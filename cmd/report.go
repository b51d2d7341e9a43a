package cmd

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// reportFile collects the exchanges of one run for --report. It holds labels in
// place of secrets.
type reportFile struct {
	labels safehttp.Labels

	mu      sync.Mutex
	entries []harEntry
}

// reportJSON is the file: an HTTP archive (HAR 1.2), with what oauthctl adds in a
// member whose name begins with an underscore, as archives allow.
type reportJSON struct {
	Log harLog `json:"log"`
}

type harLog struct {
	Version string     `json:"version"`
	Creator harCreator `json:"creator"`
	Entries []harEntry `json:"entries"`
	Run     reportRun  `json:"_oauthctl"`
}

type harCreator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// reportRun says how the run ended.
type reportRun struct {
	Schema   int      `json:"schema"`
	Command  string   `json:"command"`
	Platform string   `json:"platform"`
	About    string   `json:"url,omitempty"`
	Error    *failure `json:"error,omitempty"`
	ExitCode int      `json:"exit_code"`
}

type harEntry struct {
	Started  string      `json:"startedDateTime"`
	Time     float64     `json:"time"` // milliseconds
	Request  harRequest  `json:"request"`
	Response harResponse `json:"response"`
	Cache    struct{}    `json:"cache"`
	Timings  harTimings  `json:"timings"`
	Error    string      `json:"_error,omitempty"`
	// ErrorID is the id of Error in the catalogue.
	ErrorID diagnosis.ID `json:"_error_id,omitempty"`
}

type harRequest struct {
	Method      string     `json:"method"`
	URL         string     `json:"url"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harField `json:"cookies"`
	Headers     []harField `json:"headers"`
	QueryString []harField `json:"queryString"`
	PostData    *harBody   `json:"postData,omitempty"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int        `json:"bodySize"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harField `json:"cookies"`
	Headers     []harField `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int        `json:"bodySize"`
}

type harField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harBody struct {
	MimeType string `json:"mimeType"`
	Text     string `json:"text"`
}

type harContent struct {
	Size     int    `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// reporting runs a command and writes its exchanges to a file, whether it
// succeeds or not.
func (env *Env) reporting(path string, cmd *cobra.Command, run func() error) error {
	if path == "" {
		return run()
	}
	if env.global.showSecrets {
		return usage("--report and --show-secrets cannot be combined: a report holds no secrets")
	}
	// Before the command does something that cannot be repeated.
	if err := writePrivate(path, nil); err != nil {
		return usage("--report: %w", err)
	}
	env.report = &reportFile{entries: []harEntry{}}
	err := run()
	text, failed := env.report.text(env, cmd, err)
	if failed == nil {
		failed = writePrivate(path, text)
	}
	if failed != nil {
		env.warn("the report was not written: %s", clean(failed.Error()))
	}
	return err
}

// writePrivate writes a file that only its owner can read, in one step.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return plainPathError(err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return plainPathError(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return plainPathError(err)
	}
	return nil
}

// trace reports exchanges to the file, and to the screen where --verbose asks.
func (r *reportFile) trace(env *Env) *safehttp.Trace {
	return &safehttp.Trace{Labels: &r.labels, Show: func(e safehttp.Exchange) {
		r.add(e, env.Now())
		if env.global.verbose {
			env.showExchange(e)
		}
	}}
}

func (r *reportFile) add(e safehttp.Exchange, now time.Time) {
	took := float64(e.Took.Microseconds()) / 1000
	entry := harEntry{
		Started: now.Add(-e.Took).UTC().Format(time.RFC3339Nano), Time: took, Timings: harTimings{Wait: took},
		Request: harRequest{
			Method: e.Method, URL: e.URL, HTTPVersion: "HTTP/1.1", Cookies: []harField{}, Headers: harFields(e.RequestHeader), QueryString: []harField{},
			HeadersSize: -1, BodySize: -1,
		},
		Response: harResponse{
			Status: e.Status, StatusText: http.StatusText(e.Status), HTTPVersion: "HTTP/1.1", Cookies: []harField{}, Headers: harFields(e.ResponseHeader),
			Content:     harContent{Size: len(e.ResponseBody), MimeType: e.ResponseHeader.Get("Content-Type"), Text: e.ResponseBody},
			RedirectURL: e.ResponseHeader.Get("Location"), HeadersSize: -1, BodySize: -1,
		},
	}
	if e.RequestBody != "" {
		entry.Request.PostData = &harBody{e.RequestHeader.Get("Content-Type"), e.RequestBody}
	}
	if e.Err != nil {
		entry.Error = e.Err.Error()
		if d, ok := errors.AsType[*diagnosis.Diagnosis](e.Err); ok {
			entry.ErrorID = d.ID
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entry)
}

func harFields(h http.Header) []harField {
	fields := []harField{}
	for _, name := range sortedKeys(h) {
		for _, value := range h[name] {
			fields = append(fields, harField{name, value})
		}
	}
	return fields
}

// text is the file's. A server may repeat a secret at any place, perhaps before
// it was known to be one, so the whole text is searched at the end.
func (r *reportFile) text(env *Env, cmd *cobra.Command, err error) ([]byte, error) {
	run := reportRun{Schema: 1, Command: cmd.CommandPath(), Platform: runtime.GOOS + "/" + runtime.GOARCH, About: safehttp.RedactURL(env.about)}
	if err != nil {
		f := env.classify(err)
		env.withoutSecrets(&f)
		run.Error, run.ExitCode = &f, f.ExitCode
		if own := (exitError{}); errors.As(err, &own) {
			run.ExitCode = own.code
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	report := reportJSON{harLog{Version: "1.2", Creator: harCreator{"oauthctl", versionText()}, Entries: r.entries, Run: run}}
	data, err := json.Marshal(report, json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, err
	}
	return []byte(env.scrub(r.labels.Replace(string(data))) + "\n"), nil
}
