package diagnosis

// tokenRequests is about requests that carry a token, and their DPoP proofs.
var tokenRequests = []Entry{
	{
		DPoPMissing, Rejected, "the request has no DPoP proof",
		"A token that is bound to a key is valid only with a DPoP header that has a proof signed by this key (RFC 9449, section 4.3).",
		"Send the token with a proof signed by the key that was used at login.",
	},
	{
		DPoPInvalid, Rejected, "the DPoP proof is not valid for this request",
		"One of its values is wrong: typ, alg, the key, the signature, htm, htu, iat or ath (RFC 9449, section 4.3).",
		"Create a new proof for each request, with its method and URL. If iat is wrong, compare the clocks.",
	},
	{
		DPoPKey, Rejected, "the token is bound to another key than the proof's",
		"The token's cnf.jkt is not the thumbprint of the key that signed the proof, so the token may have been stolen (RFC 9449, section 6.1).",
		"Use the key that was used at login. If it is lost, log in again.",
	},
	{
		DPoPNonce, Rejected, "the DPoP proof lacks the nonce that the server requires",
		"The server sends a nonce in the DPoP-Nonce header, and the next proof must contain it (RFC 9449, sections 8 and 9).",
		"Repeat the request with that nonce in the proof.",
	},
	{
		DPoPReplayed, Rejected, "the DPoP proof was used before",
		"A proof can be used only once, and its jti was already seen (RFC 9449, section 11.1).",
		"Create a new proof for each request. If the client does so, the proof may have been copied.",
	},
	{
		APIUnauthorized, Rejected, "the API does not accept the token",
		"The API returned 401 without a reason that corresponds to a more precise diagnosis.",
		"Verify the token, and compare its issuer and audience with those that the API expects.",
	},
	{
		CredentialsMissing, Rejected, "the request has no access token",
		"The API returns 401 with a challenge and without an error code, because the request has no token (RFC 6750, section 3.1).",
		"Send an Authorization header with Bearer and an access token.",
	},
	{
		CredentialsInvalid, Usage, "the request sends its token in a way that is not allowed",
		"The request has several Authorization headers, a token in the query, or a header in another form (RFC 6750, section 2). The API returns 400.",
		"Send one Authorization header with Bearer and the token.",
	},
	{
		PathAmbiguous, Usage, "the path can be interpreted in more than one way",
		"Servers interpret dot segments, double or encoded slashes, backslashes and similar characters differently, so the API could serve a path other than the one that was checked (RFC 3986, section 6.2.2). The API returns 400.",
		"Send the path in its normalized form.",
	},
}

// permissions is about what a valid token allows.
var permissions = []Entry{
	{
		ScopeMissing, Denied, "the token lacks a scope that the operation needs",
		"The token is valid, but this scope was not granted (RFC 6750, section 3.1). Refreshing the token does not add scopes; the user has to consent.",
		"Log in again and request the scope. If it is still missing, the authorization server does not grant it to this user or client.",
	},
	{
		ScopeClaimName, Denied, "the scope is in another claim than scope or scp",
		"Claims such as permissions and roles may contain more than was granted to this client, so they count only if they are configured.",
		"To use the claim, list it in scope_claims.",
	},
	{
		ScopeForm, Denied, "the token has the scope in another form",
		"Scopes are compared as strings (RFC 6749, section 3.3). Some servers separate them with commas, or add a prefix: the identifier of the resource server (Amazon Cognito, Microsoft Entra ID) or SCOPE_ (Spring). A new login does not change that.",
		"Require the scope in the form that the authorization server uses.",
	},
	{
		ClaimMismatch, Denied, "a claim does not have the value that the operation needs",
		"The policy allows the operation only for tokens with this value.",
		"Use a token of the right tenant, group or client, or correct the policy.",
	},
	{
		DetailsMissing, Denied, "the token's authorization_details do not include what the operation needs",
		"The policy allows the operation only for tokens in which one element of authorization_details has this type and all of these members (RFC 9396, section 9.1).",
		"Log in again and request these authorization_details, or correct the policy.",
	},
	{
		OperationUnlisted, Denied, "the policy does not list this operation",
		"An operation that matches no route of the policy is denied.",
		"Add a route with its scopes to the policy.",
	},
	{
		StepUpRequired, Denied, "the operation needs a stronger or more recent login",
		"The API returned insufficient_user_authentication (RFC 9470, section 3). It would refuse a refreshed token too.",
		"Log in again with the acr_values or max_age of the challenge.",
	},
	{
		APIForbidden, Denied, "the API does not allow this",
		"The API returned 403 and did not say which scope is missing.",
		"Ask the owner of the API which permission is missing.",
	},
	{
		APIError, API, "the API answered with an error",
		"The error is not about the token. The response body, which is printed, describes it.",
		"Read the response body.",
	},
	{
		RedirectNotFollowed, API, "the API answered with a redirect, which was not followed",
		"A redirect is not followed if the request changes data, if it leads to another origin, or if its address is not usable. The API has probably not carried out the request. The usual causes are an expired web session and a missing or extra slash in the path.",
		"Check the address of the redirect, and send the request to the right URL.",
	},
}

// requests is about requests to an authorization server, and URLs.
var requests = []Entry{
	{
		MetadataNotFound, Usage, "no OAuth metadata was found at this URL",
		"The URL serves neither the metadata of an API (RFC 9728, section 3) nor of an authorization server (RFC 8414, section 3; OpenID Connect Discovery, section 4).",
		"Use the exact URL of the issuer or the API.",
	},
	{
		NoRegistrationPath, Usage, "no client id is configured and the server does not support registration",
		"The server has no registration endpoint (RFC 7591), so a client must be created in its console.",
		"Create a native or desktop client there, and configure its client id.",
	},
	{
		DCRRefused, Usage, "the server refused to register a client",
		"The server has a registration endpoint, but it does not allow this request (RFC 7591, section 3.2.2).",
		"Create a client in the server's console, and configure its client id.",
	},
	{
		ClientRefused, Usage, "the authorization server does not accept the client",
		"The error is invalid_client or unauthorized_client: the client id is unknown, its authentication failed, or it may not use this grant (RFC 6749, section 5.2).",
		"Compare the client id, the secret and the authentication method with the client's settings at the server.",
	},
	{
		ScopeRefused, Usage, "the authorization server does not accept a scope",
		"The error is invalid_scope: the scope is unknown, malformed, or not allowed for this client (RFC 6749, section 5.2).",
		"Request only scopes that the server offers. Its metadata may list them.",
	},
	{
		ResourceRefused, Usage, "the authorization server does not know the resource",
		"The error is invalid_target: the server issues no tokens for this resource or audience (RFC 8707, section 2).",
		"Correct the resource, or omit it.",
	},
	{
		RequestRefused, Usage, "the authorization server does not accept the request",
		"The error is invalid_request, unsupported_grant_type or similar, so repeating the same request does not help (RFC 6749, section 5.2).",
		"See the server's error description.",
	},
	{
		TrustUnknown, Usage, "no trusted issuer is configured",
		"No issuer, key or key set is configured. The issuer in a token is never trusted or contacted by default, because anyone can create a token.",
		"Configure an issuer, a key set, a key or a secret.",
	},
	{
		OriginRefused, Usage, "the URL is not on the profile's API, so the token is not sent",
		"A token is sent only to the scheme, host and port of its API. Nothing was sent.",
		"Use a path of the API, or allow this origin if it may receive the token.",
	},
	{
		ProxyInvalid, Usage, "a proxy variable is not valid",
		"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not the URL of a proxy. Nothing was sent, because a direct connection could bypass a required proxy.",
		"Correct the variable, for example http://proxy.example.com:3128, or unset it. NO_PROXY lists hosts to connect to directly.",
	},
	{
		InsecureURL, Usage, "the URL is not https",
		"Plain http is allowed only for loopback addresses, because anyone on the network can read and change it.",
		"Use https.",
	},
	{
		ClientIncomplete, Usage, "the client lacks a setting that this request needs",
		"A client needs an id, and a redirect URI for a login in the browser. client_secret_basic, client_secret_post and client_secret_jwt also need a secret; private_key_jwt needs a signing key or an assertion.",
		"Configure the client id, and the secret or signing key for its authentication method.",
	},
	{
		EndpointMissing, Usage, "the authorization server does not have this endpoint",
		"The server's metadata does not list the endpoint, or there is no metadata and the profile does not set it.",
		"If the server has the endpoint, configure it: authorization_endpoint, token_endpoint or device_authorization_endpoint in the profile.",
	},
	{
		ParamReserved, Usage, "the parameter cannot be overridden",
		"state, nonce, code_challenge and similar parameters protect the login and cannot be overridden.",
		"Remove the parameter. scope, audience, resource, prompt, login_hint, max_age and acr_values have options of their own.",
	},
}
