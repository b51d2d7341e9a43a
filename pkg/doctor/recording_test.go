package doctor_test

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// recorder is a transport that records its requests and responses.
type recorder struct {
	mu        sync.Mutex
	exchanges []doctor.Exchange
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	x := doctor.Exchange{Method: req.Method, URL: req.URL.String(), HasToken: req.Header.Get("Authorization") != "", Start: time.Now()}
	res, err := http.DefaultTransport.RoundTrip(req)
	if x.Err = err; err == nil {
		defer res.Body.Close()
		if x.Body, err = io.ReadAll(res.Body); err != nil {
			return nil, err
		}
		x.Status, x.Header = res.StatusCode, res.Header
		res.Body = io.NopCloser(bytes.NewReader(x.Body))
	}
	x.Took = time.Since(x.Start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchanges = append(r.exchanges, x)
	return res, err
}

// The examination of a recorded run shows the same fault as that of the
// servers, which are gone.
func TestExamineRecording(t *testing.T) {
	onlyHere := map[string]bool{
		"configuration": true, // on this machine
		"own clock":     true, // the recording has the clock of its machine
		"no answer":     true, // its own timeout
	}
	for name, tt := range faults() {
		if onlyHere[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, kept := newFarm(t), &recorder{}
			tt.change(f)
			f.config.HTTP = &safehttp.Client{Transport: kept}
			online, _ := examine(t, f)
			f.api.Close()
			f.issuer.Close()
			offline, err := doctor.Examine(t.Context(), doctor.Config{URL: f.config.URL, MCP: f.config.MCP, Recording: &doctor.Recording{Exchanges: kept.exchanges}})
			if err != nil {
				t.Fatal(err)
			}
			one, other := online.First(true), offline.First(true)
			if other == nil || one.Rung != other.Rung || one.ID != other.ID || one.Owner != other.Owner || one.Status != other.Status {
				t.Errorf("online %+v\noffline %+v\n%s", one, other, lines(offline))
			}
		})
	}
}

// If only a part of a run was recorded, the other rungs are not reached: no
// rung passes or fails without a response.
func TestExamineRecordingOfAPart(t *testing.T) {
	f, kept := newFarm(t), &recorder{}
	f.config.HTTP, f.config.Deep = &safehttp.Client{Transport: kept}, true
	if _, got := examine(t, f); got != nil {
		t.Fatalf("the farm is wrong: %v", got)
	}
	called := doctor.Exchange{Method: http.MethodPost, URL: f.api.URL + "/items", HasToken: true, Status: 401, Start: time.Now()}
	for name, tt := range map[string]struct {
		exchanges []doctor.Exchange
		passed    []string
		want      []want
	}{
		"nothing": {nil, nil, nil},
		"all":     {kept.exchanges, []string{"refuses", "challenge", "resource metadata", "issuer", "key set", "token endpoint"}, nil},
		"call":    {[]doctor.Exchange{called}, nil, []want{{"19", diagnosis.APIUnauthorized, doctor.TheAPI, diagnosis.Rejected, doctor.Failed}}},
		"first":   {kept.exchanges[:1], []string{"refuses", "challenge"}, nil},
	} {
		report, err := doctor.Examine(t.Context(), doctor.Config{URL: f.config.URL, Recording: &doctor.Recording{Exchanges: tt.exchanges}})
		if err != nil {
			t.Fatal(err)
		}
		got := warnings(report)
		if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
			t.Errorf("%s: got %v, want %v\n%s", name, got, tt.want, lines(report))
		}
		status := map[string]doctor.Status{}
		for _, r := range report.Results {
			status[r.Name] = r.Status
		}
		for _, rung := range tt.passed {
			if status[rung] != doctor.Passed {
				t.Errorf("%s: %s is %q\n%s", name, rung, status[rung], lines(report))
			}
		}
		if tt.passed == nil && (status["refuses"] == doctor.Passed || status["issuer"] == doctor.Passed || status["key set"] == doctor.Passed) {
			t.Errorf("%s: a rung passed without an answer\n%s", name, lines(report))
		}
	}
}
