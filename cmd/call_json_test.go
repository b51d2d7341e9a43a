package cmd_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// Numbers keep their digits and objects their order, in bodies, responses and filters.
func TestNumbersAndOrder(t *testing.T) {
	const doc = `{"z":9007199254740993,"id":-12345678901234567890,"f":1.0,"e":1e999,"n":-0,"long":0.1000000000000000055511151231257827,"list":[{"b":1,"a":2},{"a":3,"b":4}],"o":{"y":1,"x":{"q":1,"p":2}}}`
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/pages":
			if r.URL.RawQuery == "" {
				rw.Header().Set("Link", `<?2>; rel=next`)
			}
			fmt.Fprintf(rw, `[{"z":9007199254740993,"a":"%s"}]`, r.URL.RawQuery)
		case "/events":
			rw.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(rw, "data: {\"z\":9007199254740993,\"a\":1}\n\n")
		default:
			fmt.Fprint(rw, doc)
		}
	})
	for _, tt := range [][2]string{
		{"/x --jq .z", "9007199254740993"},
		{"/x --jq .id", "-12345678901234567890"},
		{"/x --jq .f", "1.0"},
		{"/x --jq .e", "1e999"},
		{"/x --jq .n", "-0"},
		{"/x --jq .long", "0.1000000000000000055511151231257827"},
		{"/x --jq [.z,.f]|map(.)", "[\n  9007199254740993,\n  1.0\n]"},
		{"/x --jq .o", "{\n  \"y\": 1,\n  \"x\": {\n    \"q\": 1,\n    \"p\": 2\n  }\n}"},
		{"/x --jq .list|tostring", `[{"a":2,"b":1},{"a":3,"b":4}]`},
		{"/x --jq .list[0]", "{\n  \"b\": 1,\n  \"a\": 2\n}"},
		{"/x --jq .list[1]", "{\n  \"a\": 3,\n  \"b\": 4\n}"},
		{"/x --jq {q:.o.x.q,z:.z}", "{\n  \"z\": 9007199254740993,\n  \"q\": 1\n}"},
		{"/x --json --jq .body.z", "9007199254740993"},
		{"/x", doc},
		{"/pages --paginate --jq .[1]", "{\n  \"z\": 9007199254740993,\n  \"a\": \"2\"\n}"},
		{"/events --stream --jq .z", "9007199254740993"},
	} {
		args := append([]string{"call", "GET"}, strings.Fields(tt[0])...)
		if code := w.run(args...); code != 0 || strings.TrimSuffix(w.stdout.String(), "\n") != tt[1] {
			t.Errorf("%s: %d %s\n%s", tt[0], code, &w.stdout, &w.stderr)
		}
	}
	const claims = `{"iss":"https://a.example","big":9007199254740993,"f":1.0,"x":1e999}`
	token := "eyJhbGciOiJFUzI1NiJ9." + strings.TrimRight(b64(claims), "=") + ".AAAA"
	if code := w.run("decode", token, "--jq", ".claims.big"); code != 0 || w.stdout.String() != "9007199254740993\n" {
		t.Errorf("decode: %d %s\n%s", code, &w.stdout, &w.stderr)
	}
}

// JSON is parsed as leniently as by other tools.
func TestLaxJSON(t *testing.T) {
	utf16le := func(text string) string {
		var b strings.Builder
		b.WriteString("\xff\xfe")
		for _, unit := range utf16.Encode([]rune(text)) {
			_ = binary.Write(&b, binary.LittleEndian, unit)
		}
		return b.String()
	}
	var kind, body string
	w, _ := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header()["Content-Type"] = nil
		if kind != "" {
			rw.Header().Set("Content-Type", kind)
		}
		_, _ = io.WriteString(rw, body)
	})
	for name, tt := range map[string]struct{ kind, body, args, want string }{
		"text/plain":           {"text/plain", `{"a":2}`, "--jq .a", "2\n"},
		"no type":              {"", `{"a":2}`, "--jq .a", "2\n"},
		"text/json":            {"text/json", `{"a":2}`, "--jq .a", "2\n"},
		"byte order mark":      {"application/json", "\xef\xbb\xbf{\"a\":2}", "--jq .a", "2\n"},
		"repeated name":        {"application/json", `{"a":1,"a":2}`, "--jq .a", "2\n"},
		"a Latin-1 byte":       {"application/json", "{\"b\":\"caf\xe9\",\"a\":2}", "--jq .a", "2\n"},
		"UTF-16":               {"application/json; charset=utf-16", utf16le(`{"a":"ü"}`), "--jq .a", "ü\n"},
		"NDJSON":               {"application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "--jq .a", "1\n2\n"},
		"json-seq":             {"application/json-seq", "\x1e{\"a\":1}\n\x1e{\"a\":2}\n", "--jq .a", "1\n2\n"},
		"json-seq, streamed":   {"application/json-seq", "\x1e{\"a\":1}\n\x1e{\"a\":2}\n", "--stream --jq .a", "1\n2\n"},
		"a number":             {"text/plain", "42", "--jq .+1", "43\n"},
		"a text":               {"text/plain", "hello", "--jq .", "hello\n"},
		"lists as text":        {"text/plain", "[1,2]", "--paginate --jq length", "2\n"},
		"--json":               {"text/plain", `{"a":2}`, "--json --jq .body.a", "2\n"},
		"--json with a number": {"text/plain", "42", "--json --jq .body", "42\n"},
		"empty":                {"application/json", "", "--jq .", "null\n"},
	} {
		kind, body = tt.kind, tt.body
		if code := w.run(append([]string{"call", "GET", "/x"}, strings.Fields(tt.args)...)...); code != 0 || w.stdout.String() != tt.want {
			t.Errorf("%s: %d %q\n%s", name, code, &w.stdout, &w.stderr)
		}
	}
	w.terminal, w.getenv["NO_COLOR"] = strings.NewReader(""), "1"
	kind, body = "text/plain", "caf\xe9 au lait"
	if code := w.run("call", "GET", "/x"); code != 0 || w.stdout.String() != "caf\uFFFD au lait\n" {
		t.Errorf("a terminal: %d %q\n%s", code, &w.stdout, &w.stderr)
	}
}

// An invalid expression is refused before anything is sent. One that fails on the data has another exit code.
func TestFilterIsCheckedFirst(t *testing.T) {
	w, requests := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, `{"a":1}`) })
	for _, args := range []string{"call DELETE /x --jq .a|", "call DELETE /x --jq nosuch(.)", "call GET /x --paginate --next .a|", "token --jq .|", "revoke abc --jq )", "logout --jq ("} {
		if code := w.run(strings.Fields(args)...); code != 2 || requests.Load() != 0 {
			t.Errorf("%s: %d, %d requests\n%s", args, code, requests.Load(), &w.stderr)
		}
	}
	if code := w.run("call", "GET", "/x", "--jq", ".a.b"); code != 1 || requests.Load() != 1 {
		t.Errorf("on the data: %d\n%s", code, &w.stderr)
	}
}

// An event that is not JSON does not end a filtered stream.
func TestStreamOfTextAndJSON(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		if r.URL.Path == "/lines" {
			rw.Header().Set("Content-Type", "application/x-ndjson")
			fmt.Fprint(rw, "{\"n\":1}\n\n{\"n\":2}\n{\"n\":")
			return
		}
		fmt.Fprint(rw, "retry: 10\nid: 7\nevent: tick\ndata: {\"n\":1}\n\n: beat\n\ndata:\n\ndata: bye\n\ndata: other\n\nid\ndata: {\"n\":2}\n\ndata: [DONE]\n\n")
	})
	if code := w.run("call", "GET", "/x", "--stream", "--jq", ".n"); code != 0 || w.stdout.String() != "1\n2\n" || strings.Count(w.stderr.String(), "warning") != 1 {
		t.Errorf("%d %q\n%s", code, &w.stdout, &w.stderr)
	}
	if code := w.run("call", "GET", "/lines", "--stream", "--jq", ".n"); code != 0 || w.stdout.String() != "1\n2\n" {
		t.Errorf("lines: %d %q\n%s", code, &w.stdout, &w.stderr)
	}
	want := `{"event":"tick","id":"7","data":{"n":1}}` + "\n" + `{"id":"7","data":""}` + "\n" + `{"id":"7","data":"bye"}` + "\n" + `{"id":"7","data":"other"}` + "\n" + `{"data":{"n":2}}` + "\n" + `{"data":"[DONE]"}` + "\n"
	if code := w.run("call", "GET", "/x", "--stream", "--json"); code != 0 || w.stdout.String() != want {
		t.Errorf("--json: %d %s\n%s", code, &w.stdout, &w.stderr)
	}
}

// A stream that ends is continued after its last event if the user requests it.
func TestStreamReconnects(t *testing.T) {
	var ids []string
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("Last-Event-ID"))
		if len(ids) == 3 {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(rw, "retry: 1\nid: %d\ndata: %d\n\n", len(ids), len(ids))
		_ = http.NewResponseController(rw).Flush()
		if len(ids) == 2 {
			panic(http.ErrAbortHandler)
		}
	})
	if code := w.run("call", "GET", "/x", "--stream", "--reconnect"); code != 0 || w.stdout.String() != "1\n2\n" || strings.Join(ids, ",") != ",1,2" {
		t.Errorf("%d %q, ids %q\n%s", code, &w.stdout, ids, &w.stderr)
	}
}

// GraphQL returns errors with status 200.
func TestGraphQLErrors(t *testing.T) {
	var kind, body string
	w, _ := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(rw, body)
	})
	for _, tt := range []struct {
		kind, body, flag string
		code             int
	}{
		{"application/json", `{"errors":[{"message":"no"}],"data":null}`, "", 0},
		{"application/json", `{"errors":[{"message":"no"}],"data":null}`, "--graphql", 9},
		{"application/json", `{"data":{"errors":1}}`, "--graphql", 0},
		{"application/json", `{"errors":[],"data":{}}`, "--graphql", 0},
		{"application/graphql-response+json", `{"errors":[{"message":"no"}]}`, "", 9},
		{"application/graphql-response+json", `{"data":{}}`, "", 0},
	} {
		kind, body = tt.kind, tt.body
		if code := w.run(strings.Fields("call POST /graphql query=x " + tt.flag)...); code != tt.code || w.stdout.String() != tt.body {
			t.Errorf("%+v: %d %s\n%s", tt, code, &w.stdout, &w.stderr)
		}
	}
}

// The next page is found in the places that APIs use, and mentioned if it is not followed.
func TestPaginateBodies(t *testing.T) {
	var shape string
	var headers map[string]string
	w, requests := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		last := strings.Contains(r.URL.RawQuery, "2")
		for name, value := range headers {
			if last {
				value = ""
			}
			rw.Header().Set(name, value)
		}
		if last {
			fmt.Fprint(rw, `{"results":[3],"next":null,"nextPageToken":"","page":"`+r.URL.RawQuery+`"}`)
			return
		}
		fmt.Fprint(rw, shape)
	})
	for _, tt := range []struct {
		shape, args string
		headers     map[string]string
		requests    int64
		query, says string
	}{
		{`{"results":[1],"next":"/items?page=2"}`, "", nil, 2, "page=2", ""},
		{`{"@odata.nextLink":"?$skip=2"}`, "", nil, 2, "$skip=2", ""},
		{`{"links":{"next":"/items?p=2"}}`, "", nil, 2, "p=2", ""},
		{`{"_links":{"next":{"href":"/items?p=2"}}}`, "", nil, 2, "p=2", ""},
		{`{"paging":{"next":"/items?p=2"}}`, "", nil, 2, "p=2", ""},
		{`{"nextPageToken":"t2"}`, "", nil, 2, "pageToken=t2", ""},
		{`{"next_cursor":"c2","nextCursor":"c2","nextPageToken":"t2"}`, "", nil, 2, "pageToken=t2", ""},
		{`{"response_metadata":{"next_cursor":"c2="}}`, "", nil, 2, "cursor=c2%3D", ""},
		{`{}`, "", map[string]string{"X-Next-Page": "2"}, 2, "page=2", ""},
		{`{"more":{"at":"c2"}}`, "--next .more.at", nil, 2, "cursor=c2", ""},
		{`{"more":{"at":2}}`, "--next .more.at --next-param offset", nil, 2, "offset=2", ""},
		{`{"more":{"at":2}}`, "--next {after:.more.at}", nil, 2, "after=2", ""},
		{`{"more":"/items?x=2"}`, "--next .more", nil, 2, "x=2", ""},
		{`{"results":[1]}`, "", nil, 1, "", ""},
		{`{"next":"c2"}`, "", nil, 1, "", "--next"},
		{`{"data":{"items":{"pageInfo":{"hasNextPage":true,"endCursor":"c2"}}}}`, "", nil, 1, "", "data.items.pageInfo"},
	} {
		shape, headers = tt.shape, tt.headers
		requests.Store(0)
		code := w.run(append([]string{"call", "GET", "/items", "--paginate"}, strings.Fields(tt.args)...)...)
		if code != 0 || requests.Load() != tt.requests || !strings.Contains(w.stdout.String(), `"page":"`+tt.query+`"`) && tt.query != "" || !strings.Contains(w.stderr.String(), tt.says) || tt.says == "" && w.stderr.Len() > 0 {
			t.Errorf("%s %s: %d, %d requests\n%s%s", tt.shape, tt.args, code, requests.Load(), &w.stdout, &w.stderr)
		}
	}
	shape, headers = `{"next":"https://evil.example/items?page=2"}`, nil
	requests.Store(0)
	if code := w.run("call", "GET", "/items", "--paginate"); code != 2 || !strings.Contains(w.stderr.String(), "ORIGIN_REFUSED") {
		t.Errorf("another origin: %d\n%s", code, &w.stderr)
	}
	shape = `{"next":"/items"}`
	if code := w.run("call", "GET", "/items", "--paginate"); code == 0 {
		t.Error("a link back to the same page ends")
	}
}

// A redirect that is not followed is an error.
func TestRedirectNotFollowed(t *testing.T) {
	status, location := 302, "/login"
	w, requests := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x" {
			if location != "" {
				rw.Header().Set("Location", location)
			}
			rw.WriteHeader(status)
		}
		fmt.Fprint(rw, "<html>")
	})
	for _, tt := range []struct {
		method   string
		status   int
		location string
		code     int
	}{
		{"POST", 302, "/login", 9},
		{"PUT", 301, "/x/", 9},
		{"PATCH", 303, "/x/", 9},
		{"DELETE", 302, "/y", 9},
		{"POST", 307, "https://elsewhere.example/", 9},
		{"GET", 302, "", 9},
		{"GET", 300, "/y", 9},
		{"GET", 304, "", 0},
		{"GET", 302, "/y", 0},
		{"POST", 308, "/y", 0},
	} {
		status, location = tt.status, tt.location
		requests.Store(0)
		for _, flag := range []string{"", "--json"} {
			code := w.run(strings.Fields("call " + tt.method + " /x " + flag)...)
			if code != tt.code || code == 9 && !strings.Contains(w.stderr.String(), fmt.Sprint(tt.status)) || code == 9 && !strings.Contains(w.stderr.String(), tt.location) {
				t.Errorf("%+v %s: %d\n%s", tt, flag, code, &w.stderr)
			}
		}
	}
}

// Retry-After is respected. If it is too long, the command ends and shows the time.
func TestRetryAfterLong(t *testing.T) {
	w, requests := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "7200")
		rw.WriteHeader(http.StatusTooManyRequests)
	})
	start := time.Now()
	if code := w.run("call", "GET", "/x", "--retry", "1", "--json"); code != 9 || requests.Load() != 1 || !strings.Contains(w.stderr.String(), "2h0m0s") || !strings.Contains(w.stderr.String(), `"retryable": true`) || time.Since(start) > 5*time.Second {
		t.Errorf("%d, %d requests\n%s", code, requests.Load(), &w.stderr)
	}
}

func b64(text string) string { return base64.URLEncoding.EncodeToString([]byte(text)) }
