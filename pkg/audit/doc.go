// Package audit tests which access tokens an HTTP API accepts and which it
// refuses (RFC 6750, RFC 8725, RFC 9068).
//
// For each operation, it sends a valid request, one without a token, and requests
// that each differ from the valid one in one way. Then it compares the responses. A
// result that is not proven is inconclusive, never passed. Start with [New];
// [Classify] decides each case. The package follows no redirects, sends no requests
// that change data unless Config.Unsafe enables them, and does not test
// authorization servers.
package audit
