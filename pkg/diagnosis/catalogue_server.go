package diagnosis

// network is about connections and failed responses.
var network = []Entry{
	{
		Unreachable, Unavailable, "the server cannot be reached",
		"The connection failed, or was closed before a response arrived.",
		"Check the address, the network and the proxy, then try again.",
	},
	{
		Timeout, Unavailable, "the server did not respond in time",
		"The time limit applies to the wait for the response header, and then to each wait for more of the body.",
		"Try again, with a longer limit if the server is slow.",
	},
	{
		ResponseTooLarge, Unavailable, "the server's response exceeds the size limit",
		"Metadata, key sets and token responses have a size limit, to bound the memory that a server can use.",
		"Check the URL. It is probably not the right one.",
	},
	{
		ResponseBroken, Unavailable, "the server's response is incomplete or not HTTP",
		"The server closed the connection before the end of its response, or the response is not valid HTTP.",
		"Try again. If it fails again, see the log of the server and of any proxy in front of it.",
	},
	{
		ProxyRefused, Unavailable, "the HTTP proxy refused to connect",
		"The proxy in HTTPS_PROXY responded to CONNECT with an error. 407 means that it requires a user name and a password (RFC 9110, section 15.5.8).",
		"Check the address and the credentials in HTTPS_PROXY, or list the host in NO_PROXY.",
	},
	{
		TLSUntrusted, Unavailable, "the server's certificate is not trusted",
		"The certificate is for another host, expired, not yet valid, or signed by an unknown CA.",
		"If the certificate is from a private CA, trust the CA's certificate. Otherwise the server's operator must fix it.",
	},
	{
		TLSMissing, Unavailable, "the server does not use TLS at this address",
		"The URL begins with https, but the server's response is not TLS. The usual cause is a port for plain HTTP.",
		"Use the server's https port. If the server is on this machine and has none, use http:// in the URL.",
	},
	{
		ServerError, Unavailable, "the authorization server failed",
		"The response is a server error, or says that the server is temporarily unavailable.",
		"Try again later. If the error persists, report it to the server's operator.",
	},
	{
		RateLimited, Unavailable, "the server received too many requests",
		"The server returned 429 (RFC 6585, section 4) or slow_down (RFC 8628, section 3.5).",
		"Try again after the time that the server states.",
	},
	{
		KeysUnavailable, Unavailable, "could not fetch the issuer's keys",
		"The key set could not be fetched and no earlier copy is cached, so the token was neither accepted nor rejected.",
		"Try again later. If the error persists, report it to the issuer's operator.",
	},
	{
		KeySetInvalid, Usage, "the key set URL or file is not a key set",
		"A key set is a JSON object with an array keys (RFC 7517, section 5). The URL returns a permanent error or the content is something else, such as an HTML page, the server's metadata, a PEM file or a map of certificates.",
		"Use the jwks_uri of the issuer's metadata, or a file with a key set.",
	},
	{
		ReplayUnknown, Unavailable, "could not check whether the DPoP proof was used before",
		"The store of used proofs is unreachable or full, so the request was not accepted (RFC 9449, section 11.1).",
		"Try again later. The API's operator must check the store.",
	},
	{
		RevocationUnknown, Unavailable, "could not check whether the token was revoked",
		"The revocation store is unreachable, and the API is configured to reject tokens it cannot check.",
		"Try again later. The API's operator must check the store.",
	},
}

// serverResponses is about responses that failed a security check.
var serverResponses = []Entry{
	{
		StateMismatch, Unsafe, "the response does not belong to this login",
		"The state parameter is not the one that was sent, so this response belongs to a different login (RFC 6749, section 10.12).",
		"Log in again, and finish in the browser window that opens.",
	},
	{
		IssParam, Unsafe, "the response comes from another authorization server",
		"The iss parameter of the response is not the issuer of this login, or is missing although the server's metadata promises it (RFC 9207, section 2.4). The code was not sent anywhere.",
		"Stop here and check the issuer. If it is correct, report this to the server's operator.",
	},
	{
		NonceMismatch, Unsafe, "the ID token belongs to another login",
		"The nonce in the ID token is not the one that was sent (OpenID Connect Core, section 3.1.3.7).",
		"Log in again. If it fails again, the server does not return the nonce; report this to its operator.",
	},
	{
		IDTokenInvalid, Unsafe, "the ID token failed verification",
		"Its signature, issuer, audience, authorized party, times or hashes are not valid (OpenID Connect Core, section 3.1.3.7). Nothing was stored.",
		"Report this to the authorization server's operator.",
	},
	{
		IDTokenMissing, Unsafe, "the scope openid was requested, but the response has no ID token",
		"A server that grants the scope openid must return an ID token (OpenID Connect Core, section 3.1.3.3).",
		"Do not request the scope openid, or fix the client's settings at the server.",
	},
	{
		SubjectChanged, Unsafe, "the response is about another user",
		"After a refresh, and in a userinfo response, iss, sub and aud must be the same as at login (OpenID Connect Core, sections 5.3.2 and 12.2).",
		"Log out and log in again. If it fails again, report this to the server's operator.",
	},
	{
		IssDiscoveryMismatch, Unsafe, "the metadata is for another issuer",
		"The issuer in the metadata must be identical to the URL that it was requested for (RFC 8414, section 3.3; OpenID Connect Discovery, section 4.3).",
		"If the metadata has the issuer that you expect, log in with exactly that URL. Otherwise stop here.",
	},
	{
		MetadataInvalid, Unsafe, "the metadata is not valid",
		"The metadata is not a JSON object, lacks a required value, or has an endpoint that is not an https URL (RFC 8414, section 2).",
		"Report this to the server's operator.",
	},
	{
		PRMResourceMismatch, Unsafe, "the protected resource metadata is for another resource",
		"The resource must be the URL that the metadata was requested for; otherwise a server could obtain tokens for another API (RFC 9728, section 3.3).",
		"The API's owner must set resource to the URL of the API.",
	},
	{
		TokenEndpointShape, Unsafe, "the response of the token endpoint is not a token response",
		"A token response is one JSON object with access_token and token_type (RFC 6749, section 5.1).",
		"Check the token endpoint in the metadata. Some proxies return a page of their own.",
	},
	{
		AnswerInvalid, Unsafe, "the server's response is not valid",
		"The response of the endpoint does not follow its specification: RFC 8628 for device authorization, RFC 9126 for pushed authorization requests, RFC 7662 for introspection, OpenID Connect Core for userinfo.",
		"Check the endpoint in the server's metadata. Some proxies return a page of their own.",
	},
	{
		DCRInvalid, Unsafe, "the response of the registration endpoint is not valid",
		"The response to a registration must be a JSON object with client_id (RFC 7591, section 3.2.1).",
		"Check the registration endpoint in the metadata, or create a client in the server's console and configure its client id.",
	},
	{
		RedirectRefused, Unsafe, "the server redirects a request that must not be redirected",
		"Following the redirect would send the secrets of the request to another address.",
		"If you trust the new address, configure it.",
	},
	{
		InsecureEndpoint, Unsafe, "the metadata has an endpoint without TLS",
		"Endpoints must use https; plain http is allowed only for loopback addresses (RFC 6749, sections 3.1 and 3.2).",
		"The authorization server must publish https endpoints.",
	},
	{
		EndpointMoved, Unsafe, "an endpoint of the authorization server has moved to another host",
		"The tokens of a session and the client secret are sent only to the hosts that the server's metadata listed at login.",
		"If you know that the move is correct, log in again to start a new session.",
	},
	{
		DPoPDowngrade, Unsafe, "the token is not bound to the key as requested",
		"The request had a DPoP proof and the token is a Bearer token, or it had none and the token is bound (RFC 9449, section 5).",
		"If a Bearer token is sufficient, log in without DPoP. Otherwise the server's operator must enable DPoP for this client.",
	},
	{
		PKCEDowngrade, Unsafe, "the authorization server does not support PKCE with S256",
		"The methods in the server's metadata do not include S256, and plain gives no protection (RFC 7636, section 7.2; RFC 9700, section 2.1.1).",
		"The server's operator must enable S256.",
	},
}
