package apicall

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Next returns the URL or path of the page after res, "" if res is the last one.
// It is called when the caller of [Client.Pages] has read the page.
type Next func(res *http.Response) (string, error)

// Pages sends the request and then one request for each further page. Next returns
// the URL of the next page; if nil, it is the Link header with rel="next" (RFC
// 8288). A token is requested for each page, so a collection may take longer than
// the lifetime of one. Each response's body is closed when the next page is
// requested; a response of 300 or above is the last.
//
// The iteration ends with an error of [Client.Do] or next, and with an error if a
// link leads to an earlier page or, with a token, to another origin (a Diagnosis
// ORIGIN_REFUSED). If a link may lead to another origin, only harmless headers are
// sent.
func (c *Client) Pages(ctx context.Context, r Request, next Next) iter.Seq2[*http.Response, error] {
	if next == nil {
		next = func(res *http.Response) (string, error) {
			target, _ := LinkNext(res)
			return target, nil
		}
	}
	return func(yield func(*http.Response, error) bool) {
		if r.Method != http.MethodGet {
			yield(nil, fmt.Errorf("only GET supports pages, not %.50q", r.Method))
			return
		}
		u, err := c.where(r)
		if err != nil {
			yield(nil, err)
			return
		}
		r.Query = ""
		for seen := map[string]bool{}; ; {
			r.Target = u.String()
			if seen[r.Target] {
				yield(nil, &diagnosis.Diagnosis{ID: diagnosis.APIError, Expected: diagnosis.Values{"a next page"}, Got: diagnosis.Values{"a link back to an earlier one"}})
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
			if !more || res.StatusCode >= http.StatusMultipleChoices {
				return
			}
			target, err := next(res)
			if err == nil && target == "" {
				return
			}
			// Relative to the URL of the page, after redirects.
			before := u
			if err == nil {
				u, err = res.Request.URL.Parse(Encode(target))
			}
			if err == nil {
				u.Fragment = ""
				u, err = c.URL(u.String())
			}
			if err != nil {
				yield(nil, c.scrub(err))
				return
			}
			if safehttp.Origin(u) != safehttp.Origin(before) {
				r.Header = harmless(r.Header) // as after a redirect
			}
		}
	}
}
