package apicall

import "net/http"

// NextPage is what a Link field leads to.
func NextPage(values []string) string {
	next, _ := LinkNext(&http.Response{Header: http.Header{"Link": values}})
	return next
}
