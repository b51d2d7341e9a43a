package apicall

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// URL returns the URL of target. A path is appended to the API's URL, so that
// https://host/v1 and /items become https://host/v1/items. An empty target is the
// API's URL, and one that begins with ? adds to its query. The query of the API's
// URL is part of every URL. Characters that are not allowed in a URL are
// percent-encoded; encoded characters are not changed (RFC 3986).
//
// It returns an error for a path with the segments . or .., and a Diagnosis
// ORIGIN_REFUSED for a URL of an origin to which no token may be sent.
func (c *Client) URL(target string) (*url.URL, error) {
	if strings.ContainsFunc(target, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("the URL or path %.200q contains a line break or another control character", target)
	}
	if scheme, _, found := strings.Cut(target, "://"); found && isToken(scheme) {
		return c.whole(target)
	}
	if c.API == "" {
		return nil, fmt.Errorf("expected an absolute URL, because no API is configured, got %.200q", target)
	}
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	relative, err := parsePath(target)
	if err != nil {
		return nil, err
	}
	if climbs(relative) {
		return nil, fmt.Errorf("the path %.200q has the segment . or .., which could leave %s", target, c.API)
	}
	return under(base, relative), nil
}

// base is the API's URL.
func (c *Client) base() (*url.URL, error) {
	u, err := url.Parse(Encode(c.API))
	if err != nil {
		return nil, fmt.Errorf("%.200q is not a URL", c.API)
	}
	return u, c.HTTP.Allows(u)
}

func (c *Client) whole(target string) (*url.URL, error) {
	u, err := url.Parse(Encode(target))
	if err == nil {
		err = c.HTTP.Allows(u)
	} else {
		_, err = safehttp.CheckURL(target) // which shows no query
	}
	if err != nil {
		return nil, err
	}
	if c.Source != nil && !c.mayHaveToken(u) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.OriginRefused, Expected: diagnosis.Values{c.API}, Got: diagnosis.Values{safehttp.Origin(u)}}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// parsePath reads a path with its query. The slashes at its beginning are part
// of the path, never a host.
func parsePath(target string) (*url.URL, error) {
	raw, query, hasQuery := strings.Cut(Encode(target), "?")
	if raw != "" && raw[0] != '/' {
		raw = "/" + raw
	}
	if strings.Contains(target, "#") {
		return nil, fmt.Errorf("%.200q is not a path: # begins a fragment, which is never sent; write %%23", target)
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("%.200q is not a path", target)
	}
	return &url.URL{Path: decoded, RawPath: raw, RawQuery: query, ForceQuery: hasQuery && query == ""}, nil
}

// under appends a path with its query to a base URL.
func under(base, relative *url.URL) *url.URL {
	u := *base
	u.Fragment, u.RawFragment = "", ""
	if escaped := relative.EscapedPath(); escaped != "" {
		u.Path = strings.TrimSuffix(base.Path, "/") + relative.Path
		u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + escaped
	}
	switch {
	case u.RawQuery == "":
		u.RawQuery, u.ForceQuery = relative.RawQuery, relative.ForceQuery
	case relative.RawQuery != "":
		u.RawQuery += "&" + relative.RawQuery
	}
	return &u
}

// climbs reports whether a path has dot segments, even if a server would have
// to decode it once more, or treat a backslash as a slash.
func climbs(u *url.URL) bool {
	p := u.Path
	for range 3 {
		for segment := range strings.SplitSeq(strings.ReplaceAll(p, `\`, "/"), "/") {
			segment, _, _ = strings.Cut(segment, ";") // some servers drop the parameter
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == p {
			break
		}
		p = decoded
	}
	return path.Clean(u.Path) != u.Path && strings.Contains(u.Path, "/../")
}

// mayHaveToken reports whether the token may go to a URL: to the API's origin
// and to those that the caller allowed.
func (c *Client) mayHaveToken(u *url.URL) bool {
	return slices.ContainsFunc(append([]string{c.API}, c.AllowOrigins...), func(allowed string) bool {
		a, err := url.Parse(Encode(allowed))
		return err == nil && c.HTTP.Allows(a) == nil && safehttp.Origin(a) == safehttp.Origin(u)
	})
}

// where returns the URL of a request, with its complete query.
func (c *Client) where(r Request) (*url.URL, error) {
	u, err := c.URL(r.Target)
	if err != nil || r.Query == "" {
		return u, err
	}
	// The target's own query is not changed.
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+r.Query, "&")
	return u, nil
}

// Encode percent-encodes characters that are not allowed in a URL or path (RFC
// 3986, section 2): spaces, quotes, angle brackets, characters outside ASCII,
// and a percent sign that does not begin an escape. Encoded characters are not
// changed.
func Encode(target string) string {
	var b strings.Builder
	query := false
	for i := 0; i < len(target); i++ {
		c := target[i]
		switch {
		case c == '%' && !escapes(target[i:], query):
			b.WriteString("%25")
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			query = query || c == '?'
			b.WriteByte(c)
		}
	}
	return b.String()
}

// LonePercent reports whether [Encode] writes a percent sign of target as %25.
func LonePercent(target string) bool {
	return strings.Count(Encode(target), "%25") > strings.Count(target, "%25")
}

// escapes reports whether s begins with a percent-encoded byte. In a query two
// letters or digits of any kind pass: servers differ in what they make of them.
func escapes(s string, query bool) bool {
	if len(s) < 3 {
		return false
	}
	for _, c := range []byte(s[1:3]) {
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if !hex && !(query && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')) {
			return false
		}
	}
	return true
}
