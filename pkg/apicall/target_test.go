package apicall_test

import (
	"net/http"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// Characters that a URL cannot contain are encoded; existing encoding is
// unchanged.
func TestURLIsEncoded(t *testing.T) {
	for api, targets := range map[string]map[string]string{
		"https://h/v1": {
			"/search?q=Zürich am See":  "/v1/search?q=Z%C3%BCrich%20am%20See",
			"/Zürich am See":           "/v1/Z%C3%BCrich%20am%20See",
			`/x?q="a"<b>|^{}` + "`\\":  "/v1/x?q=%22a%22%3Cb%3E%7C%5E%7B%7D%60%5C",
			"/x?q=100%":                "/v1/x?q=100%25",
			"/100%/x":                  "/v1/100%25/x",
			"/x?a=%2F%zz+;[]&b=&c":     "/v1/x?a=%2F%zz+;[]&b=&c",
			"/a%2Fb/[x];y=1,2/'(*)'":   "/v1/a%2Fb/[x];y=1,2/'(*)'",
			"/x?q=%c3%bc":              "/v1/x?q=%c3%bc",
			"//a/b":                    "/v1//a/b",
			"/q?":                      "/v1/q?",
			"/x?a=b?c/d":               "/v1/x?a=b?c/d",
			"":                         "/v1",
			"?a=1":                     "/v1?a=1",
			"/":                        "/v1/",
			"items":                    "/v1/items",
			"https://h/a b?c=ü":        "/a%20b?c=%C3%BC",
			"https://h/a%2Fb?c=%2F%zz": "/a%2Fb?c=%2F%zz",
		},
		"https://h/v1/":             {"": "/v1/", "?a=1": "/v1/?a=1", "/": "/v1/", "/x": "/v1/x"},
		"https://h":                 {"": "/", "?a=1": "/?a=1", "/x": "/x"},
		"https://h/api?tenant=4":    {"": "/api?tenant=4", "/x": "/api/x?tenant=4", "?a=1": "/api?tenant=4&a=1", "https://h/next?p=2": "/next?p=2"},
		"https://h/Zürich?q=am See": {"": "/Z%C3%BCrich?q=am%20See", "/x": "/Z%C3%BCrich/x?q=am%20See"},
	} {
		c := &apicall.Client{API: api, Source: &tokens{}}
		for target, want := range targets {
			u, err := c.URL(target)
			if err != nil {
				t.Errorf("%s, %q: %v", api, target, err)
				continue
			}
			req, err := c.Preview(t.Context(), apicall.Request{Method: "GET", Target: target})
			if err != nil || req.URL.RequestURI() != want {
				t.Errorf("%s, %q: %s (%s), %v, want %s", api, target, req.URL.RequestURI(), u, err, want)
			}
		}
	}
	c := &apicall.Client{API: "https://h/v1"}
	for _, target := range []string{"/a\nb", "/a\x00", "/x#y", ".", "/..", "/a/%2e%2e/b"} {
		if u, err := c.URL(target); err == nil {
			t.Errorf("%q: %v", target, u)
		}
	}
	for target, lone := range map[string]bool{"/100%": true, "/%25": false, "/%2F": false, "/x?%zz": false, "/%zz": true} {
		if apicall.LonePercent(target) != lone {
			t.Errorf("LonePercent(%q) = %v", target, !lone)
		}
	}
}

// Unencoded characters in a redirect and in a next link are encoded too.
func TestLinksAreEncoded(t *testing.T) {
	var uris []string
	api := newReceiver(t, nil)
	api.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uris = append(uris, r.RequestURI)
		switch r.URL.Path {
		case "/start":
			w.Header().Set("Location", "/Zürich am See?q=ü ß")
			w.WriteHeader(http.StatusFound)
		case "/pages":
			w.Header().Set("Link", `</last page?q=a b>; rel="next"`)
		}
	})
	c := newClient(t, api.URL)
	if _, err := do(t, c, apicall.Request{Target: "/start"}); err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Pages(t.Context(), apicall.Request{Method: "GET", Target: "/pages"}, nil) {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"/start", "/Z%C3%BCrich%20am%20See?q=%C3%BC%20%C3%9F", "/pages", "/last%20page?q=a%20b"}
	if len(uris) != len(want) {
		t.Fatalf("%q", uris)
	}
	for i := range want {
		if uris[i] != want[i] {
			t.Errorf("%q, want %q", uris[i], want[i])
		}
	}
}

// The root of the proxy is the API's URL, and links in headers are rewritten to
// the proxy.
func TestProxyLinks(t *testing.T) {
	var uri string
	api := newReceiver(t, nil)
	api.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		h := w.Header()
		h.Add("Link", `<`+api.URL+`/v1/items?cursor=a,b>; rel="next"; title="<x>, y", </v1/items>; rel=first`)
		h.Add("Link", `<https://elsewhere.example/v1/x>; rel=other, <`+api.URL+`/v2/x>; rel=up`)
		h.Set("Content-Location", "/v1/items/7")
		h.Set("Refresh", "5; url="+api.URL+"/v1/next?a=b")
		h.Add("Set-Cookie", "a=b; Path=/v1/items; Domain=example.com; HttpOnly")
		h.Add("Set-Cookie", "c=d; Path=/")
		h.Add("Set-Cookie", "e=f")
	})
	root, address := startProxy(t, newClient(t, api.URL+"/v1"), false)
	key := root[len("http://"+address):]
	res, _ := ask(t, "GET", root+"/items", nil, nil)
	for name, want := range map[string][]string{
		"Link": {
			`<` + key + `/items?cursor=a,b>; rel="next"; title="<x>, y", <` + key + `/items>; rel=first`,
			`<https://elsewhere.example/v1/x>; rel=other, <` + api.URL + `/v2/x>; rel=up`,
		},
		"Content-Location": {key + "/items/7"},
		"Refresh":          {"5; url=" + key + "/next?a=b"},
		"Set-Cookie":       {"a=b; Path=" + key + "/items; HttpOnly", "c=d; Path=" + key, "e=f"},
	} {
		if got := res.Header.Values(name); len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for path, want := range map[string]string{"": "/v1", "?a=1": "/v1?a=1", "/": "/v1/", "/x?q=%2F": "/v1/x?q=%2F", "//a": "/v1//a"} {
		if ask(t, "GET", root+path, nil, nil); uri != want {
			t.Errorf("%q went to %s, want %s", path, uri, want)
		}
	}
	open, _ := startProxy(t, newClient(t, api.URL+"/mcp?tenant=4"), true)
	for path, want := range map[string]string{"": "/mcp?tenant=4", "/": "/mcp?tenant=4", "/x?y=1": "/mcp/x?tenant=4&y=1"} {
		if ask(t, "GET", open+path, nil, nil); uri != want {
			t.Errorf("open, %q went to %s, want %s", path, uri, want)
		}
	}
}

// One web origin can use a proxy from a browser, and no other.
func TestProxyForOnePage(t *testing.T) {
	const page = "http://localhost:5173"
	api := newReceiver(t, ok)
	c := newClient(t, api.URL)
	server, root := pageProxy(t, c, page)
	defer server.Close()
	for _, tt := range []struct {
		method, origin, site, asks string
		status                     int
		allowed                    string
	}{
		{"GET", page, "cross-site", "", 200, page},
		{"OPTIONS", page, "cross-site", "PUT", 204, page},
		{"GET", "http://localhost:5174", "same-site", "", 403, ""},
		{"OPTIONS", "https://evil.example", "cross-site", "PUT", 403, ""},
		{"GET", "null", "cross-site", "", 403, ""},
		{"GET", "", "cross-site", "", 403, ""},
		{"GET", "", "", "", 200, ""},
	} {
		res, _ := ask(t, tt.method, root+"/x", nil, func(r *http.Request) {
			for name, value := range map[string]string{"Origin": tt.origin, "Sec-Fetch-Site": tt.site, "Access-Control-Request-Method": tt.asks} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
		})
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != tt.status || got != tt.allowed {
			t.Errorf("%+v: %d, %q", tt, res.StatusCode, got)
		}
	}
}
