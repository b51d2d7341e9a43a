package apicall_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// headers is a server that records two headers of each request, and links to a
// next page if there is one.
type headers struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newHeaders(t *testing.T, links map[string]string) *headers {
	h := &headers{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seen = append(h.seen, fmt.Sprintf("%s %s %s", r.URL.Path, r.Header.Get("X-Api-Key"), r.Header.Get("Accept-Language")))
		if next := links[r.URL.Path]; next != "" {
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// A credential in a header of the user is for the origin of the request. It is
// not sent to another origin for the next page.
func TestPagesSendNoCredentialsElsewhere(t *testing.T) {
	elsewhere := newHeaders(t, map[string]string{"/3": "/4"})
	api := newHeaders(t, map[string]string{"/1": "/2", "/2": elsewhere.URL + "/3"})
	c := newClient(t, api.URL)
	c.Source = nil
	header := http.Header{"X-Api-Key": {"key-canary"}, "Accept-Language": {"de"}}
	for _, err := range c.Pages(t.Context(), apicall.Request{Method: "GET", Target: "/1", Header: header}, nil) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"/1 key-canary de", "/2 key-canary de"}, api.seen); diff != "" {
		t.Errorf("positive control, the API (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/3  de", "/4  de"}, elsewhere.seen); diff != "" {
		t.Errorf("elsewhere (-want +got):\n%s", diff)
	}
}
