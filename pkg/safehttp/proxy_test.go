package safehttp_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// environment returns a Getenv function.
func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestProxyVariables(t *testing.T) {
	for name, tt := range map[string]struct {
		variables map[string]string
		url       string
		want      string // "" means none
	}{
		"none":                         {nil, "https://a.example/", ""},
		"https":                        {map[string]string{"HTTPS_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"},
		"lower case":                   {map[string]string{"https_proxy": "http://p:1"}, "https://a.example/", "http://p:1"},
		"no scheme":                    {map[string]string{"HTTPS_PROXY": "p:1"}, "https://a.example/", "http://p:1"},
		"all":                          {map[string]string{"ALL_PROXY": "socks5h://p:1"}, "https://a.example/", "socks5h://p:1"},
		"its own before all":           {map[string]string{"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, "https://a.example/", "http://p:1"},
		"loopback":                     {map[string]string{"ALL_PROXY": "http://p:1"}, "https://127.0.0.1/", ""},
		"a name below localhost":       {map[string]string{"ALL_PROXY": "http://p:1"}, "https://api.localhost/", ""},
		"excepted":                     {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "b.example, a.example"}, "https://a.example/", ""},
		"excepted with its names":      {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "example"}, "https://a.example/", ""},
		"excepted below":               {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": ".example"}, "https://a.example/", ""},
		"a dot excepts names below":    {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": ".a.example"}, "https://a.example/", "http://p:1"},
		"a similar name":               {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example"}, "https://ba.example/", "http://p:1"},
		"excepted by port":             {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:443"}, "https://a.example/", ""},
		"another port":                 {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example:8443"}, "https://a.example/", "http://p:1"},
		"excepted network":             {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3/", ""},
		"another network":              {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "https://11.1.2.3/", "http://p:1"},
		"an address":                   {map[string]string{"ALL_PROXY": "http://p:1", "no_proxy": "11.1.2.3"}, "https://11.1.2.3/", ""},
		"everything":                   {map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example/", ""},
		"HTTP_PROXY is not for https":  {map[string]string{"HTTP_PROXY": "http://p:1"}, "https://a.example/", ""},
		"a password in it":             {map[string]string{"HTTPS_PROXY": "http://u:" + "canary" + "@p:1"}, "https://a.example/", "http://u:canary@p:1"},
		"HTTPS_PROXY is not for plain": {map[string]string{"HTTPS_PROXY": "http://p:1"}, "http://a.example/", ""},
	} {
		proxies, err := safehttp.ReadProxies(environment(tt.variables))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, tt.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proxies.For(req)
		if err != nil || (got == nil) != (tt.want == "") || got != nil && got.String() != tt.want {
			t.Errorf("%s: %v, %v, want %q", name, got, err, tt.want)
		}
	}
}

// An invalid proxy is never ignored, and its password is never shown.
func TestProxyInvalid(t *testing.T) {
	for _, value := range []string{"http://u:canary@", "://canary", "http://u:canary@p:port", "ftp://u:canary@p:1", "http://p:1/canary", "http://u:canary@p :1"} {
		for _, name := range []string{"HTTPS_PROXY", "http_proxy", "ALL_PROXY"} {
			_, err := safehttp.ReadProxies(environment(map[string]string{name: value}))
			var d *diagnosis.Diagnosis
			if !errors.As(err, &d) || d.ID != diagnosis.ProxyInvalid || d.Kind() != diagnosis.Usage || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
	}
	if p, err := safehttp.ReadProxies(environment(map[string]string{"HTTPS_PROXY": "http://u:canary@p:1"})); err != nil || p == nil {
		t.Errorf("positive control: %v", err)
	}
	if p, err := safehttp.ReadProxies(environment(map[string]string{"NO_PROXY": "*"})); err != nil || p != nil {
		t.Errorf("without a proxy: %v, %v", p, err)
	}
}

// The error of a failed connection mentions its proxy.
func TestProxyIsNamed(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := dead.Addr().String()
	dead.Close()
	proxies, err := safehttp.ReadProxies(environment(map[string]string{"ALL_PROXY": "http://u:canary@" + proxy}))
	if err != nil {
		t.Fatal(err)
	}
	transport := safehttp.NewTransport(nil)
	transport.Proxy = proxies.For
	_, err = (&safehttp.Client{Transport: transport}).Get(t.Context(), "https://a.example/x", "", 1)
	if err == nil || !strings.Contains(err.Error(), "the proxy at "+proxy+" cannot be reached") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	direct := httptest.NewServer(nil)
	direct.Close()
	_, err = (&safehttp.Client{Transport: transport}).Get(t.Context(), direct.URL, "", 1)
	if err == nil || strings.Contains(err.Error(), "proxy") {
		t.Errorf("without one: %v", err)
	}
}
