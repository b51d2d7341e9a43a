package apicall

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Pages sends the request and then goes from page to page by the Link field with
// rel="next" (RFC 8288). A token is asked for each page, so a long collection
// outlives one. Each answer's body is closed when the next one is asked for; an
// answer of 400 or above is the last.
//
// The iteration ends with an error that [Client.Do] has returned, and with one
// where a link leads back to a page that was there, or, with a token, to another
// origin (a Diagnosis, ORIGIN_REFUSED): no token goes there. Where a link may leave
// the origin, the header fields that are not known to be harmless stay behind.
func (c *Client) Pages(ctx context.Context, r Request) iter.Seq2[*http.Response, error] {
	return func(yield func(*http.Response, error) bool) {
		if r.Method != http.MethodGet {
			yield(nil, fmt.Errorf("apicall: only GET goes from page to page, not %.50q", r.Method))
			return
		}
		u, err := c.where(r)
		if err != nil {
			yield(nil, err)
			return
		}
		r.Query = nil
		for seen := map[string]bool{}; ; {
			r.Target = u.String()
			if seen[r.Target] {
				yield(nil, &diagnosis.Diagnosis{ID: diagnosis.APIError, Expected: diagnosis.Values{"a next page"}, Got: diagnosis.Values{"a link back to one that was there"}})
				return
			}
			seen[r.Target] = true
			res, err := c.Do(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			more := yield(res, nil)
			res.Body.Close()
			next := nextPage(res.Header.Values("Link"))
			if !more || next == "" || res.StatusCode >= http.StatusBadRequest {
				return
			}
			// Relative to where the page was found, behind any redirect.
			before := u
			if u, err = res.Request.URL.Parse(next); err == nil {
				u.Fragment = ""
				u, err = c.URL(u.String())
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if safehttp.Origin(u) != safehttp.Origin(before) {
				r.Header = harmless(r.Header) // as behind a redirect
			}
		}
	}
}

// nextPage returns the target of the link with the relation next, "" if there is
// none.
func nextPage(values []string) string {
	for _, value := range values {
		for rest := value; rest != ""; {
			var l link
			var ok bool
			if l, rest, ok = parseLink(rest); !ok {
				break
			}
			if l.isNext() {
				return l.target
			}
		}
	}
	return ""
}

type link struct {
	target, rel string
	hasRel      bool
	anchored    bool // it is about something else than this page
}

func (l link) isNext() bool {
	for _, rel := range strings.Fields(l.rel) {
		if strings.EqualFold(rel, "next") {
			return !l.anchored
		}
	}
	return false
}

// parseLink reads the first link of a Link field (RFC 8288, section 3, and its
// appendix B.2) and returns what stands behind it.
func parseLink(s string) (l link, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" || s[0] != '<' {
		return l, "", false
	}
	target, s, found := strings.Cut(s[1:], ">")
	if !found {
		return l, "", false
	}
	l.target = strings.TrimSpace(target)
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return l, s, true
		}
		if s[0] != ';' {
			return l, "", false
		}
		var name, value string
		if name, value, s = parseLinkParam(s[1:]); name == "" {
			continue
		}
		switch {
		case strings.EqualFold(name, "rel") && !l.hasRel:
			l.rel, l.hasRel = value, true
		case strings.EqualFold(name, "anchor"):
			l.anchored = true
		}
	}
}

func parseLinkParam(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t")
	n := strings.IndexAny(s, "=;, \t")
	if n < 0 {
		return s, "", ""
	}
	name, s = s[:n], strings.TrimLeft(s[n:], " \t")
	if s == "" || s[0] != '=' {
		return name, "", s
	}
	s = strings.TrimLeft(s[1:], " \t")
	if s == "" || s[0] != '"' {
		if n = strings.IndexAny(s, ";, \t"); n < 0 {
			return name, s, ""
		}
		return name, s[:n], s[n:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return name, b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return name, b.String(), ""
}
