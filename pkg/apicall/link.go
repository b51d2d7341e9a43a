package apicall

import (
	"net/http"
	"strings"
)

// LinkNext returns the target of the relation next in the Link header (RFC 8288),
// or "". It also reports whether the header belongs to a collection: with a
// relation such as prev and without next, the response is the last page.
func LinkNext(res *http.Response) (next string, paged bool) {
	for _, value := range res.Header.Values("Link") {
		for rest := value; rest != ""; {
			var l link
			var ok bool
			if l, rest, ok = parseLink(rest); !ok {
				break
			}
			if l.is("next") {
				return l.target, true
			}
			paged = paged || l.is("prev") || l.is("previous") || l.is("first") || l.is("last")
		}
	}
	return "", paged
}

type link struct {
	target, rel string
	hasRel      bool
	anchored    bool // it is about something else than this page
}

func (l link) is(relation string) bool {
	for _, rel := range strings.Fields(l.rel) {
		if strings.EqualFold(rel, relation) {
			return !l.anchored
		}
	}
	return false
}

// parseLink parses the first link of a Link header (RFC 8288, section 3 and
// appendix B.2) and returns the rest.
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
