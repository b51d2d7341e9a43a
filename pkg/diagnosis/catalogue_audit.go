package diagnosis

// apiAudits is about APIs: what they accept, and how they refuse.
var apiAudits = []Entry{
	{
		RightTokenRefused, Unsafe, "the API refuses a valid token",
		"The token is from the right issuer, for this API, and has the scopes of the operation, but the API returned 401 or 403. Or the API refuses a form that is allowed: aud as an array (RFC 7519, section 4.1.3) or the scheme in lower case (RFC 9110, section 11.1).",
		"Compare the issuer, the audience and the scopes that the API expects with those of the token. Compare the scheme without regard to case.",
	},
	{
		NoTokenAccepted, Unsafe, "the operation works without a token",
		"A request without an Authorization header had the same result as one with a valid token, so the operation is public.",
		"Require a token for the operation, or declare it public (security: [] in OpenAPI, public: true in a policy).",
	},
	{
		TokenInQuery, Unsafe, "the API accepts a token in the query",
		"URLs are stored in logs and histories and sent in Referer headers, so a token in the query leaks (RFC 9700, section 4.3.2).",
		"Read the token from the Authorization header only.",
	},
	{
		SchemeIgnored, Unsafe, "the API ignores the scheme of the Authorization header",
		"The API accepted a valid token with a scheme other than Bearer, or without one (RFC 6750, section 2.1). Other middleware may interpret the same header differently.",
		"Accept the scheme Bearer in any letter case, and refuse all others.",
	},
	{
		RouteOpen, Unsafe, "a variant of the request is not protected",
		"Without a token, the plain request was refused, but HEAD, an overridden method or another spelling of the path was accepted.",
		"Check the token after the router has selected the operation, or use the same normalized path for both (RFC 3986, section 6.2.2).",
	},
	{
		KeyOldAccepted, Unsafe, "a key that was removed from the key set still verifies tokens",
		"The API caches keys after the issuer has removed them, so a stolen key remains valid.",
		"Fetch the key set at least every few minutes, and replace the cached set as a whole.",
	},
	{
		KeyNewRefused, Unsafe, "the API refuses a token signed with the issuer's new key",
		"The API did not fetch the key set again for an unknown kid, so each key rotation causes an outage (OpenID Connect Core, section 10.1.1).",
		"Fetch the key set again if a kid is unknown, at most once every few seconds.",
	},
	{
		PublicRefused, Unsafe, "a public operation refuses a request without a token",
		"The API's description declares the operation public or the token optional, but the API returned 401 or 403.",
		"Correct the description, or allow requests without a token.",
	},
	{
		RefusalStatus, Unsafe, "the refusal has the wrong status",
		"401 means that the token is missing or invalid, so a client gets a new one. 403 means that a valid token does not allow the request, so a client requests more scopes (RFC 6750, section 3.1).",
		"Return 401 for a missing or invalid token, and 403 for a missing scope.",
	},
	{
		ChallengeMissing, Unsafe, "the 401 has no WWW-Authenticate header",
		"A 401 must say how to authenticate (RFC 9110, section 11.6.1). Clients use it to find the authorization server (RFC 9728, section 5.1).",
		"Add WWW-Authenticate: Bearer, with resource_metadata if the API publishes its metadata.",
	},
	{
		ChallengeInvalid, Unsafe, "the WWW-Authenticate header is not valid",
		"The header cannot be parsed (RFC 9110, section 11.6.1), or has an error code although the request had no token (RFC 6750, section 3.1).",
		"Write Bearer, then parameters as name=\"value\" separated by commas. Omit error if the request had no token.",
	},
	{
		Refusal5xx, Unsafe, "the API fails with 5xx instead of refusing the token",
		"The token caused an error in the program. Monitoring counts it as an outage, and anyone can repeat it.",
		"Catch the errors of the token library and return 401.",
	},
	{
		RefusalLeaks, Unsafe, "the refusal shows a stack trace or a key",
		"The response body shows internals of the program, which help an attacker (CWE-209).",
		"Disable debug output, and return a fixed text.",
	},
	{
		RefusalIs200, Unsafe, "the API refuses with status 200",
		"Clients, proxies and monitoring treat the response as a success; only its body says otherwise.",
		"Return 401 or 403 (RFC 6750, section 3.1).",
	},
	{
		CORSMissing, Unsafe, "a web page cannot call the API",
		"The API allows requests from other origins, but not with an Authorization header, or it does not expose WWW-Authenticate, so that a script cannot see how to authenticate (Fetch Standard, section 3.2).",
		"Allow the Authorization header in the preflight response, and list WWW-Authenticate in Access-Control-Expose-Headers.",
	},
	{
		TransportInvalid, Unsafe, "the MCP server does not support the Streamable HTTP transport",
		"The response to a GET must be an event stream or 405, and the response to a POST of a JSON-RPC message must be JSON or an event stream (Model Context Protocol, transports).",
		"Serve the transport at the URL that clients use, and return 405 for a GET without a stream.",
	},
	{
		OriginAccepted, Unsafe, "the MCP server accepts requests from any web page",
		"The server accepted a request with the Origin of another site. With DNS rebinding, a web page can use such a server on the same machine or network (Model Context Protocol, transports).",
		"Return 403 for a request with an Origin that is not allowed.",
	},
}
