// Package audit proves which access tokens an HTTP API accepts and which it
// refuses (RFC 6750, RFC 8725, RFC 9068).
//
// For each operation it sends a valid request, one without a token, and then
// requests that differ from the valid one in one thing each, and compares the
// answers. A result that is not proven is inconclusive, never passed. Start with
// [New]; [Classify] is the rule that decides each case. The package follows no
// redirect, changes no data unless it is asked to, and tests no authorization
// server.
package audit
