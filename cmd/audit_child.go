package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

const (
	childStarts = 30 * time.Second // maximum wait for the first response
	childEnds   = 5 * time.Second  // maximum wait after it was asked to end
	childPoll   = 50 * time.Millisecond
	childPipes  = 500 * time.Millisecond // maximum wait for output after the command has ended
)

// startAudited starts the API with the command of the command line and waits until
// it answers. The returned function ends the API and all processes that it
// started.
func (env *Env) startAudited(ctx context.Context, run *auditRun) (func(), error) {
	argv := run.options.command
	if len(argv) == 0 {
		return func() {}, nil
	}
	client, err := env.probe()
	if err != nil {
		return nil, err
	}
	if answers(ctx, client, run.target) {
		env.warn("%s answers before %s was started: is another server at that port?", clean(run.target.Redacted()), clean(argv[0]))
	}
	output := &tail{}
	var out io.Writer = output
	if env.global.verbose {
		out = io.MultiWriter(output, env.Stderr)
	}
	child := exec.Command(argv[0], argv[1:]...)
	child.Stdout, child.Stderr = out, out
	child.WaitDelay = childPipes
	child.Env = run.environment(os.Environ())
	ownGroup(child)
	if err := child.Start(); err != nil {
		return nil, usage("%s: %w", argv[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait(); close(ended) }()
	stop := func() { endGroup(child, ended) }
	if err := run.awaitAPI(ctx, client, ended); err != nil {
		stop()
		if text := output.String(); text != "" {
			env.say("%s", cleanLines(text))
		}
		return nil, err
	}
	return stop, nil
}

// environment adds variables with the issuer, key set, audience and port for the
// API.
func (run *auditRun) environment(environ []string) []string {
	port := run.target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[run.target.Scheme]
	}
	for _, pair := range [][2]string{
		{"OAUTH_ISSUER", run.issuer}, {"OAUTH_JWKS_URI", run.jwksURI}, {"OAUTH_AUDIENCE", run.audience}, {"PORT", port},
	} {
		if pair[1] != "" {
			environ = withVariable(environ, pair[0], pair[1])
		}
	}
	return environ
}

// awaitAPI waits until the API sends any response.
func (run *auditRun) awaitAPI(ctx context.Context, client *http.Client, ended <-chan error) error {
	deadline := time.NewTimer(childStarts)
	defer deadline.Stop()
	poll := time.NewTicker(childPoll)
	defer poll.Stop()
	for {
		if answers(ctx, client, run.target) {
			return nil
		}
		select {
		case <-poll.C:
		case err := <-ended:
			return &diagnosis.Diagnosis{ID: diagnosis.Unreachable, Err: fmt.Errorf("%s ended before it answered: %w", run.options.command[0], orEnded(err))}
		case <-deadline.C:
			return &diagnosis.Diagnosis{ID: diagnosis.Unreachable, Err: fmt.Errorf("%s does not answer at %s after %s", run.options.command[0], run.target.Redacted(), childStarts)}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// probe returns the client for [answers]. It trusts the same certificates as the
// requests of the audit.
func (env *Env) probe() (*http.Client, error) {
	client, err := env.client()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: client.Transport, Timeout: time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// answers reports whether the URL sends any response.
func answers(ctx context.Context, client *http.Client, target *url.URL) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return true
}

func orEnded(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}

// tail keeps the end of what was written.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const maxTail = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	if extra := t.text.Len() - maxTail; extra > 0 {
		t.text.Next(extra)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimRight(t.text.String(), "\n")
}
