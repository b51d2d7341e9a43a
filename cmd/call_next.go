package cmd

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/itchyny/gojq"

	"github.com/oauthctl/oauthctl/pkg/apicall"
)

// pager finds the next page: by the Link field, by the expression of --next, or
// by a name that is common for it in bodies.
type pager struct {
	env   *Env
	next  *gojq.Code // of --next, or nil
	param string     // that takes a cursor
	page  []byte
	// unfollowed names the next page that the last answer has in a form that is not
	// followed.
	unfollowed string
}

func newPager(env *Env, o *callOptions) (*pager, error) {
	p := &pager{env: env, param: o.nextParam}
	if o.next == "" {
		return p, nil
	}
	query, err := gojq.Parse(o.next)
	if err == nil {
		p.next, err = gojq.Compile(query)
	}
	if err != nil {
		return nil, usage("--next: %q is not a jq expression: %w", o.next, err)
	}
	return p, nil
}

// find implements [apicall.Next].
func (p *pager) find(res *http.Response) (string, error) {
	p.unfollowed = ""
	if p.next != nil {
		return p.asked(res, p.value(res))
	}
	if target, paged := apicall.LinkNext(res); target != "" || paged {
		return target, nil
	}
	if number := res.Header.Get("X-Next-Page"); number != "" {
		return p.with(res, "page", number), nil
	}
	if bytes.HasPrefix(bytes.TrimLeft(p.page, " \t\r\n"), []byte("[")) {
		return "", nil // a list says nothing of other pages
	}
	return p.known(res, p.value(res)), nil
}

// value returns the page's JSON for the jq engine, or nil if it is not JSON.
func (p *pager) value(res *http.Response) any {
	values := jsonValues(p.page, res.Header.Get("Content-Type"), false)
	if len(values) != 1 {
		return nil
	}
	value, err := newNameOrder().decode(jsontext.NewDecoder(bytes.NewReader(values[0]), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)))
	if err != nil {
		return nil
	}
	return value
}

// asked returns the result of --next: a URL or path, a cursor, or an object of
// query parameters. Null, false, an empty string and no value mean that this
// was the last page.
func (p *pager) asked(res *http.Response, page any) (string, error) {
	result, _ := p.next.Run(page).Next()
	switch v := result.(type) {
	case error:
		return "", jqError{fmt.Errorf("--next: %w", v)}
	case string:
		if v == "" || isReference(v) {
			return v, nil
		}
		return p.with(res, p.param, v), nil
	case map[string]any:
		target := ""
		u := *res.Request.URL
		for _, name := range sortedKeys(v) {
			text, ok := scalar(v[name])
			if !ok {
				return "", nil // a cursor that is null ends it
			}
			target = setQuery(&u, name, text)
		}
		return target, nil
	}
	if text, ok := scalar(result); ok {
		return p.with(res, p.param, text), nil
	}
	return "", nil
}

// isReference reports whether a text is a URL or a path and not a cursor.
func isReference(text string) bool {
	return isURL(text) || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?")
}

func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, v != ""
	case stdjson.Number:
		return v.String(), true
	case int:
		return fmt.Sprint(v), true
	}
	return "", false
}

// with is the page's own URL with a query parameter set.
func (p *pager) with(res *http.Response, name, value string) string {
	u := *res.Request.URL
	return setQuery(&u, name, value)
}

// setQuery sets a parameter and leaves the others and their order unchanged.
func setQuery(u *url.URL, name, value string) string {
	pair := url.QueryEscape(name) + "=" + url.QueryEscape(value)
	var pairs []string
	found := false
	for old := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(old, "=")
		plain, err := url.QueryUnescape(key)
		switch {
		case old == "":
		case err == nil && plain == name:
			if !found {
				pairs = append(pairs, pair)
			}
			found = true
		default:
			pairs = append(pairs, old)
		}
	}
	if !found {
		pairs = append(pairs, pair)
	}
	u.RawQuery = strings.Join(pairs, "&")
	return u.String()
}

// known looks for the names that APIs use for the next page in a body: a URL is
// followed, and so is a cursor whose parameter is known. Anything else is
// reported.
func (p *pager) known(res *http.Response, page any) string {
	for _, path := range []string{"@odata.nextLink", "odata.nextLink", "nextLink", "next", "links.next", "links.next.href", "_links.next", "_links.next.href", "paging.next", "paging.next.link", "pagination.next", "pagination.next_url", "meta.next", "next_page_url", "next_url", "next_page"} {
		text, ok := scalar(member(page, path))
		switch {
		case !ok:
		case isReference(text):
			return text
		case path == "next_page" && strings.Trim(text, digits) == "":
			return p.with(res, "page", text)
		default:
			p.unfollowed = path
		}
	}
	for _, cursor := range []struct{ path, param string }{
		{"nextPageToken", "pageToken"},
		{"next_page_token", "page_token"},
		{"response_metadata.next_cursor", "cursor"},
		{"next_cursor", "cursor"},
		{"nextCursor", "cursor"},
		{"meta.next_cursor", "cursor"},
	} {
		if text, ok := scalar(member(page, cursor.path)); ok {
			return p.with(res, cursor.param, text)
		}
	}
	for _, path := range pageInfos(page) {
		p.unfollowed = path
	}
	return ""
}

// member returns the member of an object at a path with dots. If the object has
// a member whose name contains the dots, that one is returned.
func member(value any, path string) any {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	if member, there := object[path]; there {
		return member
	}
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil
	}
	return member(object[head], rest)
}

// pageInfos returns the paths at which a GraphQL response says that there is
// another page (GraphQL Cursor Connections, section 5).
func pageInfos(value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var found []string
	for _, name := range sortedKeys(object) {
		inner, _ := object[name].(map[string]any)
		if name == "pageInfo" && inner["hasNextPage"] == true {
			found = append(found, name)
		}
		for _, path := range pageInfos(inner) {
			found = append(found, name+"."+path)
		}
	}
	return found
}

// report warns if there are more pages that were not requested.
func (p *pager) report() {
	if p.unfollowed != "" {
		p.env.warn("the last answer names a next page in %q, which is not followed; --next EXPR says where it is", clean(p.unfollowed))
	}
}
