package cmd

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestParseItems(t *testing.T) {
	tests := map[string]struct {
		items []string
		body  string
	}{
		"fields":               {[]string{"id:=3", "name=Gizmo: a=b", `tags:=["a"]`, "empty="}, `{"id":3,"name":"Gizmo: a=b","tags":["a"],"empty":""}`},
		"numbers as they are":  {[]string{"n:=12345678901234567890.10"}, `{"n":12345678901234567890.10}`},
		"nested":               {[]string{"a[b]=1", "a[c][d]:=true", "a[c][e]=2"}, `{"a":{"b":"1","c":{"d":true,"e":"2"}}}`},
		"array":                {[]string{"a[]=1", "a[]=2", "a[2]:=3"}, `{"a":["1","2",3]}`},
		"objects in an array":  {[]string{"a[0][b]=1", "a[0][c]=2", "a[1][b]=3"}, `{"a":[{"b":"1","c":"2"},{"b":"3"}]}`},
		"array of arrays":      {[]string{"a[][]=1", "a[][]=2"}, `{"a":[["1"],["2"]]}`},
		"signs in a name":      {[]string{`a\=b=c`, `x\:y:=1`, `m\@n=o`}, `{"a=b":"c","x:y":1,"m@n":"o"}`},
		"brackets in a name":   {[]string{`a\[b\]=c`, `d[e\]f]=g`}, `{"a[b]":"c","d":{"e]f":"g"}}`},
		"a sign in the value":  {[]string{"mail=me@example.com", "url=http://x/?a=b"}, `{"mail":"me@example.com","url":"http://x/?a=b"}`},
		"no fields":            {[]string{"q==1", "X-A:b"}, ""},
		"member names as such": {[]string{"__proto__[x]=1"}, `{"__proto__":{"x":"1"}}`},
	}
	for name, tt := range tests {
		items, err := parseItems(tt.items, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if body, err := itemsBody(items); err != nil || string(body) != tt.body {
			t.Errorf("%s: Body = %s, %v, want %s", name, body, err, tt.body)
		}
	}
	items, err := parseItems([]string{"q==x=y", "q==2", "X-Trace: 1", "X-Trace:2", "Empty;", "Accept:"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"q=x%3Dy", "q=2"}, items.query); diff != "" {
		t.Errorf("Query (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{"X-Trace": {"1", "2"}, "Empty": {""}, "Accept": nil}, items.header); diff != "" {
		t.Errorf("Header (-want +got):\n%s", diff)
	}
}

// The message shows the wrong item.
func TestParseItemsRefuses(t *testing.T) {
	tests := map[string][]string{
		"":                                     {""},
		"word":                                 {"word"},
		"=x":                                   {"=x"},
		":x":                                   {":x"},
		"a:={":                                 {"a:={"},
		"a:=":                                  {"a:="},
		"a:=1 2":                               {"a:=1 2"},
		"X-A: b\nc":                            {"X-A: b\nc"},
		"X-A: b\r\nc: d":                       {"X-A: b\r\nc: d"},
		"A B: c":                               {"A B: c"},
		"http://example.com":                   {"http://example.com"},
		"a=2":                                  {"a=1", "a=2"},
		"a[b]=2":                               {"a[b]=1", "a[b]=2"},
		"a[c]=2":                               {"a=1", "a[c]=2"},
		"b=2":                                  {"b[c]=1", "b=2"},
		"a[x]=2":                               {"a[]=1", "a[x]=2"},
		"a[]=2":                                {"a[x]=1", "a[]=2"},
		"a[5]=2":                               {"a[]=1", "a[5]=2"},
		"a[99999]=1":                           {"a[99999]=1"},
		"a[b=1":                                {"a[b=1"},
		"a[b]c=1":                              {"a[b]c=1"},
		"[b]=1":                                {"[b]=1"},
		"f@":                                   {"f@"},
		"Content-Length:1":                     {"Content-Length:1"},
		"a" + strings.Repeat("[b]", 40) + "=1": {"a" + strings.Repeat("[b]", 40) + "=1"},
	}
	for fault, items := range tests {
		_, err := parseItems(items, false)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the item %.200q", fault)) {
			t.Errorf("parseItems(%q): %v", items, err)
		}
	}
}

func TestFileItems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a \"b\".txt")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	items, err := parseItems([]string{"title=x", "doc@" + path}, false)
	if err != nil {
		t.Fatal(err)
	}
	body, err := itemsBody(items)
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(items.header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("Content-Type: %q, %v", items.header.Get("Content-Type"), err)
	}
	got := map[string]string{}
	for form := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
		p, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(p)
		got[p.FormName()+"/"+p.FileName()] = string(content)
	}
	if diff := cmp.Diff(map[string]string{"title/": "x", `doc/a "b".txt`: "content"}, got); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if _, err := parseItems([]string{"doc@" + path + "x"}, false); err == nil || !strings.Contains(err.Error(), "the item") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// itemsBody returns the JSON body or the form of the items.
func itemsBody(items *requestItems) ([]byte, error) {
	if len(items.parts) == 0 {
		return nil, nil
	}
	if !items.files {
		return appendJSON(nil, items.fields)
	}
	body, kind, err := items.multipartForm()
	if err != nil {
		return nil, err
	}
	items.header.Set("Content-Type", kind)
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) != body.Length {
		err = fmt.Errorf("%d bytes, and the length said %d", len(data), body.Length)
	}
	return data, err
}

func FuzzParseItems(f *testing.F) {
	for _, seed := range []string{"id:=3", "a==b:c=d", "a[b][]=1", `a\[=x`, "X-A: b", "f@/dev/null", "a[0][b]:=null"} {
		f.Add(seed, "a[b]=c")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		items, err := parseItems([]string{one, two}, false)
		if err != nil {
			if !strings.Contains(err.Error(), "the item") {
				t.Errorf("the item is not named: %v", err)
			}
			return
		}
		if items.files {
			return // a form, whose files are the machine's
		}
		body, err := itemsBody(items)
		if err == nil && body != nil && !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Errorf("not JSON: %s", body)
		}
		for name, values := range items.header {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
				t.Errorf("header %q: %q", name, values)
			}
		}
	})
}
