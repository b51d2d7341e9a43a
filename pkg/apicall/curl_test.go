package apicall_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

type arrived struct {
	Method, URI, Token, ContentType, Header, Body string
}

// What curl sends is what Do sends, and the token is in no argument of any
// process.
func TestCurlSendsTheSame(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("OAUTHCTL_TEST_REQUIRE"), ","), "curl") {
			t.Fatal("curl is required by OAUTHCTL_TEST_REQUIRE: ", err)
		}
		t.Skip("needs curl: ", err)
	}
	// One request at a time, but the server has goroutines of its own.
	came := make(chan arrived, 1)
	api := newReceiver(t, nil)
	api.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came <- arrived{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), strings.Join(r.Header.Values("X-A"), "|"), string(body)}
	})
	nasty := `'; echo "$HOME" \ $(id) ` + "`id`" + ` @x {a,b} [1-3] ü`
	tests := map[string]apicall.Request{
		"GET":            {Method: "GET", Target: "/items?a=b&c[]=d"},
		"HEAD":           {Method: "HEAD", Target: "/items"},
		"query":          {Method: "GET", Target: "/items", Query: url.Values{"q": {nasty}}},
		"POST":           {Method: "POST", Target: "/items", Body: []byte(`{"a":"` + nasty + `"}`), Header: http.Header{"Content-Type": {"application/json"}}},
		"body begins @":  {Method: "PUT", Target: "/items", Body: []byte("@/etc/passwd")},
		"line breaks":    {Method: "POST", Target: "/items", Body: []byte("a\r\nb\n")},
		"header":         {Method: "GET", Target: "/items", Header: http.Header{"X-A": {nasty[:20], "two"}}},
		"empty header":   {Method: "GET", Target: "/items", Header: http.Header{"X-A": {""}}},
		"own method":     {Method: "PURGE", Target: "/items"},
		"empty body":     {Method: "POST", Target: "/items", Body: []byte{}},
		"odd path":       {Method: "GET", Target: "/a%2Fb/'x'/%F0%9F%98%80"},
		"GET with body":  {Method: "GET", Target: "/items", Body: []byte("x")},
		"without a body": {Method: "DELETE", Target: "/items/1"},
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, api.URL)
			if _, err := do(t, c, r); err != nil {
				t.Fatal(err)
			}
			want := <-came
			command, err := c.Curl(r, "cat token")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(command, canary) {
				t.Errorf("the token stands in the command: %s", command)
			}
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/token", []byte("Authorization: Bearer "+canary+"-1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			sh := exec.CommandContext(t.Context(), "sh", "-c", command)
			sh.Dir = dir
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s\n%s", err, out, command)
			}
			if diff := cmp.Diff(want, <-came); diff != "" {
				t.Errorf("%s\n(-call +curl):\n%s", command, diff)
			}
		})
	}
}

func TestCurlRefuses(t *testing.T) {
	c := newClient(t, "https://api.example.com")
	for name, r := range map[string]apicall.Request{
		"other origin": {Method: "GET", Target: "https://evil.example/"},
		"climbing":     {Method: "GET", Target: "/../x"},
		"binary":       {Method: "POST", Target: "/x", Body: []byte{0xff, 0}},
		"line break":   {Method: "GET", Target: "/x", Header: http.Header{"A": {"b\nc"}}},
	} {
		if command, err := c.Curl(r, "x"); err == nil {
			t.Errorf("%s: %s", name, command)
		}
	}
	c.Source = nil
	if command, err := c.Curl(apicall.Request{Method: "GET", Target: "/x"}, "secret command"); err != nil || command != "curl --globoff https://api.example.com/x" {
		t.Errorf("without a token: %s, %v", command, err)
	}
}
