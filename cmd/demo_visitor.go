package cmd

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// visitor is the user of the demo and the browser: it opens pages, fills in
// their forms and follows redirects. It knows only what a person sees.
type visitor struct {
	login     string
	password  string
	requested func(method, what string) // is called for each form that is sent
}

// visit opens address and submits forms until a page has none. It returns the
// status of that page.
func (v visitor) visit(ctx context.Context, address string) (int, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	for range 5 {
		res, err := browser.Do(req)
		if err != nil {
			return 0, err
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if err != nil {
			return 0, err
		}
		action, values, found := v.fillIn(string(body))
		if !found {
			return res.StatusCode, nil
		}
		target, err := res.Request.URL.Parse(action)
		if err != nil {
			return 0, err
		}
		v.requested(http.MethodPost, target.Path+"  "+v.shown(values))
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", target.Scheme+"://"+target.Host)
	}
	return 0, fmt.Errorf("still a form after 5 pages")
}

// shown is what a form sends, without what a person does not see.
func (v visitor) shown(values url.Values) string {
	switch {
	case values.Has("password"):
		return "username " + v.login + ", password ********"
	default:
		return "allow"
	}
}

// fillIn reads the first form of a page and fills it in as a person would: name
// and password, and the first button, which is the one that Enter presses.
func (v visitor) fillIn(page string) (action string, values url.Values, found bool) {
	tags := regexp.MustCompile(`(?s)<(/?form|input|button)\b([^>]*)>`)
	attributes := regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
	values = url.Values{}
	pressed := false
	for _, tag := range tags.FindAllStringSubmatch(page, -1) {
		a := map[string]string{}
		for _, pair := range attributes.FindAllStringSubmatch(tag[2], -1) {
			a[pair[1]] = html.UnescapeString(pair[2])
		}
		switch tag[1] {
		case "form":
			found, action = true, a["action"]
		case "/form":
			return action, values, found
		case "input":
			if found && a["name"] != "" && (a["type"] != "checkbox" || strings.Contains(tag[2], "checked")) {
				values.Add(a["name"], a["value"])
			}
		case "button":
			if found && !pressed && a["name"] != "" {
				values.Add(a["name"], a["value"])
			}
			pressed = true
		}
		switch a["name"] {
		case "username":
			values.Set("username", v.login)
		case "password":
			values.Set("password", v.password)
		}
	}
	return action, values, found
}
