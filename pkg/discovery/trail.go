package discovery

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Step is one place that was looked at.
type Step struct {
	URL     string
	Found   string // what is there, such as "401 with a challenge"
	Verdict string // what follows from it, such as "issuer is identical"
	Err     error  // why it could not be used; nil where it could, or where nothing was there
}

// Trail is the way a search went, in order, fit to be shown: it tells a person
// where a server would have to put what is missing.
type Trail []Step

const (
	documentLimit = 1 << 20
	// documentTime bounds one document as a whole; safehttp bounds only the
	// waiting for the next byte.
	documentTime = 10 * time.Second
)

// finder collects the trail and the gravest reason why nothing was found.
type finder struct {
	client *safehttp.Client
	trail  Trail
	worst  error
	gone   bool // the host does not answer, so its other places need no try
}

func (f *finder) http() *safehttp.Client {
	if f.client == nil {
		return &safehttp.Client{}
	}
	return f.client
}

// fetch reads the document at rawURL, and whether there is one.
func (f *finder) fetch(ctx context.Context, rawURL string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	f.trail = append(f.trail, Step{URL: rawURL})
	res, err := f.http().Get(ctx, rawURL, "application/json", documentLimit)
	if err != nil {
		f.lost(err)
		return nil, false
	}
	if status := statusError(res.Status); status != nil {
		f.refuse(told(res.Status), status)
		return nil, false
	}
	if res.Status != http.StatusOK {
		f.pass(told(res.Status), "nothing here")
		return nil, false
	}
	// Many sites answer every path with their front page.
	if kind := jsontext.Value(res.Body).Kind(); kind != '{' {
		f.pass(fmt.Sprintf("200, %s", mediaType(res.Header)), "no JSON object, so no metadata")
		return nil, false
	}
	return res.Body, true
}

func (f *finder) step() *Step { return &f.trail[len(f.trail)-1] }

func (f *finder) pass(found, verdict string) { f.step().Found, f.step().Verdict = found, verdict }

func (f *finder) accept(found, verdict string) { f.pass(found, verdict) }

// refuse notes why the place cannot be used and remembers the gravest such
// reason: a broken check tells more than a server that is down.
func (f *finder) refuse(found string, err error) {
	f.step().Found, f.step().Verdict, f.step().Err = found, "refused", err
	if f.worst == nil || grave(err) && !grave(f.worst) {
		f.worst = err
	}
}

func grave(err error) bool {
	var d *diagnosis.Diagnosis
	return errors.As(err, &d) && d.Kind() == diagnosis.Unsafe
}

// lost notes a request that got no answer.
func (f *finder) lost(err error) {
	var d *diagnosis.Diagnosis
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &d) {
		err = &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("the whole document within %s", documentTime)}, Got: diagnosis.Values{"less"}, Err: err}
	}
	f.refuse("no answer", err)
	if errors.As(err, &d) {
		switch d.ID {
		case diagnosis.Unreachable, diagnosis.Timeout, diagnosis.TLSUntrusted:
			f.gone = true
		}
	} else {
		f.gone = true
	}
}

// failure is the error of a search that found nothing.
func (f *finder) failure(what string) error {
	if f.worst != nil {
		return fmt.Errorf("discovery: %w", f.worst)
	}
	return fmt.Errorf("discovery: %w", &diagnosis.Diagnosis{
		ID: diagnosis.MetadataNotFound, Got: diagnosis.Values{fmt.Sprintf("%s at %d places", what, len(f.trail))},
	})
}

// statusError is the Diagnosis of a status that says "not now".
func statusError(status int) error {
	switch {
	case status == http.StatusTooManyRequests:
		return &diagnosis.Diagnosis{ID: diagnosis.RateLimited, Got: diagnosis.Text(told(status))}
	case status >= 500:
		return &diagnosis.Diagnosis{ID: diagnosis.ServerError, Got: diagnosis.Text(told(status))}
	}
	return nil
}

func told(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}

func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return "of no known kind"
	}
	return diagnosis.Quote(kind)
}
