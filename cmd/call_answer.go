package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/encoding/charmap"
)

// maxShown bounds a body that has to be read whole, to be shown or filtered.
const maxShown = 64 << 20

func isJSON(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// showResponse prints the answer: as it comes when it is piped, indented when it
// is JSON on a terminal, as one object with --json, or into a file.
func (env *Env) showResponse(res *http.Response, o callOptions) error {
	if o.include && !env.global.json {
		s := env.stdout()
		s.line("%s %s", clean(res.Proto), clean(res.Status))
		for _, name := range sortedKeys(res.Header) {
			for _, value := range res.Header[name] {
				s.line("%s: %s", clean(name), clean(value))
			}
		}
		s.line("")
	}
	good := res.StatusCode < http.StatusBadRequest
	switch {
	case o.output != "" && o.output != "-" && good:
		return env.saveBody(res, o.output)
	case o.stream && good:
		return env.showStream(res)
	case o.output == "-" || !env.global.wantsJSON() && !env.IsTerminal(env.Stdout):
		_, err := io.Copy(env.Stdout, res.Body)
		return err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxShown+1))
	kind := res.Header.Get("Content-Type")
	switch {
	case err != nil:
		return err
	case len(body) > maxShown:
		return &usageError{what: fmt.Sprintf("the answer is larger than %d bytes", maxShown), hint: "--output FILE, or pipe it"}
	case env.global.json:
		return env.printJSON(map[string]any{"status": res.StatusCode, "headers": res.Header, "body": bodyValue(body, kind)})
	case env.global.jq != "":
		return env.printJSON(bodyValue(body, kind))
	}
	return env.showBody(body, kind)
}

// showBody prints a body for people.
func (env *Env) showBody(body []byte, kind string) error {
	s := env.stdout()
	if isJSON(kind) && jsontext.Value(body).IsValid() {
		s.line("%s", s.json(prettyJSON(body)))
		return nil
	}
	text, ok := readable(body, kind)
	switch {
	case len(body) == 0:
	case !ok && env.IsTerminal(env.Stdout):
		return &usageError{what: fmt.Sprintf("the answer is no text (%.100q, %s), so it is not shown on a terminal", kind, size(int64(len(body)))), hint: "--output FILE, or pipe it"}
	default:
		s.line("%s", cleanLines(strings.TrimSuffix(text, "\n")))
	}
	return nil
}

// readable returns a body as UTF-8 by the charset it names, and reports whether
// it is text at all.
func readable(body []byte, kind string) (string, bool) {
	_, params, _ := mime.ParseMediaType(kind)
	switch strings.ToLower(params["charset"]) {
	case "iso-8859-1", "latin1", "windows-1252":
		// Browsers take the former for the latter, which has more letters.
		text, err := charmap.Windows1252.NewDecoder().String(string(body))
		return text, err == nil
	case "utf-16", "utf-16le", "utf-16be":
		return fromUTF16(body, strings.ToLower(params["charset"])), len(body)%2 == 0
	}
	return string(body), utf8.Valid(body) && !bytes.ContainsRune(body, 0)
}

func fromUTF16(body []byte, charset string) string {
	big := charset == "utf-16be"
	if len(body) >= 2 && (body[0] == 0xfe && body[1] == 0xff || body[0] == 0xff && body[1] == 0xfe) {
		big = body[0] == 0xfe
		body = body[2:]
	}
	units := make([]uint16, 0, len(body)/2)
	for i := 0; i+1 < len(body); i += 2 {
		if big {
			units = append(units, uint16(body[i])<<8|uint16(body[i+1]))
		} else {
			units = append(units, uint16(body[i+1])<<8|uint16(body[i]))
		}
	}
	return string(utf16.Decode(units))
}

// bodyValue is a body as part of JSON output: its own JSON, or a text.
func bodyValue(body []byte, kind string) any {
	switch {
	case isJSON(kind) && jsontext.Value(body).IsValid():
		return jsontext.Value(body)
	case len(body) == 0:
		return nil
	}
	text, _ := readable(body, kind)
	return strings.ToValidUTF8(text, "\uFFFD")
}

// saveBody writes the body to a file beside path, which takes path's name once
// it is whole.
func (env *Env) saveBody(res *http.Response, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return usage("--output: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	p := progress{env: env, total: res.ContentLength}
	written, err := io.Copy(io.MultiWriter(f, &p), res.Body)
	p.end()
	if err == nil && res.ContentLength >= 0 && written != res.ContentLength && !res.Uncompressed {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		// As a file that is written the usual way.
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		env.say("%s written to %s", size(written), path)
	}
	return err
}

// progress tells on a terminal how far a file has come.
type progress struct {
	env   *Env
	total int64 // negative where the server does not tell
	done  int64
	last  time.Time
	shown bool
}

func (p *progress) Write(data []byte) (int, error) {
	p.done += int64(len(data))
	now := time.Now()
	if p.last.IsZero() {
		p.last = now // what is quick needs no progress
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

// size tells a number of bytes as people do.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
