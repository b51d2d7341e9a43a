package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// maxEvent limits one event or line of a stream, in bytes.
const maxEvent = 4 << 20

// event is one server-sent event (WHATWG HTML, section 9.2), or a line of
// another stream, which is then its data.
type event struct {
	name, id, data string
}

// streamed is the position in a stream, to connect again after the connection
// broke.
type streamed struct {
	lastID string
	delay  time.Duration
	odd    bool // an event that is not JSON was reported
}

// defaultDelay is how long a client waits before it connects again, unless the
// server sets another time.
const defaultDelay = 3 * time.Second

// showStream prints data as soon as it arrives: the data of each server-sent
// event, or each line, which in NDJSON is a value.
func (env *Env) showStream(res *http.Response, o *callOptions) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	lines.Split(anyLine())
	var now event
	var data []string
	for lines.Scan() {
		line := lines.Text()
		if kind != "text/event-stream" {
			if err := env.showEvent(event{data: strings.TrimLeft(line, "\x1e")}, o); err != nil {
				return err
			}
			continue
		}
		if line == "" {
			if data != nil {
				now.id, now.data = o.at.lastID, strings.Join(data, "\n")
				if err := env.showEvent(now, o); err != nil {
					return err
				}
			}
			now, data = event{}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			now.name = value
		case "id":
			if !strings.ContainsRune(value, 0) {
				o.at.lastID = value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				o.at.delay = time.Duration(ms) * time.Millisecond
			}
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return &diagnosis.Diagnosis{ID: diagnosis.ResponseTooLarge, Expected: diagnosis.Values{"at most " + size(maxEvent)}, Got: diagnosis.Values{"one event is larger"}}
	} else if err != nil {
		return err
	}
	return nil
}

// reconnecting shows a stream and connects again when it ends, as a browser
// does, until the server answers 204 or with an error.
func (env *Env) reconnecting(ctx context.Context, client *apicall.Client, request apicall.Request, a *answer) (*http.Response, error) {
	for {
		if a.o.at.lastID != "" {
			request.Header = request.Header.Clone()
			request.Header["Last-Event-ID"] = []string{a.o.at.lastID}
		}
		res, err := client.Do(ctx, request)
		if err == nil {
			a.refusal = apicall.Refused(res)
			err = a.show(res)
			res.Body.Close()
			if err == nil && (res.StatusCode != http.StatusOK || ctx.Err() != nil) {
				return res, ctx.Err()
			}
		}
		if err != nil && !apicall.Broken(err) {
			return res, callFault(err)
		}
		wait := a.o.at.delay
		if wait == 0 {
			wait = defaultDelay
		}
		if err == nil {
			err = errors.New("the stream ended")
		}
		if err := client.Pause(ctx, wait, err); err != nil {
			return nil, err
		}
	}
}

// showEvent prints one event: filtered, indented on a terminal, or as a single
// line in a pipe.
func (env *Env) showEvent(e event, o *callOptions) error {
	if strings.TrimSpace(e.data) == "" && !env.global.json {
		return nil
	}
	values := jsonValues([]byte(e.data), "", true)
	isValue := len(values) == 1
	s := env.stdout()
	switch {
	case env.global.json:
		return env.jsonEvent(e, values)
	case env.global.jq != "" && !isValue:
		if e.data != "[DONE]" && !o.at.odd {
			o.at.odd = true
			env.warn("--jq: an event that is not JSON is left out: %s", clean(fmt.Sprintf("%.80q", e.data)))
		}
		return nil
	case env.global.jq != "":
		return env.filterText(env.Stdout, values[0])
	case env.IsTerminal(env.Stdout) && isValue:
		s.line("%s", s.json(prettyJSON(values[0])))
		return nil
	case env.IsTerminal(env.Stdout):
		e.data = cleanLines(e.data)
	}
	_, err := io.WriteString(env.Stdout, e.data+"\n")
	return err
}

// jsonEvent prints an event as one line of JSON, or filtered.
func (env *Env) jsonEvent(e event, values []jsontext.Value) error {
	o := newObject()
	for _, member := range [][2]string{{"event", e.name}, {"id", e.id}} {
		if member[1] != "" {
			quoted, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(member[1], "\uFFFD"))
			if err != nil {
				return err
			}
			o.names = append(o.names, member[0])
			o.members[member[0]] = jsontext.Value(quoted)
		}
	}
	o.names = append(o.names, "data")
	if len(values) == 1 {
		o.members["data"] = values[0]
	} else {
		quoted, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(e.data, "\uFFFD"))
		if err != nil {
			return err
		}
		o.members["data"] = jsontext.Value(quoted)
	}
	line, err := appendJSON(nil, o)
	if err != nil {
		return err
	}
	if env.global.jq != "" {
		return env.filterText(env.Stdout, line)
	}
	_, err = io.WriteString(env.Stdout, strings.ReplaceAll(escapeJSON(string(line)), "\n", " ")+"\n")
	return err
}

// anyLine splits at CR LF, LF and CR, all of which end a line of an event
// stream. A CR at the end of the data received so far ends the line at once:
// the event does not wait for an LF that may belong to it.
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
