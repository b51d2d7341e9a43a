package cmd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// A person uses the scripted browser: it signs in as Login, with any password, and consents to every request, unless it
// cancels at the first page.
type person struct {
	Login  string
	Cancel bool
}

// A page is the last page of a click-through: its address and its content.
type page struct {
	URL  *url.URL
	Body string
}

// clickThrough acts as the browser and its user. It opens address with a new cookie jar, fills in and submits every
// form (sign-in, consent, device confirmation, sign-out), follows every redirect, including the one to the loopback
// listener, and ends at the first page without a form.
func clickThrough(ctx context.Context, address string, who person) (*page, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	// The certificates of `dev --tls` are accepted, like a user would in a browser.
	agent := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	for range 10 {
		here, err := visit(agent, request)
		if err != nil {
			return nil, fmt.Errorf("click through: %w", err)
		}
		form, ok := findForm(here)
		if !ok {
			return here, nil
		}
		request, err = submit(ctx, here, form, who)
		if err != nil {
			return nil, fmt.Errorf("click through %s: %w", here.URL.Path, err)
		}
	}
	return nil, errors.New("click through: still a form after 10 pages")
}

func visit(agent *http.Client, request *http.Request) (*page, error) {
	response, err := agent.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	here := &page{URL: response.Request.URL, Body: string(body)}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s answered %s: %.600q", here.URL.Path, response.Status, plainText(here.Body))
	}
	return here, nil
}

// A form is the first form of a page: its target and its fields.
type form struct {
	Action string
	Fields url.Values
}

var (
	formTag   = regexp.MustCompile(`(?s)<(form|input|button)\b([^>]*)>`)
	attribute = regexp.MustCompile(`([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?`)
	cancel    = regexp.MustCompile(`<a\s[^>]*href="([^"]*)"[^>]*>\[ Cancel \]</a>`)
	markup    = regexp.MustCompile(`(?s)<style.*?</style>|<[^>]*>|\s+`)
)

// findForm reads the first form of a page. It includes the button with the focus, which Enter would press.
func findForm(here *page) (form, bool) {
	found := form{Fields: url.Values{}}
	seen := false
	for _, tag := range formTag.FindAllStringSubmatch(here.Body, -1) {
		attributes := map[string]string{}
		for _, a := range attribute.FindAllStringSubmatch(tag[2], -1) {
			attributes[strings.ToLower(a[1])] = html.UnescapeString(a[2] + a[3] + a[4])
		}
		_, focused := attributes["autofocus"]
		switch {
		case tag[1] == "form" && seen:
			return found, true
		case tag[1] == "form":
			seen = true
			found.Action = attributes["action"]
		case attributes["name"] != "" && (tag[1] == "input" || focused):
			found.Fields.Add(attributes["name"], attributes["value"])
		}
	}
	return found, seen
}

func submit(ctx context.Context, here *page, f form, who person) (*http.Request, error) {
	if link := cancel.FindStringSubmatch(here.Body); who.Cancel && link != nil {
		target, err := here.URL.Parse(html.UnescapeString(link[1]))
		if err != nil {
			return nil, err
		}
		return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	}
	for _, name := range []string{"login", "username"} {
		if f.Fields.Has(name) {
			f.Fields.Set(name, who.Login)
		}
	}
	if f.Fields.Has("password") {
		f.Fields.Set("password", "password")
	}
	target, err := here.URL.Parse(f.Action)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(f.Fields.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

// plainText returns the words of a page, for the message of a failed test.
func plainText(body string) string {
	return strings.TrimSpace(markup.ReplaceAllString(body, " "))
}

func TestFindForm(t *testing.T) {
	body := `<form id="a" action="/sign-in?x=1&amp;y=2" method="post"><input type="hidden" name="prompt" value="login"/>
		<input name=login value='al&#39;ice'><button type="submit" name="abort" value="yes">no</button></form>
		<button autofocus form="a" value="yes" name="logout">Yes</button><form action="/second"><input name="other"></form>`
	got, ok := findForm(&page{Body: body})
	if !ok || got.Action != "/sign-in?x=1&y=2" || got.Fields.Encode() != "login=al%27ice&logout=yes&prompt=login" {
		t.Errorf("findForm = %+v, %v", got, ok)
	}
	if _, ok := findForm(&page{Body: "<h1>You are logged in</h1>"}); ok {
		t.Error("findForm found a form on a page without one")
	}
}
