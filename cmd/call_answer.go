package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// maxShown bounds a body that has to be read whole, to be shown or filtered.
const maxShown = 64 << 20

// tooLarge is a body that cannot be held.
func tooLarge(what string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.ResponseTooLarge, Expected: diagnosis.Values{"at most " + size(maxShown)}, Got: diagnosis.Text(what + " is larger")}
}

// answer shows one response.
type answer struct {
	env *Env
	o   *callOptions
	out *outputFile // nil without --output FILE
	// wrote reports that a part of the body was written to stdout, so that the
	// request must not be repeated.
	wrote bool
	// refusal explains the last response if it was not a success; otherwise it
	// is nil.
	refusal *apicall.Refusal
}

// show prints the response: unchanged in a pipe, indented if it is JSON on a
// terminal, as one object with --json, or into a file.
func (a *answer) show(res *http.Response) error {
	env := a.env
	terminal := env.IsTerminal(env.Stdout)
	header := a.o.include || res.Request.Method == http.MethodHead && terminal
	if header && !env.global.json {
		a.header(res)
		defer a.trailer(res)
	}
	good := res.StatusCode < http.StatusMultipleChoices
	switch {
	case a.out != nil && (good || res.StatusCode == http.StatusNotModified || res.StatusCode == http.StatusRequestedRangeNotSatisfiable && a.o.resume):
		return a.save(res)
	case a.o.stream && good:
		return env.showStream(res, a.o)
	case a.o.output == "-" || !env.global.wantsJSON() && !terminal && !a.isGraphQL(res):
		n, err := io.Copy(env.Stdout, res.Body)
		a.wrote = a.wrote || n > 0
		return err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxShown+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxShown:
		return tooLarge("the answer")
	}
	if err := a.body(res, body, terminal && !header); err != nil {
		return err
	}
	return a.graphql(res, body)
}

func (a *answer) body(res *http.Response, body []byte, bare bool) error {
	env, kind := a.env, res.Header.Get("Content-Type")
	switch {
	case env.global.json:
		return env.printJSON(map[string]any{"status": res.StatusCode, "headers": res.Header, "body": bodyValue(body, kind)})
	case env.global.jq != "":
		err := env.filterBody(body, kind)
		if wrong := (jqError{}); errors.As(err, &wrong) && res.StatusCode >= http.StatusMultipleChoices {
			// The expression is for the answer that did not come.
			_, err = env.Stdout.Write(body)
		}
		return err
	case !env.IsTerminal(env.Stdout):
		_, err := env.Stdout.Write(body)
		return err
	case len(body) == 0 && bare:
		env.say("%s", clean(res.Status))
		return nil
	}
	return env.showBody(body, kind)
}

func (a *answer) header(res *http.Response) {
	s := a.env.stdout()
	s.line("%s %s", clean(res.Proto), clean(res.Status))
	for _, line := range plainHeader(res.Header) {
		s.line("%s", clean(line))
	}
	s.line("")
	a.wrote = true
}

// trailer prints the fields that came after the body (RFC 9110, section 6.5).
func (a *answer) trailer(res *http.Response) {
	s := a.env.stdout()
	lines := plainHeader(res.Trailer)
	if len(lines) > 0 {
		s.line("")
	}
	for _, line := range lines {
		s.line("%s", clean(line))
	}
}

// showBody prints a body for people.
func (env *Env) showBody(body []byte, kind string) error {
	s := env.stdout()
	if values := jsonValues(body, kind, false); values != nil {
		for _, value := range values {
			s.line("%s", s.json(prettyJSON(value)))
		}
		return nil
	}
	text, ok := readable(body, kind)
	switch {
	case len(body) == 0:
	case !ok && env.IsTerminal(env.Stdout):
		env.say("binary data (%s, %s) is not shown on a terminal; use --output FILE, or pipe it", clean(fmt.Sprintf("%.100s", kind)), size(int64(len(body))))
	default:
		s.line("%s", cleanLines(strings.TrimSuffix(text, "\n")))
	}
	return nil
}

// save writes a body to the file of --output.
func (a *answer) save(res *http.Response) (err error) {
	out := a.out
	defer func() {
		if err != nil && out.temp == nil && !out.partial {
			a.wrote = true // into a pipe or a device
		}
	}()
	switch {
	case res.StatusCode == http.StatusNotModified:
		a.env.say("304 Not Modified: %s is unchanged", out.path)
		out.discard()
		return nil
	case res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusResetContent:
		a.env.say("%s: %s is unchanged", clean(res.Status), out.path)
		out.discard()
		return nil
	case out.partial:
		done, err := out.resume(res)
		if err != nil || done {
			if done {
				a.env.say("%s is complete", out.path)
			}
			out.discard()
			return err
		}
	case res.StatusCode == http.StatusPartialContent && out.old != nil:
		out.discard()
		return &diagnosis.Diagnosis{ID: diagnosis.APIError, Expected: diagnosis.Values{"the whole content, to replace " + out.path}, Got: diagnosis.Values{"206 Partial Content; FILE is unchanged"}}
	}
	p := progress{env: a.env, total: res.ContentLength}
	written, err := io.Copy(io.MultiWriter(out, &p), res.Body)
	p.end()
	if err == nil && res.ContentLength >= 0 && written != res.ContentLength && !res.Uncompressed {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := out.finish(); err != nil {
		return err
	}
	if out.resumed > 0 {
		a.env.say("%s written to %s, which had %s", size(written), out.path, size(out.resumed))
	} else {
		a.env.say("%s written to %s", size(written), out.path)
	}
	return nil
}

// resume prepares appending an answer, and reports whether the file is complete.
func (o *outputFile) resume(res *http.Response) (done bool, err error) {
	field := res.Header.Get("Content-Range")
	switch res.StatusCode {
	case http.StatusPartialContent:
		var from, to int64
		if n, _ := fmt.Sscanf(field, "bytes %d-%d/", &from, &to); n == 2 && from == o.resumed {
			return false, nil
		}
		return false, &diagnosis.Diagnosis{ID: diagnosis.APIError, Expected: diagnosis.Values{fmt.Sprintf("the content from byte %d on", o.resumed)}, Got: diagnosis.Values{fmt.Sprintf("Content-Range %.100q; FILE is unchanged", field)}}
	case http.StatusRequestedRangeNotSatisfiable:
		var total int64
		if n, _ := fmt.Sscanf(field, "bytes */%d", &total); n == 1 && total == o.resumed {
			return true, nil
		}
		return false, &diagnosis.Diagnosis{ID: diagnosis.APIError, Got: diagnosis.Values{fmt.Sprintf("416 Range Not Satisfiable, %.100q: FILE is not the beginning of the content", field)}}
	}
	return false, o.restart()
}

// isGraphQL reports whether a response is GraphQL, by its type or because the
// user says so.
func (a *answer) isGraphQL(res *http.Response) bool {
	return a.o.graphql || strings.HasPrefix(res.Header.Get("Content-Type"), "application/graphql-response+json")
}

// graphql makes a GraphQL answer with errors a failure.
func (a *answer) graphql(res *http.Response, body []byte) error {
	if res.StatusCode >= http.StatusMultipleChoices || !a.isGraphQL(res) {
		return nil
	}
	if count, first := graphqlErrors(body); count > 0 {
		return &diagnosis.Diagnosis{ID: diagnosis.APIError, Got: diagnosis.Values{fmt.Sprintf("%s with %d GraphQL error(s), the first %.200q", res.Status, count, first)}}
	}
	return nil
}

// attempts sends the request and shows the response. If the body breaks off and
// none of it was printed, the request is repeated as --retry says.
func (env *Env) attempts(ctx context.Context, client *apicall.Client, request apicall.Request, a *answer) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		res, err := client.Do(ctx, request)
		if err != nil {
			return nil, callFault(err)
		}
		a.refusal = apicall.Refused(res)
		err = a.show(res)
		res.Body.Close()
		again := apicall.Broken(err) || errors.Is(err, io.ErrUnexpectedEOF)
		if !again || attempt >= a.o.retry || a.wrote || !apicall.Repeatable(request.Method) || a.out != nil && !a.out.rewind() {
			return res, err
		}
		if err := client.Pause(ctx, apicall.Backoff(attempt), err); err != nil {
			return res, err
		}
	}
}

// progress reports on a terminal how far a transfer has come.
type progress struct {
	env   *Env
	total int64 // negative where it is unknown
	done  int64
	last  time.Time
	shown bool
}

// Write implements [io.Writer].
func (p *progress) Write(data []byte) (int, error) {
	p.done += int64(len(data))
	now := time.Now()
	if p.last.IsZero() {
		p.last = now // a short transfer needs no progress
	}
	if now.Sub(p.last) < 200*time.Millisecond || p.env.global.quiet || !p.env.IsTerminal(p.env.Stderr) {
		return len(data), nil
	}
	p.last, p.shown = now, true
	text := size(p.done)
	if p.total > 0 {
		text = fmt.Sprintf("%s of %s, %d %%", text, size(p.total), 100*p.done/p.total)
	}
	fmt.Fprintf(p.env.Stderr, "\r%-40s", text)
	return len(data), nil
}

func (p *progress) end() {
	if p.shown {
		fmt.Fprintf(p.env.Stderr, "\r%-40s\r", "")
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
