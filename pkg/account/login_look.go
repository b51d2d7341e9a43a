package account

import (
	"context"
	"fmt"
	"html"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// sight is what the authorization endpoint shows to a browser without a
// session. If the server does not know the client or the redirect URI, it
// refuses the request on its own page (RFC 6749, section 4.1.2.1), with any
// status. The zero sight means that nothing is known.
type sight struct {
	status int
	// refusal is the error in the address of the page, or nil.
	refusal *oauth.Error
	page    string // its text, quoted
	deadEnd bool   // it is HTML that offers nothing to go on with
}

// maxHops bounds the redirects from the authorization endpoint to a page.
const maxHops = 6

// look opens the address of a request as a browser would, and follows redirects
// within the origin. A pushed request is not opened: the server has accepted it
// already, and accepts it only once.
func (l *login) look(ctx context.Context, request *oauth.AuthorizationRequest) sight {
	if request.Pushed() {
		return sight{}
	}
	address := request.URL()
	for range maxHops {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return sight{}
		}
		req.Header.Set("Accept", "text/html")
		res, err := l.http.Do(req, 1<<20)
		if err != nil {
			return sight{}
		}
		next, err := req.URL.Parse(res.Header.Get("Location"))
		switch {
		case res.Status < 300 || res.Status >= 400:
			return sight{status: res.Status, page: request.Scrub(pageText(res.Body)), deadEnd: isDeadEnd(res)}
		case err != nil || address == next.String() || isAnswer(next, request.RedirectURI):
			return sight{}
		}
		if q := next.Query(); q.Get("error") != "" {
			refusal := &oauth.Error{Code: request.Scrub(q.Get("error")), Description: request.Scrub(q.Get("error_description")), Request: oauth.Request{Endpoint: oauth.AuthorizationEndpoint}}
			return sight{status: res.Status, refusal: refusal}
		}
		if safehttp.Origin(next) != safehttp.Origin(req.URL) {
			return sight{}
		}
		address = next.String()
	}
	return sight{}
}

// isAnswer reports whether an address is the redirect URI with the parameters of
// an authorization response.
func isAnswer(address *url.URL, redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	return err == nil && u.Scheme == address.Scheme && u.Host == address.Host && u.Path == address.Path
}

// refuses reports whether a user cannot log in on the page. A firewall or a
// limit may apply to this program only, not to the browser.
func (s sight) refuses() bool {
	switch s.status {
	case http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return s.refusal != nil || s.status >= 400 && s.status < 500 || s.deadEnd
}

// forgot reports whether the refusal may mean that the server does not know the
// client any more.
func (s sight) forgot() bool {
	if s.refusal != nil {
		return forgotten(s.refusal, true) == errForgotten
	}
	return s.refuses()
}

// explain says why no answer arrived within the limit: that the server refuses
// the request, or what its page shows.
func (s sight) explain(client *oauth.Client, request *oauth.AuthorizationRequest, limit time.Duration) error {
	if s.refuses() {
		d := &diagnosis.Diagnosis{
			ID: diagnosis.RedirectMismatch, Expected: diagnosis.Values{fmt.Sprintf("client %.100q with the redirect URI %s", client.ID, request.RedirectURI)},
			Got: diagnosis.Values{strings.TrimSpace(fmt.Sprintf("%d from the authorization endpoint %s", s.status, s.page))},
		}
		if s.refusal != nil {
			d.Err = s.refusal
		}
		return d
	}
	var shown error
	if s.page != "" {
		shown = fmt.Errorf("the authorization endpoint shows %s", s.page)
	}
	return timedOut(limit, shown)
}

func timedOut(limit time.Duration, err error) error {
	return &diagnosis.Diagnosis{ID: diagnosis.LoginTimeout, Expected: diagnosis.Values{"a login within " + limit.String()}, Got: diagnosis.None, Err: err}
}

// isDeadEnd reports whether a page has no form, script, link or anything else
// to continue with, so that a user cannot log in on it.
func isDeadEnd(res *safehttp.Response) bool {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		kind, _, _ = mime.ParseMediaType(http.DetectContentType(res.Body))
	}
	switch {
	case res.Status != http.StatusOK:
		return false
	case kind == "text/html", kind == "application/xhtml+xml":
		return !leadsOn().Match(res.Body)
	}
	return true
}

// leadsOn matches the elements and attributes with which a user can leave a
// page.
var leadsOn = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)<(form|input|button|script|iframe|frame|object|embed)\b|<[^>]*\s(href|http-equiv|on[a-z]+)\s*=`)
})

// markup is what of a page is not text.
var markup = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>|<[^>]*>|\s+`)
})

// pageText returns the beginning of a page's text, quoted, or "" if there is
// none.
func pageText(body []byte) string {
	text := strings.Join(strings.Fields(html.UnescapeString(markup().ReplaceAllString(string(body), " "))), " ")
	if text == "" {
		return ""
	}
	return diagnosis.Quote(text)
}
