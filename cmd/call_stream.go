package cmd

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxEvent bounds one event or line of a stream.
const maxEvent = 4 << 20

// showStream prints what comes as it comes: the data of each server-sent event
// (WHATWG HTML, section 9.2), or each line, which in NDJSON is a value.
func (env *Env) showStream(res *http.Response) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	lines.Split(anyLine())
	var data []string
	for lines.Scan() {
		line := lines.Text()
		if kind != "text/event-stream" {
			if err := env.showEvent(line); err != nil {
				return err
			}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		switch {
		case field == "data":
			data = append(data, strings.TrimPrefix(value, " "))
		case line == "" && data != nil:
			if err := env.showEvent(strings.Join(data, "\n")); err != nil {
				return err
			}
			data = nil
		}
	}
	if err := lines.Err(); err == bufio.ErrTooLong {
		return fmt.Errorf("call: an event is larger than %d bytes", maxEvent)
	} else if err != nil {
		return err
	}
	return nil
}

// showEvent prints one event: filtered, made readable on a terminal, or as one
// line of its own where it is piped.
func (env *Env) showEvent(text string) error {
	value := jsontext.Value(text)
	s := env.stdout()
	switch {
	case strings.TrimSpace(text) == "":
		return nil
	case value.IsValid() && env.global.jq != "":
		return env.printJSON(value)
	case env.global.jq != "":
		return env.printJSON(text)
	case env.IsTerminal(env.Stdout) && value.IsValid():
		s.line("%s", s.json(prettyJSON(value)))
		return nil
	case env.IsTerminal(env.Stdout):
		text = cleanLines(text)
	}
	_, err := io.WriteString(env.Stdout, text+"\n")
	return err
}

// anyLine splits at CR LF, LF, and CR, all of which end a line of an event
// stream. A CR at the end of what has come is one, whatever follows: an event is
// not held back for the LF that may be part of it.
func anyLine() bufio.SplitFunc {
	afterCR := false
	return func(data []byte, atEOF bool) (int, []byte, error) {
		skip := 0
		if afterCR && len(data) > 0 && data[0] == '\n' {
			skip = 1
		}
		rest := string(data[skip:])
		i := strings.IndexAny(rest, "\r\n")
		switch {
		case i >= 0:
			afterCR = rest[i] == '\r'
			return skip + i + 1, data[skip : skip+i], nil
		case atEOF && len(rest) > 0:
			return len(data), data[skip:], nil
		case skip > 0:
			afterCR = false
			return skip, nil, nil
		}
		return 0, nil, nil
	}
}
