package policy

import (
	"fmt"
	"net/url"
	"slices"
)

// withRoute returns the change for a new route. It accepts more than before if
// no route matched its requests, or one that needs something else.
func withRoute(before, after *Policy, r *route) Change {
	text := "is new and needs " + r.need.words()
	var decided *route
	for _, m := range after.decides(r) {
		was := before.deciding(m, r)
		if was == nil {
			return Change{r.text, text, true}
		}
		if decided == nil {
			decided = was
		}
	}
	for _, m := range after.decides(r) {
		was := before.deciding(m, r)
		if !r.need.covers(was.need) || r.encodedSlash && !was.encodedSlash {
			return Change{r.text, text + was.matched(), true}
		}
		for _, other := range was.stricter {
			// A path with encoded slashes has more segments where they are decoded.
			if other.serves(m) && (r.encodedSlash || overlap(other.folded, r.folded)) && !r.coversSpellings(other) {
				return Change{r.text, text + other.matched(), true}
			}
		}
	}
	for _, was := range before.routes {
		if was.redirected(before, after, r) {
			return Change{r.text, text, true}
		}
	}
	if decided != nil {
		text += decided.matched()
	}
	return Change{r.text, text, false}
}

// decidedNow returns a change if a route that is in both policies accepts paths that
// it refused because another route was possible. See [route.strictest].
func decidedNow(after *Policy, was, is *route) []Change {
	for _, other := range was.stricter {
		now := after.named(other.text)
		isRefused := now != nil && slices.Contains(is.stricter, now) && !now.need.covers(is.need)
		isReported := now == nil && !is.coversSpellings(other) // by withoutRoute
		if !other.need.covers(was.need) && !isRefused && !isReported {
			return []Change{{is.text, fmt.Sprintf("accepts paths that were refused because %q could be meant", other.text), true}}
		}
	}
	return nil
}

func (r *route) matched() string {
	text := fmt.Sprintf("; %q matched its requests and needed %s", r.text, r.need.words())
	if !r.encodedSlash {
		return text
	}
	return text + ", encoded slashes accepted"
}

// withoutRoute returns the change for a route that was removed. Its requests may
// now match another route that requires less.
func withoutRoute(before, after *Policy, gone *route) Change {
	for _, m := range before.decides(gone) {
		if r := after.deciding(m, gone); r != nil && (!r.need.covers(gone.need) || r.encodedSlash && !gone.encodedSlash) {
			return gone.leftTo(r)
		}
	}
	for _, r := range after.routes {
		some := !within(r.segments, gone.segments) && !within(gone.segments, r.segments)
		if some && sharesMethod(r, gone) && overlap(r.segments, gone.segments) && !r.need.covers(gone.need) {
			return gone.leftTo(r)
		}
	}
	for _, was := range before.routes {
		if r := after.named(was.text); r != nil && slices.Contains(was.stricter, gone) && !r.coversSpellings(gone) {
			return gone.leftTo(r)
		}
	}
	for _, r := range after.routes {
		if gone.redirected(before, after, r) {
			return gone.leftTo(r)
		}
	}
	return Change{gone.text, "is gone", false}
}

// redirected reports whether a policy's router redirected requests of the route of
// another policy to this one, which has a final slash: a policy refuses those.
func (r *route) redirected(before, after *Policy, other *route) bool {
	last := len(r.segments) - 1
	if s := r.segments[last]; !s.rest && s != (segment{}) || last < len(other.segments) || !overlap(r.segments[:last], other.segments) {
		return false
	}
	u := &url.URL{Path: common(r.segments[:last], other.segments)}
	return slices.ContainsFunc(methods, func(m string) bool {
		return r.serves(m) && before.found(m, u) == nil && after.found(m, u) == other
	})
}

func (r *route) leftTo(other *route) Change {
	return Change{r.text, fmt.Sprintf("is gone and needed %s; %q matches its requests and needs %s", r.need.words(), other.text, other.need.words()), true}
}

func (p *Policy) named(text string) *route {
	if i := slices.IndexFunc(p.routes, func(r *route) bool { return r.text == text }); i >= 0 {
		return p.routes[i]
	}
	return nil
}

// deciding returns the route that decides on all requests that match a route, which
// may be of another policy, with a method. It returns nil if there is none.
func (p *Policy) deciding(method string, x *route) *route {
	var best *route
	for _, r := range p.routes {
		if !r.serves(method) || len(x.segments) < len(r.segments) || !within(x.segments, r.segments) {
			continue // "/a/" does not match "/a": the router redirects it
		}
		samePath := best != nil && within(r.segments, best.segments) && within(best.segments, r.segments)
		if best == nil || !samePath && within(r.segments, best.segments) || samePath && slices.Contains(r.methods, method) {
			best = r
		}
	}
	return best
}

// decides returns the methods with which a route of the policy decides on its
// requests: HEAD may be another route's.
func (p *Policy) decides(r *route) []string {
	var all []string
	for _, m := range methods {
		if r.serves(m) && p.deciding(m, r) == r {
			all = append(all, m)
		}
	}
	return all
}

// coversSpellings reports whether other spellings of the path of a route, which lead
// to r, need at least what that route needs. See [Policy.findStricter].
func (r *route) coversSpellings(other *route) bool {
	return r.need.covers(other.need) || slices.ContainsFunc(r.stricter, func(mine *route) bool {
		return within(other.folded, mine.folded) && servesAll(mine, other) && mine.need.covers(other.need)
	})
}

func servesAll(r, other *route) bool {
	return !slices.ContainsFunc(methods, func(m string) bool { return other.serves(m) && !r.serves(m) })
}
