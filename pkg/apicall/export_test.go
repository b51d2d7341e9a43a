package apicall

import "net/http"

// NextPage returns the URL of the next page in Link headers.
func NextPage(values []string) string {
	next, _ := LinkNext(&http.Response{Header: http.Header{"Link": values}})
	return next
}
