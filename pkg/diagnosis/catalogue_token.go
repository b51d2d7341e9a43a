package diagnosis

// tokenFormat is about the token as a string, its header and its payload.
var tokenFormat = []Entry{
	{
		Malformed, Rejected, "the token is not a JWT in compact form",
		"A JWT is three base64url parts without padding, separated by dots: header, payload and signature (RFC 7515, section 7.1). White space, padding or characters outside base64url are not allowed: parsers treat them differently.",
		"Pass the token exactly as the authorization server issued it, without quotes, line breaks or the word Bearer.",
	},
	{
		TokenMissing, Rejected, "there is no token",
		"The token is an empty string. The usual causes are an unset variable in a script and a command that failed and printed nothing.",
		"Check the variable, or the command that should have printed the token.",
	},
	{
		TokenTooLarge, Rejected, "the token exceeds the size limit",
		"A token may have at most 64 KiB and its header at most 8 KiB, to bound the work that one request can cause.",
		"Configure the authorization server to put fewer claims into the token. The usual cause is a long list of groups.",
	},
	{
		TokenEncrypted, Rejected, "the token is encrypted (JWE), which is not supported",
		"A token with five parts is encrypted (RFC 7516). Only the holder of the decryption key can read it; a public key cannot verify it.",
		"Configure the authorization server to issue signed JWT access tokens for this API. Often it is enough to request the API's audience.",
	},
	{
		FormatUnsupported, Rejected, "the token's format is not supported",
		"Only JWTs in compact form are supported. SD-JWT (RFC 9901), the JSON forms of JWS and JWE (RFC 7515, section 7.2; RFC 7516, section 7.2) and PASETO are different formats.",
		"Configure the authorization server to issue JWT access tokens in compact form for this API.",
	},
	{
		OpaqueToken, Rejected, "the token is opaque, not a JWT",
		"The token does not have the structure of a JWT. Only the server that issued it knows what it means.",
		"Use the server's introspection endpoint (RFC 7662), or configure the authorization server to issue JWT access tokens for this API.",
	},
	{
		OpaqueAuth0, Rejected, "the token is an encrypted Auth0 token for the userinfo endpoint",
		"Auth0 issues an encrypted token (alg dir, enc A256GCM) if the request has no audience. Only Auth0 can decrypt it.",
		"Send the API's identifier as audience in the authorization request, or set the tenant's default audience.",
	},
	{
		OpaqueGoogle, Rejected, "the token is an opaque Google access token",
		"Google access tokens (ya29.…) are never JWTs and are intended for Google's own APIs.",
		"For a Google API, use Google's tokeninfo endpoint. For your own API, use the ID token or a different authorization server.",
	},
	{
		OpaqueGitHub, Rejected, "the token is an opaque GitHub token",
		"GitHub tokens (gho_, ghu_, ghs_, ghp_, github_pat_) cannot be verified offline, even if they contain dots.",
		"Call GitHub's API to find out whose token it is. For your own API, use a different authorization server; in GitHub Actions, use the workflow's ID token.",
	},
	{
		HeaderInvalid, Rejected, "the token's header is not valid",
		"The header must be one JSON object in which alg, kid and typ are strings (RFC 7515, section 4).",
		"The issuer must fix the header.",
	},
	{
		PayloadInvalid, Rejected, "the token's payload is not one JSON object",
		"The payload must be one UTF-8 JSON object with at most 32 levels and nothing after it (RFC 7519, section 7.2).",
		"The issuer must fix the payload.",
	},
	{
		DuplicateMember, Rejected, "duplicate name in the token's JSON",
		"Parsers disagree on duplicate names such as {\"sub\":\"a\",\"sub\":\"b\"}: some use the first value, some the last. A verifier may reject such tokens (RFC 7519, section 4).",
		"The issuer must use each name once. A token like this may be an attack.",
	},
	{
		MemberCase, Rejected, "a registered name has the wrong letter case",
		"Names are case-sensitive: ISS is not iss. Some libraries ignore the difference and use the wrong value.",
		"The issuer must use the registered spelling. A token like this may be an attack.",
	},
	{
		CritUnsupported, Rejected, "the header requires an extension that is not supported",
		"The crit member lists extensions that a verifier must support; otherwise it must reject the token (RFC 7515, section 4.1.11). One of them is b64=false (RFC 7797).",
		"Configure the issuer not to use the extension.",
	},
}

// tokenClaims is about the claims of a token.
var tokenClaims = []Entry{
	{
		Expired, Rejected, "the token has expired",
		"The time in exp has passed (RFC 7519, section 4.1.4).",
		"Refresh the token. If the session has expired too, log in again.",
	},
	{
		ExpMissing, Rejected, "the token has no expiry",
		"Without exp, a stolen token never stops working; RFC 9068 requires it (section 2.2).",
		"The issuer must set exp.",
	},
	{
		NotYetValid, Rejected, "the token is not valid yet",
		"The time in nbf is in the future by more than the leeway (RFC 7519, section 4.1.5).",
		"Wait, or compare the clocks of this machine and of the issuer. A leeway allows for a small difference.",
	},
	{
		ClockSkew, Rejected, "the token's times are slightly in the future, so a clock is wrong",
		"iat or nbf is in the future by at most five minutes. The usual cause is a clock that is not synchronised.",
		"Synchronise the clocks (NTP). A leeway allows for a small difference.",
	},
	{
		IatInFuture, Rejected, "the token was issued in the future",
		"The time in iat is in the future by more than the leeway (RFC 7519, section 4.1.6).",
		"Compare the clocks of this machine and of the issuer.",
	},
	{
		TimeInvalid, Rejected, "a time in the token is not valid",
		"exp, nbf and iat must be positive numbers of seconds since 1970 (NumericDate; RFC 7519, section 2), not strings, null, zero or negative numbers.",
		"The issuer must write NumericDate values.",
	},
	{
		TimeInMS, Rejected, "a time in the token is in milliseconds, not seconds",
		"Read as seconds, the number is a date thousands of years in the future (RFC 7519, section 2). The usual cause is JavaScript's Date.now(), which returns milliseconds.",
		"The issuer must divide the value by 1000.",
	},
	{
		IssMissing, Rejected, "the token has no issuer",
		"Without iss, a verifier cannot know which issuer's keys apply; RFC 9068 requires it (section 2.2).",
		"The issuer must set iss.",
	},
	{
		IssMismatch, Rejected, "the token is from another issuer",
		"The iss claim must equal the configured issuer, character for character (RFC 8725, section 3.8).",
		"If the token's issuer is the right one, configure it. Otherwise find out where the token comes from.",
	},
	{
		IssSlash, Rejected, "the issuers differ by one slash at the end",
		"Issuers are compared as strings (RFC 8725, section 3.8). Auth0 and Authentik end theirs with a slash; most others do not.",
		"Copy the issuer from the server's metadata without changes.",
	},
	{
		IssHost, Rejected, "the issuers differ only in scheme, host or port",
		"The server derives its issuer from the URL of each request, for example localhost in the browser and a service name inside containers.",
		"Configure one public URL at the server (Keycloak: KC_HOSTNAME with hostname-backchannel-dynamic=true) and use it everywhere.",
	},
	{
		AudMissing, Rejected, "the token has no audience",
		"Without aud, a token for one API would be valid for every API of the issuer (RFC 8725, section 3.9).",
		"Request the token for this API (audience or resource). In Keycloak, add an Audience mapper. Amazon Cognito sets no aud: require client_id instead.",
	},
	{
		AudMismatch, Rejected, "the token is for another audience",
		"None of the values in aud equals an expected audience, so the token was issued for another API (RFC 7519, section 4.1.3).",
		"Request a token for this API, or configure the audience that the issuer uses for it.",
	},
	{
		AudSlash, Rejected, "the audiences differ by one slash at the end",
		"Audiences are compared as strings (RFC 7519, section 4.1.3). A resource indicator and the URL of the API often differ by this slash.",
		"Configure the audience exactly as the issuer writes it, or change it at the issuer.",
	},
	{
		AudInvalid, Rejected, "the audience is neither a string nor a list of strings",
		"aud must be a string or an array of strings (RFC 7519, section 4.1.3). Libraries interpret other values differently.",
		"The issuer must fix the aud claim.",
	},
	{
		TypRefused, Rejected, "this kind of token is not an access token",
		"The typ header identifies another kind of JWT, such as a DPoP proof or a logout token. It is signed with the same keys, but for another purpose (RFC 8725, section 3.11).",
		"Send the access token.",
	},
	{
		IDTokenAsAccess, Rejected, "this is an ID token, not an access token",
		"An ID token is issued to a client, to show who logged in (OpenID Connect Core, section 2). An API that accepts ID tokens also accepts those of other applications. Some servers (Dex) issue access tokens in the form of ID tokens.",
		"Send the access_token of the same response. If it is not for this API, request the API's audience and scopes. If this issuer's access tokens have the form of ID tokens, accept the kind id_token.",
	},
	{
		RefreshTokenAsAccess, Rejected, "this is a refresh token, not an access token",
		"A refresh token is for the authorization server alone (RFC 6749, section 1.5), and is valid much longer than an access token. Keycloak issues them as JWTs signed with a secret that only it knows; introspection reports them as active too.",
		"Send the access_token of the same response.",
	},
	{
		ClaimMissing, Rejected, "a required claim is missing",
		"The configuration requires a claim that is empty or not in the token.",
		"Configure the issuer to add the claim, or do not require it.",
	},
	{
		ClaimInvalid, Rejected, "a claim has the wrong type",
		"A registered claim has a value that its specification does not allow (RFC 7519, section 4.1).",
		"The issuer must fix the claim.",
	},
	{
		Revoked, Rejected, "the token was revoked",
		"The token is otherwise valid, but it was revoked before it expired (RFC 7009).",
		"Log in again.",
	},
	{
		TokenBound, Rejected, "the token is bound to a key and was sent without proof of it",
		"The cnf claim binds the token to a key of the client (RFC 9449, section 6; RFC 8705, section 3). Without proof of that key, the token may be stolen.",
		"Send the token with the DPoP scheme and a proof, or over a TLS connection with the client's certificate.",
	},
	{
		NotChecked, Rejected, "a check was not configured, and strict mode requires every check",
		"In strict mode, a check that is not configured counts as failed, so that a script does not succeed by accident.",
		"Configure the expected value, for example the audience.",
	},
}

// tokenWarnings is about tokens that are valid but unwise.
var tokenWarnings = []Entry{
	{
		PersonalData, Advice, "the payload contains personal data that anyone can read",
		"A JWT is encoded, not encrypted. Every API, proxy and log that receives it can read the e-mail address, phone number or name.",
		"Remove personal data from access tokens. An API that needs it can call the userinfo endpoint.",
	},
	{
		SecretInToken, Advice, "the payload seems to contain a secret that anyone can read",
		"A claim looks like a password, key or card number, or has the name of one. A JWT is encoded, not encrypted.",
		"Change the secret, and configure the issuer not to send it.",
	},
	{
		LongLived, Advice, "the token is valid for more than a day",
		"A leaked access token can be used until it expires. Lifetimes of 5 to 15 minutes, with a refresh token, are usual (RFC 6750, section 5.3).",
		"Shorten the lifetime of access tokens at the authorization server.",
	},
	{
		TypUnknown, Advice, "the typ header is not a known type",
		"Some vendors define their own types. The token is treated as an access token unless an expected type is configured.",
		"If only one type is acceptable, configure it.",
	},
	{
		BoundToken, Advice, "the token is bound to a key, so it is valid only with a proof of that key",
		"The cnf claim binds the token to a key (RFC 9449, section 6) or a certificate (RFC 8705, section 3) of the client. The proof was not checked; an API rejects the token if it is sent without one.",
		"Send the token with the DPoP scheme and a proof, or over a TLS connection with the client's certificate.",
	},
}
