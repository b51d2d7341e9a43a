// Package oauthtest helps to test Go APIs that accept OAuth 2.0 access tokens, and
// clients that request them.
//
// [Start] starts a development authorization server and a demo API for a test (RFC
// 6749, RFC 9068, RFC 9728). [NewIssuer] signs tokens for an API in the same
// process, without a listener. Both sign valid tokens, and tokens with exactly one
// fault, see [Cases]: an API has to refuse each of those.
//
// The package is for tests: it imports testing.
package oauthtest
