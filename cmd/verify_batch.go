package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// runVerifyBatch verifies the token in each line of the input. It prints a line
// for each, in the same order: valid, or the id of the first failure; with --json
// the whole report.
func runVerifyBatch(ctx context.Context, env *Env, o verifyOptions) error {
	if env.global.jq != "" {
		return usage("--jq cannot be combined with --batch; pipe the output of --json to jq")
	}
	inspector, err := env.inspector(o.verifyingOptions, secret.String{})
	if err != nil {
		return err
	}
	b := &batch{ctx: ctx, env: env, inspector: inspector, json: env.global.json}
	in, err := b.open(o.batch)
	if err != nil {
		return usage("--batch: %w", err)
	}
	defer in.Close()
	out := bufio.NewWriterSize(env.Stdout, 64<<10)
	stop := env.showProgress(b)
	err = token.Batch(ctx, countingReader{in, &b.read}, out, b.verify)
	stop()
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		return err
	}
	return b.summary(env)
}

// errNotAll is the error of a batch in which not every token is valid; the reasons
// are in the lines of the output.
var errNotAll = errors.New("not every token is valid")

// batch verifies tokens and counts the results.
type batch struct {
	ctx       context.Context
	env       *Env
	inspector *token.Inspector
	json      bool
	size      int64 // of the file, 0 if that is not known

	read, verified, blank, invalid, unknown atomic.Int64
	unsafe, wrong                           atomic.Bool // why some could not be checked
}

// open opens a file, or standard input for "-".
func (b *batch) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		stdin, err := b.env.takeStdin()
		if err == nil && b.env.IsTerminal(stdin) {
			b.env.say("paste one token per line, then press Ctrl-D; a file is given as --batch=FILE")
		}
		return io.NopCloser(stdin), err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = fmt.Errorf("%s is a directory", path)
	case err == nil && info.Mode().IsRegular():
		b.size = info.Size()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// countingReader counts the bytes that were read.
type countingReader struct {
	io.Reader
	read *atomic.Int64
}

// Read implements io.Reader.
func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}

func (b *batch) verify(out []byte, line string) []byte {
	if strings.TrimSpace(line) == "" {
		b.blank.Add(1)
	}
	if !b.json {
		err := b.inspector.Check(b.ctx, line)
		return append(append(out, b.count(err)...), '\n')
	}
	report := b.inspector.Report(b.ctx, line)
	failure := withIssuerFirst(report)
	b.count(failure)
	// The parts of the report were read strictly, so no member occurs twice.
	data, err := json.Marshal(b.env.shownReport(report, statusOf(failure), failure), jsontext.AllowDuplicateNames(true))
	if err != nil {
		data = nil // cannot happen: all parts of the report were read as JSON
	}
	if text := string(data); !isClean(text) {
		data = []byte(escapeJSON(text))
	}
	return append(append(out, data...), '\n')
}

// count counts the result of a token and returns its line of the output.
func (b *batch) count(failure error) string {
	b.verified.Add(1)
	if failure == nil {
		return "valid"
	}
	var d *diagnosis.Diagnosis
	if !errors.As(failure, &d) {
		d = &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable}
	}
	switch d.Kind() {
	case diagnosis.Unavailable:
		b.unknown.Add(1)
	case diagnosis.Rejected:
		b.invalid.Add(1)
	case diagnosis.Unsafe:
		b.unsafe.Store(true)
		b.unknown.Add(1)
	default:
		b.wrong.Store(true)
		b.unknown.Add(1)
	}
	return string(d.ID)
}

// summary prints the counts on stderr and returns what they mean for the exit code.
func (b *batch) summary(env *Env) error {
	verified, invalid, unknown := b.verified.Load(), b.invalid.Load(), b.unknown.Load()
	env.say("%d tokens: %d valid, %d not valid, %d could not be checked", verified, verified-invalid-unknown, invalid, unknown)
	switch {
	case verified == b.blank.Load():
		return &usageError{what: "the batch holds no tokens", hint: "give one token per line; a file is given as --batch=FILE"}
	case invalid > 0:
		return notAll(diagnosis.Rejected)
	case b.unsafe.Load():
		return notAll(diagnosis.Unsafe)
	case b.wrong.Load():
		return notAll(diagnosis.Usage)
	case unknown > 0:
		return notAll(diagnosis.Unavailable)
	}
	return nil
}

func notAll(kind diagnosis.Kind) error { return printedError{exitError{errNotAll, exitCodeOf(kind)}} }

// progress returns the number of tokens that were verified and the part of the
// file that was read.
func (b *batch) progress() string {
	text := fmt.Sprintf("%d tokens", b.verified.Load())
	if b.size > 0 {
		text += fmt.Sprintf(", %d%%", min(100, 100*b.read.Load()/b.size))
	}
	return text
}

// showProgress shows the progress of a batch on stderr, if that is a terminal and
// the results go elsewhere.
func (env *Env) showProgress(b *batch) (stop func()) {
	if env.global.quiet || !env.IsTerminal(env.Stderr) || env.IsTerminal(env.Stdout) {
		return func() {}
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(env.Stderr, "\r%s", b.progress())
			case <-done:
				_, _ = io.WriteString(env.Stderr, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(done); <-over }
}
