package apicall

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// rewriteLinks rewrites the URLs in a response's headers so that they lead
// through the proxy: redirects, links and the paths of cookies. URLs in bodies
// are not changed.
func (p *Proxy) rewriteLinks(res *http.Response) {
	for _, name := range []string{"Location", "Content-Location"} {
		if value := res.Header.Get(name); value != "" {
			res.Header.Set(name, p.through(res.Request.URL, value))
		}
	}
	for i, value := range res.Header["Link"] {
		res.Header["Link"][i] = p.throughLinks(res.Request.URL, value)
	}
	for i, value := range res.Header["Refresh"] {
		res.Header["Refresh"][i] = p.throughRefresh(res.Request.URL, value)
	}
	for i, value := range res.Header["Set-Cookie"] {
		res.Header["Set-Cookie"][i] = p.throughCookie(value)
	}
}

// through returns the proxy's URL for a URL of the API. A URL elsewhere is not
// changed, and a path elsewhere on the API's host becomes an absolute URL.
func (p *Proxy) through(from *url.URL, target string) string {
	u, err := from.Parse(Encode(target))
	if err != nil || safehttp.Origin(u) != safehttp.Origin(p.base) {
		return target
	}
	path, ok := p.path(u.EscapedPath())
	if !ok {
		return u.String()
	}
	query := u.RawQuery
	if p.base.RawQuery != "" {
		// It is added to each request.
		query = strings.TrimPrefix(strings.TrimPrefix(query, p.base.RawQuery), "&")
	}
	if path == "" {
		path = "/"
	}
	inner := url.URL{RawQuery: query, Fragment: u.Fragment, RawFragment: u.RawFragment}
	return path + inner.String()
}

// path returns the proxy's path for one of the API.
func (p *Proxy) path(escaped string) (string, bool) {
	root := strings.TrimSuffix(p.base.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(escaped, root)
	return p.prefix() + rest, ok && (rest == "" || rest[0] == '/')
}

// throughLinks rewrites each target of a Link field (RFC 8288).
func (p *Proxy) throughLinks(from *url.URL, value string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		end := strings.IndexByte(value[i:], '>')
		switch {
		case quoted && c == '\\' && i+1 < len(value):
			b.WriteByte(c)
			i++
			c = value[i]
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted && end > 0:
			b.WriteString("<" + p.through(from, strings.TrimSpace(value[i+1:i+end])))
			i += end
			c = '>'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// throughRefresh rewrites the URL of a Refresh field, as in "5; url=/next".
func (p *Proxy) throughRefresh(from *url.URL, value string) string {
	i := strings.Index(strings.ToLower(value), "url=")
	if i < 0 {
		return value
	}
	target := strings.Trim(strings.TrimSpace(value[i+len("url="):]), `"'`)
	return value[:i+len("url=")] + p.through(from, target)
}

// throughCookie rewrites the path of a cookie, and drops its domain, which is not
// the proxy's (RFC 6265, section 4.1.2).
func (p *Proxy) throughCookie(value string) string {
	parts := strings.Split(value, ";")
	kept := parts[:1]
	for _, part := range parts[1:] {
		name, path, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case strings.EqualFold(name, "Domain"):
			continue
		case strings.EqualFold(name, "Path"):
			part = " Path=" + p.cookiePath(strings.TrimSpace(path))
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, ";")
}

// cookiePath is the path below which a program that uses the proxy sends a cookie.
func (p *Proxy) cookiePath(path string) string {
	inner, ok := p.path(path)
	if !ok {
		// A path above the API's applies to all of the API.
		root := strings.TrimSuffix(p.base.EscapedPath(), "/") + "/"
		if !strings.HasPrefix(root, strings.TrimSuffix(path, "/")+"/") {
			return path
		}
		inner = p.prefix()
	}
	if inner == "" {
		return "/"
	}
	return inner
}
