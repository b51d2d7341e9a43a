package diagnosis

// The ids. The table below says what each one means.
const (
	Malformed           ID = "MALFORMED"
	TokenMissing        ID = "TOKEN_MISSING"
	TokenTooLarge       ID = "TOKEN_TOO_LARGE"
	TokenEncrypted      ID = "TOKEN_ENCRYPTED"
	FormatUnsupported   ID = "FORMAT_UNSUPPORTED"
	OpaqueToken         ID = "OPAQUE_TOKEN"
	OpaqueAuth0         ID = "OPAQUE_AUTH0"
	OpaqueGoogle        ID = "OPAQUE_GOOGLE"
	OpaqueGitHub        ID = "OPAQUE_GITHUB"
	HeaderInvalid       ID = "HEADER_INVALID"
	PayloadInvalid      ID = "PAYLOAD_INVALID"
	DuplicateMember     ID = "DUPLICATE_MEMBER"
	MemberCase          ID = "MEMBER_CASE"
	CritUnsupported     ID = "CRIT_UNSUPPORTED"
	AlgNone             ID = "ALG_NONE"
	AlgNotAllowed       ID = "ALG_NOT_ALLOWED"
	AlgMismatch         ID = "ALG_MISMATCH"
	HSTokenNoSecret     ID = "HS_TOKEN_NO_SECRET"
	KeyUnknown          ID = "KID_UNKNOWN"
	KeySetEmpty         ID = "KEY_SET_EMPTY"
	KeyRefused          ID = "KEY_REFUSED"
	KeyROCA             ID = "KEY_ROCA"
	KeyCertificate      ID = "KEY_CERTIFICATE"
	KeyChanged          ID = "KID_SAME_KEY_CHANGED"
	SignatureInvalid    ID = "SIGNATURE_INVALID"
	Expired             ID = "EXPIRED"
	ExpiryMissing       ID = "EXP_MISSING"
	NotYetValid         ID = "NOT_YET_VALID"
	ClockSkew           ID = "CLOCK_SKEW"
	IssuedInFuture      ID = "IAT_IN_FUTURE"
	TimeInvalid         ID = "TIME_INVALID"
	TimeInMilliseconds  ID = "TIME_IN_MS"
	IssuerMissing       ID = "ISS_MISSING"
	IssuerMismatch      ID = "ISS_MISMATCH"
	IssuerSlash         ID = "ISS_SLASH"
	IssuerHost          ID = "ISS_HOST"
	AudienceMissing     ID = "AUD_MISSING"
	AudienceMismatch    ID = "AUD_MISMATCH"
	AudienceInvalid     ID = "AUD_INVALID"
	AudienceSlash       ID = "AUD_SLASH"
	TypeRefused         ID = "TYP_REFUSED"
	IDTokenAsAccess     ID = "ID_TOKEN_AS_ACCESS"
	ClaimMissing        ID = "CLAIM_MISSING"
	ClaimInvalid        ID = "CLAIM_INVALID"
	Revoked             ID = "REVOKED"
	TokenBound          ID = "TOKEN_BOUND"
	PersonalData        ID = "PERSONAL_DATA"
	SecretInToken       ID = "SECRET_IN_TOKEN"
	LongLived           ID = "LONG_LIVED"
	TypeUnknown         ID = "TYP_UNKNOWN"
	TokenIsBound        ID = "BOUND_TOKEN"
	EntraV1Token        ID = "ENTRA_V1_TOKEN"
	EntraV2Token        ID = "ENTRA_V2_TOKEN"
	EntraTemplate       ID = "ENTRA_TENANT_ISSUER"
	EntraGraphToken     ID = "ENTRA_GRAPH_TOKEN"
	EntraAudienceForm   ID = "ENTRA_AUD_FORM"
	KeycloakAudience    ID = "KC_AUD_ACCOUNT"
	CognitoNoAudience   ID = "COGNITO_NO_AUD"
	OktaOrgServer       ID = "OKTA_ORG_AS"
	NotChecked          ID = "NOT_CHECKED"
	DPoPMissing         ID = "DPOP_MISSING"
	DPoPInvalid         ID = "DPOP_INVALID"
	DPoPKey             ID = "DPOP_KEY"
	DPoPNonce           ID = "DPOP_NONCE"
	DPoPReplayed        ID = "DPOP_REPLAYED"
	APIUnauthorized     ID = "API_UNAUTHORIZED"
	CredentialsMissing  ID = "CREDENTIALS_MISSING"
	CredentialsInvalid  ID = "CREDENTIALS_INVALID"
	PathAmbiguous       ID = "PATH_AMBIGUOUS"
	ScopeMissing        ID = "SCOPE_MISSING"
	ScopeClaimName      ID = "SCOPE_CLAIM_NAME"
	ScopeForm           ID = "SCOPE_FORM"
	ClaimMismatch       ID = "CLAIM_MISMATCH"
	OperationUnlisted   ID = "OPERATION_UNLISTED"
	StepUpRequired      ID = "STEP_UP_REQUIRED"
	APIForbidden        ID = "API_FORBIDDEN"
	APIError            ID = "API_ERROR"
	RedirectNotFollowed ID = "REDIRECT_NOT_FOLLOWED"
	LoginRequired       ID = "LOGIN_REQUIRED"
	LoginTimeout        ID = "LOGIN_TIMEOUT"
	RedirectMismatch    ID = "REDIRECT_MISMATCH"
	NoBrowser           ID = "NO_BROWSER"
	AccessDenied        ID = "ACCESS_DENIED"
	GrantInvalid        ID = "GRANT_INVALID"
	RefreshReused       ID = "REFRESH_REUSED"
	Unreachable         ID = "UNREACHABLE"
	Timeout             ID = "TIMEOUT"
	ResponseTooLarge    ID = "RESPONSE_TOO_LARGE"
	ResponseBroken      ID = "RESPONSE_BROKEN"
	ProxyRefused        ID = "PROXY_REFUSED"
	TLSUntrusted        ID = "TLS_UNTRUSTED"
	TLSMissing          ID = "TLS_MISSING"
	ServerError         ID = "SERVER_ERROR"
	RateLimited         ID = "RATE_LIMITED"
	KeysUnavailable     ID = "KEYS_UNAVAILABLE"
	KeySetInvalid       ID = "KEY_SET_INVALID"
	ReplayUnknown       ID = "REPLAY_UNKNOWN"
	RevocationUnknown   ID = "REVOCATION_UNKNOWN"
	StateMismatch       ID = "STATE_MISMATCH"
	IssuerParam         ID = "ISS_PARAM"
	NonceMismatch       ID = "NONCE_MISMATCH"
	IDTokenInvalid      ID = "ID_TOKEN_INVALID"
	IDTokenMissing      ID = "ID_TOKEN_MISSING"
	SubjectChanged      ID = "SUBJECT_CHANGED"
	DiscoveryMismatch   ID = "ISS_DISCOVERY_MISMATCH"
	MetadataInvalid     ID = "METADATA_INVALID"
	ResourceMismatch    ID = "PRM_RESOURCE_MISMATCH"
	TokenEndpointShape  ID = "TOKEN_ENDPOINT_SHAPE"
	AnswerInvalid       ID = "ANSWER_INVALID"
	RegistrationInvalid ID = "DCR_INVALID"
	RedirectRefused     ID = "REDIRECT_REFUSED"
	InsecureEndpoint    ID = "INSECURE_ENDPOINT"
	EndpointMoved       ID = "ENDPOINT_MOVED"
	DPoPDowngrade       ID = "DPOP_DOWNGRADE"
	PKCEDowngrade       ID = "PKCE_DOWNGRADE"
	MetadataNotFound    ID = "METADATA_NOT_FOUND"
	NoRegistrationPath  ID = "NO_REGISTRATION_PATH"
	RegistrationRefused ID = "DCR_REFUSED"
	ClientRefused       ID = "CLIENT_REFUSED"
	ScopeRefused        ID = "SCOPE_REFUSED"
	ResourceRefused     ID = "RESOURCE_REFUSED"
	RequestRefused      ID = "REQUEST_REFUSED"
	TrustUnknown        ID = "TRUST_UNKNOWN"
	OriginRefused       ID = "ORIGIN_REFUSED"
	InsecureURL         ID = "INSECURE_URL"
	ProxyInvalid        ID = "PROXY_INVALID"
	ClientIncomplete    ID = "CLIENT_INCOMPLETE"
	EndpointMissing     ID = "ENDPOINT_MISSING"
	ParameterReserved   ID = "PARAM_RESERVED"
	StoreLocked         ID = "STORE_LOCKED"
	StoreUnreadable     ID = "STORE_UNREADABLE"
	StoreUnwritable     ID = "STORE_UNWRITABLE"
	StoreInsecure       ID = "STORE_INSECURE"
	StoreUnsealed       ID = "STORE_UNSEALED"
	StoreNoLocks        ID = "STORE_NO_LOCKS"
	KeyringUnavailable  ID = "KEYRING_UNAVAILABLE"

	// What is settled before a login, and what becomes of it.
	ConfigInvalid         ID = "CONFIG_INVALID"
	ConfigInsecure        ID = "CONFIG_INSECURE"
	ConfigUnwritable      ID = "CONFIG_UNWRITABLE"
	ServerUnknown         ID = "SERVER_UNKNOWN"
	CredentialElsewhere   ID = "CREDENTIAL_ELSEWHERE"
	SessionElsewhere      ID = "SESSION_ELSEWHERE"
	RedirectUnusable      ID = "REDIRECT_UNUSABLE"
	PasteRefused          ID = "PASTE_REFUSED"
	CallbackIgnored       ID = "CALLBACK_IGNORED"
	ScopesLeftOut         ID = "SCOPES_LEFT_OUT"
	BrowserFailed         ID = "BROWSER_FAILED"
	PKCENotAnnounced      ID = "PKCE_NOT_ANNOUNCED"
	UserUnknown           ID = "USER_UNKNOWN"
	ScopeNotGranted       ID = "SCOPE_NOT_GRANTED"
	AudienceNotGranted    ID = "AUDIENCE_NOT_GRANTED"
	ResourceNotSent       ID = "RESOURCE_NOT_SENT"
	NoRefreshToken        ID = "NO_REFRESH_TOKEN"
	RefreshRefused        ID = "REFRESH_REFUSED"
	ClientForgotten       ID = "CLIENT_FORGOTTEN"
	NotRevoked            ID = "NOT_REVOKED"
	RevocationUnsupported ID = "REVOCATION_UNSUPPORTED"
	RightTokenRefused     ID = "RIGHT_TOKEN_REFUSED"
	NoTokenAccepted       ID = "NO_TOKEN_ACCEPTED"
	TokenInQuery          ID = "TOKEN_IN_QUERY"
	SchemeIgnored         ID = "SCHEME_IGNORED"
	RouteOpen             ID = "ROUTE_OPEN"
	KeyOldAccepted        ID = "KEY_OLD_ACCEPTED"
	KeyNewRefused         ID = "KEY_NEW_REFUSED"
	PublicRefused         ID = "PUBLIC_REFUSED"
	RefusalStatus         ID = "REFUSAL_STATUS"
	ChallengeMissing      ID = "CHALLENGE_MISSING"
	ChallengeInvalid      ID = "CHALLENGE_INVALID"
	RefusalServerError    ID = "REFUSAL_5XX"
	RefusalLeaks          ID = "REFUSAL_LEAKS"
	RefusalIs200          ID = "REFUSAL_IS_200"

	// What keeps programs of particular kinds from an API.
	CORSMissing      ID = "CORS_MISSING"
	TransportInvalid ID = "TRANSPORT_INVALID"
	OriginAccepted   ID = "ORIGIN_ACCEPTED"
)

// catalogue has one row per id, in the order in which a token's life meets them.
var catalogue = []Entry{
	// The token as a string.
	{
		Malformed, Rejected, "the token is not a JWT in compact form",
		"A JWT is three base64url parts without padding, joined by dots: header, payload, signature (RFC 7515, section 7.1). White space, padding, another alphabet or stray bits make it another string, and what one reader repairs the next one refuses.",
		"Pass the token exactly as the authorization server gave it, without quotes, line breaks or the word Bearer.",
	},
	{
		TokenMissing, Rejected, "there is no token",
		"The token given is an empty string: often an unset variable in a script, or a command that printed nothing.",
		"Look at what produced the token: a command that failed prints nothing.",
	},
	{
		TokenTooLarge, Rejected, "the token is larger than any token has a reason to be",
		"Tokens are limited to 64 KiB and their headers to 8 KiB, so that a request cannot make a verifier work for nothing.",
		"Ask the authorization server for fewer claims; group lists are the usual cause.",
	},
	{
		TokenEncrypted, Rejected, "the token is encrypted (JWE) and not supported",
		"Five parts are an encrypted token (RFC 7516). Only who holds the decryption key can read it, so no public key verifies it.",
		"Have the authorization server issue signed JWT access tokens for this API; often that only needs the API's audience in the request.",
	},
	{
		FormatUnsupported, Rejected, "the token has a format that is not supported",
		"SD-JWT (RFC 9901), JWS and JWE in their JSON forms and PASETO are formats of their own, which this verifier of JWT access tokens does not read.",
		"Have the authorization server issue JWT access tokens in compact form for this API.",
	},
	{
		OpaqueToken, Rejected, "the token is opaque, not a JWT",
		"The string has no JWT structure. Only the server that issued it knows what it means.",
		"Ask its introspection endpoint (RFC 7662), or switch the authorization server to JWT access tokens for this API.",
	},
	{
		OpaqueAuth0, Rejected, "the token is one that Auth0 encrypts for its own userinfo endpoint",
		"Auth0 gives an encrypted token (alg dir, enc A256GCM) when no API was asked for.",
		"Send the API identifier as audience in the authorization request, or set the tenant's default audience.",
	},
	{
		OpaqueGoogle, Rejected, "the token is an opaque Google access token",
		"Google access tokens (ya29.…) are never JWTs and are meant for Google's own APIs.",
		"Use Google's tokeninfo endpoint for Google APIs; for your own API use the ID token or an authorization server of your own.",
	},
	{
		OpaqueGitHub, Rejected, "the token is an opaque GitHub token",
		"GitHub tokens (gho_, ghu_, ghs_, ghp_, github_pat_) cannot be verified offline, not even those that contain dots.",
		"Ask GitHub's API who the token belongs to; for your own API use another authorization server, in Actions the workflow's ID token.",
	},

	// Header and payload.
	{
		HeaderInvalid, Rejected, "the token's header cannot be read",
		"The header must be one JSON object whose alg, kid and typ are strings (RFC 7515, section 4).",
		"The issuer has to fix this.",
	},
	{
		PayloadInvalid, Rejected, "the token's payload is not one JSON object",
		"The claims must be one UTF-8 JSON object with nothing after it, nested 32 levels at most (RFC 7519, section 7.2).",
		"The issuer has to fix this.",
	},
	{
		DuplicateMember, Rejected, "a member name stands twice in the token's JSON",
		"Two readers of {\"sub\":\"a\",\"sub\":\"b\"} see two different people; RFC 7519, section 4, lets a verifier refuse it, and this one does.",
		"The issuer has to fix this. A token like this may be an attack.",
	},
	{
		MemberCase, Rejected, "a registered name is written in another letter case",
		"Names are case-sensitive: ISS or Exp is not iss or exp, but some libraries read it as such and so decide on the wrong value.",
		"The issuer has to use the registered spelling. A token like this may be an attack.",
	},
	{
		CritUnsupported, Rejected, "the header demands an extension that is not supported",
		"A crit member lists extensions that a verifier must understand or refuse the token (RFC 7515, section 4.1.11); b64=false (RFC 7797) is one of them.",
		"Have the issuer leave the extension out.",
	},

	// Algorithm and key.
	{
		AlgNone, Rejected, "the token is not signed (alg none)",
		"Anybody can write such a token. The name is refused in every letter case.",
		"Configure the issuer to sign; if it does, somebody tampered with the token.",
	},
	{
		AlgNotAllowed, Rejected, "the token's algorithm is not allowed here",
		"The algorithm is known but not on the list of what this verifier accepts.",
		"If the algorithm is meant to be used, allow it, for instance in the policy's algorithms.",
	},
	{
		AlgMismatch, Rejected, "the token's algorithm does not fit the key",
		"The key of that kid is of another type or curve, or its own alg names another algorithm. Mixing them is how signatures are forged (RFC 8725, section 3.1).",
		"Compare the token's alg with the key's kty, crv and alg; the issuer's configuration has to agree with itself.",
	},
	{
		HSTokenNoSecret, Rejected, "the token is signed with a shared secret, and public keys were given",
		"HS256, HS384 and HS512 need the secret itself. A key set published by URL never makes such a token good: anybody could sign with it.",
		"Verify with the shared secret, or let the issuer sign with RS256, ES256 or EdDSA (Auth0: the API's signing algorithm; Supabase: asymmetric JWT keys).",
	},
	{
		KeyUnknown, Rejected, "the token's kid is not in the key set",
		"The token's kid is not in the issuer's key set, even after it was fetched again. Either the token is from another issuer, or the keys were rotated and the key set is old.",
		"Compare the token's iss with the configured issuer, and its kid with the kids of the key set.",
	},
	{
		KeySetEmpty, Rejected, "the key set holds no key that can verify a signature",
		"The set was read, but it is empty, or each key in it is for encryption, malformed or too weak.",
		"The issuer has to publish its signing key; each skipped key has its reason.",
	},
	{
		KeyRefused, Rejected, "the key cannot be used to verify signatures",
		"It is not meant for signatures (use=enc, key_ops without verify), too weak (RSA below 2048 bits, an exponent of one or an even one, a secret shorter than the hash), or malformed (a point off its curve, a member twice, base64url with padding).",
		"Use a key that is meant for signatures, large enough and well formed; the reason follows the sentence.",
	},
	{
		KeyROCA, Advice, "the RSA key can be factored (ROCA)",
		"The modulus has the form that a faulty library gave its keys (CVE-2017-15361: smart cards, TPMs and YubiKeys made before 2018). Its private key can be computed from it.",
		"Replace the key by one that was generated elsewhere.",
	},
	{
		KeyCertificate, Advice, "the certificate in x5c belongs to another key",
		"RFC 7517, section 4.7: the first certificate in x5c holds the key itself. Some readers use the certificate and others use n and e or x and y, so they verify with different keys.",
		"The issuer has to publish the key and its certificate together, or leave x5c out.",
	},
	{
		KeyChanged, Rejected, "the key set now holds another key under the same kid",
		"The kid was found, but the signature fails and the issuer has since published a different key of that name.",
		"Get a new token. The issuer should give each new key a new kid.",
	},
	{
		SignatureInvalid, Rejected, "the signature does not match",
		"The header or payload was changed after signing, or another key signed it. Nothing the token says can be believed.",
		"Get the token again from its source; if it keeps failing, compare iss and kid with the issuer's key set.",
	},

	// Claims.
	{
		Expired, Rejected, "the token has expired",
		"The time in exp has passed (RFC 7519, section 4.1.4).",
		"Get a new token: refresh it, or log in again when the session has ended too.",
	},
	{
		ExpiryMissing, Rejected, "the token has no expiry",
		"Without exp a stolen token is good forever; RFC 9068 requires it.",
		"The issuer has to set exp.",
	},
	{
		NotYetValid, Rejected, "the token is not valid yet",
		"The time in nbf lies ahead by more than the leeway (RFC 7519, section 4.1.5).",
		"Wait, or compare the clocks of this machine and of the issuer; a leeway allows for a difference.",
	},
	{
		ClockSkew, Rejected, "the token's times lie slightly ahead: two clocks disagree",
		"iat or nbf is in the future by five minutes or less, which is nearly always a clock that is off, not an attack.",
		"Synchronise the clock that is off (NTP); a leeway allows for a known difference.",
	},
	{
		IssuedInFuture, Rejected, "the token claims to be issued in the future",
		"The time in iat lies ahead by more than the leeway (RFC 7519, section 4.1.6).",
		"Compare the clocks of this machine and of the issuer.",
	},
	{
		TimeInvalid, Rejected, "a time in the token is not a sensible number",
		"exp, nbf and iat are numbers of seconds since 1970 (RFC 7519, section 2); text, null, zero and negative numbers are refused.",
		"The issuer has to write NumericDate values.",
	},
	{
		TimeInMilliseconds, Rejected, "a time in the token is in milliseconds, not seconds",
		"The number would be a date thousands of years ahead; JavaScript's Date.now() without a division by 1000 is the usual cause.",
		"The issuer has to divide by 1000.",
	},
	{
		IssuerMissing, Rejected, "the token does not name its issuer",
		"There is no iss claim, so nothing says whose keys may sign it.",
		"The issuer has to set iss; RFC 9068 requires it.",
	},
	{
		IssuerMismatch, Rejected, "the token is from another issuer",
		"The iss claim must equal the configured issuer, character for character (RFC 8725, section 3.8).",
		"If the token's issuer is the right one, configure it; if not, find out who sends these tokens.",
	},
	{
		IssuerSlash, Rejected, "the issuers differ by one slash at the end",
		"Issuers are compared as strings. Auth0 and Authentik end theirs with a slash, most others do not.",
		"Copy the issuer from the server's metadata, unchanged.",
	},
	{
		IssuerHost, Rejected, "the issuers differ only in scheme, host or port",
		"The server derives its issuer from the address it was called by: localhost in the browser, another name inside the containers.",
		"Fix the server's public address (Keycloak: KC_HOSTNAME with hostname-backchannel-dynamic=true) and use it everywhere.",
	},
	{
		AudienceMissing, Rejected, "the token names no audience",
		"Without aud a token for any API is good for every API of the issuer (RFC 8725, section 3.9).",
		"Request the token for the API (its audience or resource); in Keycloak add an Audience mapper; Cognito has no aud: require client_id instead.",
	},
	{
		AudienceMismatch, Rejected, "the token is for another audience",
		"None of the values in aud equals an expected one. The token was issued for another API.",
		"Request a token for this API, or configure the audience that the issuer really uses.",
	},
	{
		AudienceSlash, Rejected, "the audiences differ by one slash at the end",
		"Audiences are compared as strings (RFC 7519, section 4.1.3). A resource indicator and the URL of an API often differ by this slash.",
		"Configure the audience exactly as the issuer writes it, or have the issuer change it.",
	},
	{
		AudienceInvalid, Rejected, "the audience is neither a string nor a list of strings",
		"RFC 7519, section 4.1.3, allows a string or an array of strings; a reader that guesses decides on something else.",
		"The issuer has to mend this.",
	},
	{
		TypeRefused, Rejected, "this kind of token is not an access token",
		"The typ header names another kind of JWT, such as a DPoP proof or a logout token, signed with the same keys but for another purpose (RFC 8725, section 3.11).",
		"Send the access token.",
	},
	{
		IDTokenAsAccess, Rejected, "this is an ID token, not an access token",
		"An ID token tells a client who logged in; its audience is that client. An API that accepts it can be called with tokens from any other application's login. The access tokens of some servers (Dex) have the form of ID tokens.",
		"Send the access_token of the same response. If there is none for this API, request its audience and scopes. If this issuer's access tokens have the form of ID tokens, accept the kind id_token.",
	},
	{
		ClaimMissing, Rejected, "a required claim is missing",
		"The configuration requires a claim that the token does not hold, or holds empty.",
		"Have the issuer add the claim, or do not require it.",
	},
	{
		ClaimInvalid, Rejected, "a claim has the wrong type",
		"A registered claim holds something its definition does not allow.",
		"The issuer has to mend this.",
	},
	{
		Revoked, Rejected, "the token was revoked",
		"It is well formed and in date, but somebody ended it before its time.",
		"Log in again.",
	},
	{
		TokenBound, Rejected, "the token is bound to a key and was sent without proof of it",
		"A cnf claim ties the token to a client's key (RFC 9449, RFC 8705); as a plain bearer token it may be stolen.",
		"Send it with the DPoP scheme and a proof, or over the client's TLS certificate.",
	},
	{
		NotChecked, Rejected, "a check was not configured, and strict mode requires every check",
		"In strict mode a check that was not configured counts as failed, so that a script cannot pass by accident.",
		"Configure what is expected, for instance the audience.",
	},
	{
		DPoPMissing, Rejected, "the request has no proof of possession",
		"A token bound to a key is good only together with one DPoP header field that holds a proof signed by that key (RFC 9449, section 4.3).",
		"Send the token with a proof signed by the key of the login.",
	},
	{
		DPoPInvalid, Rejected, "the proof of possession is not good for this request",
		"Its type, algorithm, key, signature, htm, htu, iat or ath is not as RFC 9449, section 4.3, demands.",
		"Make a new proof for each request, with its own method and URL; compare the clocks if iat is at fault.",
	},
	{
		DPoPKey, Rejected, "the token is bound to another key than the proof's",
		"The token's cnf.jkt is not the thumbprint of the key that signed the proof, so who sends the token may not be who got it (RFC 9449, section 6.1).",
		"Use the key of the login; if it is lost, log in again.",
	},
	{
		DPoPNonce, Rejected, "the proof lacks the nonce that the server demands",
		"The server names a nonce in the DPoP-Nonce field that the next proof has to hold (RFC 9449, sections 8 and 9).",
		"Send the request again with that nonce.",
	},
	{
		DPoPReplayed, Rejected, "the proof of possession was used before",
		"Each proof is good once; its jti was seen within the time in which it counts (RFC 9449, section 11.1).",
		"Make a new proof for each request. If the client does, somebody copied one.",
	},
	{
		APIUnauthorized, Rejected, "the API does not accept the token",
		"The API answered 401 and gave no reason that maps to a more precise diagnosis.",
		"Verify the token, and compare its issuer and audience with what the API expects.",
	},
	{
		CredentialsMissing, Rejected, "the request carries no access token",
		"The API answers 401 with a challenge and no error code, because nothing was wrong with a token: there was none (RFC 6750, section 3.1).",
		"Send Authorization: Bearer with an access token.",
	},
	{
		CredentialsInvalid, Usage, "the request carries its token in a way that is not allowed",
		"There are several Authorization headers, a token in the query, or a header of another form (RFC 6750, section 2). The API answers 400.",
		"Send one header: Authorization: Bearer and the token.",
	},
	{
		PathAmbiguous, Usage, "the path can be read in more than one way",
		"Dot segments, doubled or encoded slashes, backslashes and the like are read as one path by one server and as another by the next, so that what was judged is not what is served. The API answers 400.",
		"Send the path in its plain form.",
	},

	// What decode warns of.
	{
		PersonalData, Advice, "the payload holds personal data that anybody can read",
		"A JWT is encoded, not encrypted. Every API, proxy and log on its way sees the e-mail address, phone number or name in it.",
		"Leave it out of access tokens; an API that needs it can ask the userinfo endpoint.",
	},
	{
		SecretInToken, Advice, "the payload seems to hold a secret that anybody can read",
		"A claim is named like a password, key or card number, or looks like one. A JWT is encoded, not encrypted.",
		"Change the secret, and have the issuer leave it out.",
	},
	{
		LongLived, Advice, "the token lives longer than a day",
		"An access token that leaks is good until it expires; 5 to 15 minutes with a refresh token is the usual lifetime.",
		"Shorten the access token's lifetime at the authorization server.",
	},
	{
		TypeUnknown, Advice, "the typ header names a kind of token that is not known",
		"Vendors have types of their own. It is accepted as an access token unless the expected type is configured.",
		"Configure the expected type if it has to be exact.",
	},

	{
		TokenIsBound, Advice, "the token is bound to a key, so it is valid only with a proof of that key",
		"A cnf claim ties it to a client's key (RFC 9449) or certificate (RFC 8705). Verifying it says nothing of the proof; an API refuses it as a plain bearer token.",
		"Send it with the DPoP scheme and a proof, or over the client's TLS certificate.",
	},

	// Cases of particular providers.
	{
		EntraV1Token, Rejected, "the token is of version 1 and the issuer that of version 2",
		"Microsoft Entra ID issues tokens of version 1 for an API until the API's registration asks for version 2; their issuers differ (sts.windows.net, login.microsoftonline.com).",
		"Set api.requestedAccessTokenVersion to 2 in the manifest of the API's registration, not the client's, and get a new token; or configure the issuer of version 1.",
	},
	{
		EntraV2Token, Rejected, "the token is of version 2 and the issuer that of version 1",
		"Microsoft Entra ID issues the version that the API's registration asks for; the issuers of the versions differ (login.microsoftonline.com, sts.windows.net).",
		"Configure the issuer of version 2, https://login.microsoftonline.com/TENANT-ID/v2.0.",
	},
	{
		EntraTemplate, Rejected, "the configured issuer is for every tenant, and the token is from one",
		"The metadata of /common, /organizations and /consumers has no issuer of its own: each token names the tenant that issued it (Microsoft Entra ID).",
		"Configure the issuer of each tenant that you accept, https://login.microsoftonline.com/TENANT-ID/v2.0.",
	},
	{
		EntraGraphToken, Rejected, "the token is for Microsoft's own APIs, and only they can verify it",
		"Tokens for Microsoft Graph, Azure and Outlook have a nonce in the header; the text that was signed is another one, so no one else can check the signature.",
		"Request a scope of your own API, for instance api://ID/.default, instead of one of Graph's.",
	},
	{
		EntraAudienceForm, Rejected, "the audience is the same application in another form",
		"Microsoft Entra ID names an API by its GUID or by its application ID URI, api://GUID, as the token's version has it.",
		"Expect both forms: list both as audiences.",
	},
	{
		KeycloakAudience, Rejected, "Keycloak named no audience for this API",
		"Without an audience mapper a Keycloak access token is for account, or for nobody. Accepting account would accept every token of the realm.",
		"Add an Audience mapper for this API to a client scope of the client, or use resource indicators where the server has them.",
	},
	{
		CognitoNoAudience, Rejected, "Amazon Cognito's access tokens name no audience",
		"They have client_id instead. The ID token has an audience, but is not for APIs.",
		"Accept no audience only together with the client_id: audience none and a rule for client_id in the policy; and require the resource server's scopes.",
	},
	{
		OktaOrgServer, Rejected, "the token is from Okta's own authorization server, which is for Okta only",
		"Access tokens of an organisation's server (an issuer without a path) are meant for Okta's APIs and cannot be verified by others.",
		"Use a custom authorization server, such as https://ORG.okta.com/oauth2/default, and its audience.",
	},

	// What the token allows.
	{
		ScopeMissing, Denied, "the token lacks a scope that the operation needs",
		"The token is good, but was not granted this. A refresh does not add scopes; somebody has to consent.",
		"Request the scope in a new login. If it is still not granted, the authorization server does not grant it to this user or client.",
	},
	{
		ScopeClaimName, Denied, "the scope is in another claim than scope or scp",
		"permissions, roles and the like may hold more than was granted to this client, so they count only when named.",
		"If that claim is meant, list it in scope_claims.",
	},
	{
		ScopeForm, Denied, "the token has the scope in another form",
		"Scopes are compared as strings. Some servers separate them with commas, or write them with a prefix: the resource server's identifier (Amazon Cognito, Microsoft Entra ID) or SCOPE_ (Spring). A new login does not change that.",
		"Require the scope in the form in which the authorization server writes it.",
	},
	{
		ClaimMismatch, Denied, "a claim does not have the value that the operation needs",
		"The operation is open only to tokens with that claim.",
		"Use a token of the right tenant, group or client, or correct the policy.",
	},
	{
		OperationUnlisted, Denied, "the policy does not list this operation",
		"What no route of the policy matches is denied.",
		"Add the route to the policy, with the scopes it needs.",
	},
	{
		StepUpRequired, Denied, "the operation needs a stronger or fresher login",
		"The API answered insufficient_user_authentication (RFC 9470): a renewed token would be refused alike.",
		"Log in again as the challenge asks, with its acr_values or max_age.",
	},
	{
		APIForbidden, Denied, "the API does not allow this",
		"The API answered 403 without naming a missing scope.",
		"The API's owner knows which right is missing.",
	},
	{
		APIError, API, "the API answered with an error",
		"It is none of those that concern the token. The body, which is printed, says more.",
		"Read the body of the response.",
	},

	// Logging in.
	{
		RedirectNotFollowed, API, "the API answered with a redirect, and the request was not repeated",
		"A redirect of a request that changes something would send it to another address, or as another method, so it is not followed; neither is one to another origin, or one that cannot be followed. Nothing is known to have been done. An expired web session and a missing or extra slash in the path are the usual causes.",
		"Look at the address of the redirect, and send the request to the right one.",
	},
	{
		LoginRequired, LoginNeeded, "there is no usable session",
		"Nobody has logged in with this profile, or the session has ended.",
		"Log in.",
	},
	{
		LoginTimeout, LoginNeeded, "the login was not completed in time",
		"No answer of the authorization server came back to this machine before the time was up.",
		"Log in again, with more time if needed.",
	},
	{
		RedirectMismatch, Usage, "the server shows the user an error page in place of the login",
		"It does not know the client, or the redirect URI is not one that is registered for it. An answer that could not be sent back safely is shown in the browser only, so nothing arrives here.",
		"Register the redirect URI exactly as printed, or log in with the registered one. Many servers accept any port of 127.0.0.1, some only the port that is registered.",
	},
	{
		NoBrowser, LoginNeeded, "a login needs a browser and there is none here",
		"There is no terminal to ask on and no browser may be opened.",
		"Log in where there is a terminal or a browser; in CI use the client_credentials grant.",
	},
	{
		AccessDenied, LoginNeeded, "the user or the authorization server denied the request",
		"The authorization server answered with access_denied or an error of its kind.",
		"Log in again and consent; if the server refuses by rule, its administrator has to allow it.",
	},
	{
		GrantInvalid, LoginNeeded, "the authorization server no longer accepts the grant",
		"invalid_grant: the code or refresh token is expired, revoked, used before, or belongs to another client (RFC 6749, section 5.2).",
		"Log in again.",
	},
	{
		RefreshReused, LoginNeeded, "the refresh token was used by another process first",
		"With rotation each refresh token works once. Somebody else who held a copy of the same session used it.",
		"Run the command again; if it fails again, log in. Do not copy sessions between machines.",
	},

	// The network.
	{
		Unreachable, Unavailable, "the server cannot be reached",
		"No connection came about, or it broke before an answer.",
		"Check the address, the network and the proxy, then run the command again.",
	},
	{
		Timeout, Unavailable, "the server did not answer in time",
		"The limit counts until the response's header and then between bytes.",
		"Try again, with a longer time limit if the server is known to be slow.",
	},
	{
		ResponseTooLarge, Unavailable, "the server's answer is larger than it may be",
		"Metadata, key sets and token responses are bounded, so that no server can fill this machine's memory.",
		"Look at the URL: it probably is not what it should be.",
	},
	{
		ResponseBroken, Unavailable, "the server's answer is incomplete or not HTTP",
		"The server was reached. It closed the connection before the end of its answer, or what it sent is not a valid HTTP response.",
		"Run the command again; if it fails again, look at the server's log, and at any proxy in front of it.",
	},
	{
		ProxyRefused, Unavailable, "the HTTP proxy refused to connect",
		"The proxy that HTTPS_PROXY names answered CONNECT with an error. 407 means that it wants a user name and a password.",
		"Check the proxy's address and credentials in HTTPS_PROXY, or list the host in NO_PROXY.",
	},
	{
		TLSUntrusted, Unavailable, "the server's certificate is not trusted",
		"The certificate is for another name, out of date, or signed by an authority this machine does not know.",
		"Trust the private authority's certificate, if there is one.",
	},
	{
		TLSMissing, Unavailable, "the server does not speak TLS at this address",
		"The URL begins with https, and the server answered the TLS handshake with something else, usually because the port is one for plain HTTP.",
		"Use the server's https port. If the server is on this machine and has none, write http:// in the URL.",
	},
	{
		ServerError, Unavailable, "the authorization server failed",
		"It answered with a server error or says that it is temporarily unavailable.",
		"Try again later; if it lasts, its operator has to look.",
	},
	{
		RateLimited, Unavailable, "the server asks to slow down",
		"It answered 429 or slow_down.",
		"Try again after the time it names.",
	},
	{
		KeysUnavailable, Unavailable, "the issuer's keys are unavailable",
		"The key set could not be fetched and none is stored, so the token could be neither accepted nor refused.",
		"Try again later; ask the issuer's operator if it lasts.",
	},
	{
		KeySetInvalid, Usage, "the key set URL or file does not hold a key set",
		"A key set is a JSON object with an array keys (RFC 7517, section 5). The URL answers with an error that does not go away, or what is there is something else: an HTML page, the server's metadata, a PEM file, a map of certificates.",
		"Use the URL that the issuer's metadata gives as jwks_uri, or the file of a key set.",
	},
	{
		ReplayUnknown, Unavailable, "whether the proof was used before cannot be told now",
		"The store of used proofs is away or full, so nothing is let through.",
		"Try again later; the API's operator has to look at the store.",
	},
	{
		RevocationUnknown, Unavailable, "whether the token was revoked cannot be told now",
		"The store of revoked tokens is away, and the API is set to let nothing pass unchecked.",
		"Try again later; the API's operator has to look at the store.",
	},

	// Answers that break a check.
	{
		StateMismatch, Unsafe, "the response does not belong to this login",
		"The state parameter differs from the one sent, so somebody else began that login (RFC 6749, section 10.12).",
		"Log in again and finish in the browser window that opens.",
	},
	{
		IssuerParam, Unsafe, "the response comes from another authorization server",
		"The iss parameter of the response is not the issuer this login began with, or is missing although the server announces it (RFC 9207). The code was not sent anywhere.",
		"Do not go on. Check the issuer; if it is right, report it to its operator.",
	},
	{
		NonceMismatch, Unsafe, "the ID token belongs to another login",
		"Its nonce is not the one sent (OpenID Connect Core, section 3.1.3.7).",
		"Log in again; if it happens again, the server does not return the nonce.",
	},
	{
		IDTokenInvalid, Unsafe, "the ID token broke a check",
		"Signature, issuer, audience, authorized party, times or hashes are not as OpenID Connect Core, section 3.1.3.7, demands. Nothing was stored.",
		"The authorization server's operator has to look.",
	},
	{
		IDTokenMissing, Unsafe, "the scope openid was asked for and no ID token came",
		"A server that grants openid answers with an ID token (OpenID Connect Core, section 3.1.3.3).",
		"Leave out the scope openid, or fix the server's client registration.",
	},
	{
		SubjectChanged, Unsafe, "the answer is about another user",
		"After a refresh, or from userinfo, iss, sub and aud must be those of the login (OpenID Connect Core, sections 5.3.2 and 12.2).",
		"Log out and log in again; if it happens again, report it to the server's operator.",
	},
	{
		DiscoveryMismatch, Unsafe, "the metadata names another issuer than the one asked",
		"The issuer in the metadata must be identical to the URL it was looked up by (RFC 8414, section 3.3; OpenID Connect Discovery, section 4.3).",
		"If the metadata's issuer is the one meant, log in with exactly that; otherwise do not go on.",
	},
	{
		MetadataInvalid, Unsafe, "the metadata cannot be used",
		"It is no JSON object, lacks what is required, or names an endpoint that is not an https URL.",
		"The server's operator has to fix it.",
	},
	{
		ResourceMismatch, Unsafe, "the protected resource metadata is about another resource",
		"Its resource must be the URL it was looked up by (RFC 9728, section 3.3), otherwise tokens could be gathered for somebody else's API.",
		"The API's owner has to set resource to the API's own URL.",
	},
	{
		TokenEndpointShape, Unsafe, "the token endpoint's answer is not a token response",
		"access_token and token_type are needed, as one JSON object (RFC 6749, section 5.1).",
		"Check the token endpoint in the metadata; some proxies answer with a page of their own.",
	},
	{
		AnswerInvalid, Unsafe, "the server's response cannot be used",
		"The endpoint that is named answered with something other than its specification says: RFC 8628 for device authorization, RFC 9126 for pushed requests, RFC 7662 for introspection, OpenID Connect Core for userinfo.",
		"Check that endpoint in the server's metadata; some proxies answer with a page of their own.",
	},
	{
		RegistrationInvalid, Unsafe, "the answer of the registration endpoint cannot be used",
		"A registration is answered with a JSON object that holds client_id (RFC 7591, section 3.2.1).",
		"Check the registration endpoint in the metadata, or create a client in the server's console and configure its id.",
	},
	{
		RedirectRefused, Unsafe, "the server redirects where no redirect is allowed",
		"A redirect would send the request's secrets to another place.",
		"Use the final address in the configuration, if it is trusted.",
	},
	{
		InsecureEndpoint, Unsafe, "the metadata names an endpoint without TLS",
		"Only a loopback address may be plain http.",
		"The authorization server has to publish https endpoints.",
	},
	{
		EndpointMoved, Unsafe, "an endpoint of the authorization server has moved to another host",
		"The tokens of a session, and its client's secret, are sent only to the hosts that the server named at the login.",
		"If the move is known to be right, log in again to begin a new session.",
	},
	{
		DPoPDowngrade, Unsafe, "the token is not bound to the key as asked",
		"A proof of possession was sent and the answer is a Bearer token, or none was sent and the token is bound (RFC 9449, section 5).",
		"Log in without DPoP if a Bearer token is enough; otherwise the server's operator has to enable DPoP for this client.",
	},
	{
		PKCEDowngrade, Unsafe, "the authorization server does not support PKCE with S256",
		"It announces its methods and S256 is not among them; plain protects nothing (RFC 7636, section 7.2; RFC 9700, section 2.1.1).",
		"The server's operator has to enable S256.",
	},

	// The command and its configuration.
	{
		MetadataNotFound, Usage, "no OAuth metadata was found at this URL",
		"Neither the API (RFC 9728) nor an authorization server (RFC 8414, OpenID Connect Discovery) answers there.",
		"Use the issuer's or the API's exact URL.",
	},
	{
		NoRegistrationPath, Usage, "no client is known and the server registers none by itself",
		"The server has no registration endpoint (RFC 7591), so a client has to be created at its console.",
		"Create a native or desktop client there and configure its id.",
	},
	{
		RegistrationRefused, Usage, "the server refused to register a client",
		"It has a registration endpoint, but its rules do not allow this request.",
		"Create a client in the server's console and configure its id.",
	},
	{
		ClientRefused, Usage, "the authorization server does not accept the client",
		"invalid_client or unauthorized_client: the id is unknown, its authentication failed, or it may not use this grant (RFC 6749, section 5.2).",
		"Check the client id, its secret and its authentication method against the server's registration.",
	},
	{
		ScopeRefused, Usage, "the authorization server does not accept a scope",
		"invalid_scope: unknown, malformed, or more than this client may have (RFC 6749, section 5.2).",
		"Request only scopes that the server offers; its metadata may list them.",
	},
	{
		ResourceRefused, Usage, "the authorization server does not know the resource",
		"invalid_target: it issues no tokens for that resource or audience (RFC 8707, section 2).",
		"Correct the resource, or leave it out.",
	},
	{
		RequestRefused, Usage, "the authorization server does not accept the request",
		"invalid_request, unsupported_grant_type or another error that needs another request.",
		"The server's description tells what it misses.",
	},
	{
		TrustUnknown, Usage, "nothing says whose tokens to trust",
		"No issuer, key or key set was given, and the issuer named in a token is never believed or contacted unasked: anybody can write one.",
		"Configure an issuer, a key set, a key or a secret.",
	},
	{
		OriginRefused, Usage, "the URL is not of the profile's API, so the token is not sent",
		"A token goes only to the scheme, host and port of the API it is for. Nothing was sent.",
		"Use a path of the API, or allow that origin if it may have the token.",
	},
	{
		ProxyInvalid, Usage, "a proxy variable cannot be used",
		"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY holds something other than the URL of a proxy. Nothing was sent: connecting without the proxy could bypass what it is for.",
		"Correct the variable, for instance http://proxy.example.com:3128, or unset it. NO_PROXY lists the hosts to reach directly.",
	},
	{
		InsecureURL, Usage, "the URL is not https",
		"Plain http is allowed for loopback addresses only, since everyone on the way can read and change it.",
		"Use https.",
	},

	{
		ClientIncomplete, Usage, "the client lacks what this request needs",
		"A client needs an id, and a redirect URI for a login in the browser; client_secret_basic, client_secret_post and client_secret_jwt need a secret too, private_key_jwt a signing key or an assertion.",
		"Configure the client id, and the secret or signing key that its authentication method needs.",
	},
	{
		EndpointMissing, Usage, "the authorization server offers no such endpoint",
		"Its metadata does not name the endpoint that this needs, or there is no metadata and the profile does not name it either.",
		"Configure the endpoint if the server has it without announcing it; a profile may hold authorization_endpoint, token_endpoint and device_authorization_endpoint.",
	},
	{
		ParameterReserved, Usage, "the parameter is set by the request itself",
		"state, nonce, code_challenge and their kind protect the login, so an extra parameter never replaces one of them.",
		"Leave the parameter out; scope, audience, resource, prompt, login_hint, max_age and acr_values have flags of their own.",
	},

	// The token store.
	{
		StoreLocked, Store, "another process holds the token store",
		"The lock was waited for as long as is reasonable.",
		"Look for a process that hangs, end it and try again.",
	},
	{
		StoreUnreadable, Store, "the stored session cannot be read",
		"The file is damaged, or was written by another version.",
		"Log in again; that replaces the session.",
	},
	{
		StoreUnwritable, Store, "the session cannot be written",
		"The directory is missing, read-only or full.",
		"Make the state directory writable, or keep sessions in memory only.",
	},
	{
		StoreInsecure, Store, "the stored session is open to other users",
		"It must be a file of yours that only you can read.",
		"Give it mode 0600, its directory 0700, and make both yours; then log in again if others may have read it.",
	},
	{
		StoreUnsealed, Store, "a file of the token store is not sealed",
		"The store `keyring` accepts only files that are sealed with a key in the keychain, and this one is plain. With the store `auto` it was sealed before. It was stored with another setting, copied, or replaced by a process that can write to the state directory.",
		"Log in again, which replaces the session. If you did not change the store or copy the file, find out which process wrote it.",
	},
	{
		StoreNoLocks, Store, "the file system of the state directory has no file locks",
		"Without a lock, two commands can send the same refresh token, and many servers end the session then. Some network file systems (NFS without its lock service, Lustre, FUSE) have none.",
		"Set XDG_STATE_HOME to a directory on another file system, or keep sessions in memory only.",
	},
	{
		KeyringUnavailable, Store, "the system's keychain does not answer",
		"It is absent, locked, or did not answer within 3 seconds.",
		"Unlock it, or keep sessions in files.",
	},

	// What an audit of an API finds.
	{
		RightTokenRefused, Unsafe, "the API refuses a valid token",
		"A token from the right issuer, for this API and with the scopes of the operation was answered with 401 or 403, or in a form that RFC 7519 allows (aud as a list, the scheme in lower case).",
		"Compare the issuer, the audience and the scopes that the API expects with those of the token; read names of schemes without regard to case.",
	},
	{
		NoTokenAccepted, Unsafe, "the operation answers without a token",
		"A request without an Authorization field got the same answer as one with a valid token, so the operation is public.",
		"Put the operation behind the check of the token, or declare it public (security: [] in OpenAPI, public: true in a policy).",
	},
	{
		TokenInQuery, Unsafe, "the API accepts a token in the query",
		"URLs are written to logs, histories and Referer fields, so a token in the query reaches others (RFC 9700, section 4.3.2).",
		"Read the token from the Authorization field only.",
	},
	{
		SchemeIgnored, Unsafe, "the API does not read the scheme of the Authorization field",
		"A valid token after another scheme than Bearer was accepted (RFC 6750, section 2.1), so other middleware may read the same field differently.",
		"Accept the scheme Bearer, in any letter case, and refuse all others.",
	},
	{
		RouteOpen, Unsafe, "another spelling of the request avoids the check of the token",
		"Without a token the plain request was refused, but HEAD, an overridden method, or another spelling of the path was answered.",
		"Check the token after the router has chosen the operation, or let both use the same form of the path (RFC 3986, section 6.2.2).",
	},
	{
		KeyOldAccepted, Unsafe, "a key that was removed from the key set still verifies tokens",
		"The API keeps keys longer than the issuer publishes them, so a stolen key stays valid.",
		"Replace the cached key set as a whole when it is fetched, and fetch it at least every few minutes.",
	},
	{
		KeyNewRefused, Unsafe, "a token signed with a new key of the issuer is refused",
		"The API did not fetch the key set again when a token had a kid that it did not know, so each rotation of keys is an outage (OpenID Connect Core, section 10.1.1).",
		"Fetch the key set again for an unknown kid, at most once in some seconds.",
	},
	{
		PublicRefused, Unsafe, "a public operation refuses a request without a token",
		"The document declares the operation public or its token optional, but the answer was 401 or 403.",
		"Change the document, or let the operation answer without a token.",
	},
	{
		RefusalStatus, Unsafe, "the refusal has the wrong status",
		"401 means that the token is missing or invalid, so a client gets another; 403 means that a valid token does not allow the request, so a client asks for more scopes (RFC 6750, section 3.1).",
		"Answer 401 for a missing or an invalid token and 403 for a missing scope.",
	},
	{
		ChallengeMissing, Unsafe, "the 401 has no WWW-Authenticate field",
		"A 401 must say how to authenticate (RFC 9110, section 11.6.1); clients find the authorization server by it (RFC 9728, section 5.1).",
		"Add WWW-Authenticate: Bearer, with resource_metadata where the API publishes it.",
	},
	{
		ChallengeInvalid, Unsafe, "the WWW-Authenticate field is not valid",
		"The field cannot be parsed (RFC 9110, section 11.6.1), or has an error code though no token was sent (RFC 6750, section 3.1).",
		"Write Bearer and parameters as name=\"value\", separated by commas; leave out error where there was no token.",
	},
	{
		RefusalServerError, Unsafe, "the API fails with 5xx instead of refusing the token",
		"The token was not refused but broke the program, which monitoring counts as an outage and anyone can repeat.",
		"Catch the errors of the token library and answer 401.",
	},
	{
		RefusalLeaks, Unsafe, "the refusal shows a stack trace or a key",
		"The body of a refusal contains internals of the program, which help an attacker (CWE-209).",
		"Switch debug output off, and answer refusals with a fixed text.",
	},
	{
		RefusalIs200, Unsafe, "the API refuses with status 200",
		"Clients, proxies and monitoring take the answer for a success; only the body says otherwise.",
		"Answer 401 or 403.",
	},

	// What keeps programs of particular kinds from an API.
	{
		CORSMissing, Unsafe, "a page in a browser cannot call the API as it needs to",
		"The API allows requests from other origins, but not the Authorization field, or it does not expose WWW-Authenticate, so that a script cannot see how to authenticate (Fetch Standard, section 3.2).",
		"Allow the header field Authorization in the preflight, and expose WWW-Authenticate with Access-Control-Expose-Headers.",
	},
	{
		TransportInvalid, Unsafe, "the MCP server does not speak the Streamable HTTP transport",
		"A GET is answered with an event stream or with 405, and a POST of a JSON-RPC message with JSON or an event stream (Model Context Protocol, transports).",
		"Serve the transport at the URL that clients use, and answer 405 to a GET where there is no stream.",
	},
	{
		OriginAccepted, Unsafe, "the MCP server accepts requests from any web page",
		"A request with an Origin field of another site was answered. A page in a browser on the same machine or network can use such a server by DNS rebinding (Model Context Protocol, transports).",
		"Refuse a request whose Origin is not one of your own with 403.",
	},

	// The profile, the client and the session.
	{
		ConfigInvalid, Usage, "the configuration is not valid",
		"A profile, a variable or a file that it names does not have the expected form.",
		"Correct the value that the message names.",
	},
	{
		ConfigInsecure, Usage, "the configuration can be changed by other users",
		"The profile file decides where secrets are sent and which commands are run, so it and its directory must be writable for its owner only.",
		"Take write access from the group and from others (chmod go-w), and make the file yours.",
	},
	{
		ConfigUnwritable, Usage, "the configuration cannot be written",
		"The file, its directory or its lock cannot be written, or there is no home directory.",
		"Make the file writable, or name another one.",
	},
	{
		ServerUnknown, Usage, "no authorization server is configured",
		"Neither an issuer nor an API is known, and no token endpoint either.",
		"Give the URL of the API or of the issuer.",
	},
	{
		CredentialElsewhere, Usage, "the credential belongs to another authorization server or client",
		"A client id means something at one server only (RFC 6749, section 2.2), so a secret, key, assertion or certificate is used only at the server and for the client that it was configured for.",
		"Configure the credential for this server, or go back to the server that it belongs to.",
	},
	{
		SessionElsewhere, LoginNeeded, "the session is for something other than what is configured",
		"A stored session is used only for the server, client, scope, audience and resource that it was obtained for.",
		"Log in for what is configured now, or remove the setting that differs.",
	},
	{
		RedirectUnusable, Usage, "the redirect URI cannot be used here",
		"The response of the server is awaited at the redirect URI, which must be an http URL of this machine (RFC 8252, section 7.3) with a port that is free.",
		"Use http://127.0.0.1 with a free port, as it is registered at the server.",
	},
	{
		PasteRefused, Advice, "the text is not the address that this login ends at",
		"What was pasted is not the redirect URI with the parameters of this login.",
		"Paste the complete address that the browser shows after you signed in.",
	},
	{
		CallbackIgnored, Advice, "a request that is not the answer to this login was ignored",
		"The redirect URI received something else: parameters without the state of this login, a POST, or no parameters. The login goes on waiting.",
		"Finish the login in the browser window that it opened. A server that answers by POST or in the fragment has to use the query (response_mode query).",
	},
	{
		ScopesLeftOut, Advice, "the server refused scopes that were only added by default; the login goes on without them",
		"openid and offline_access are requested where the server announces them, but this client may not have them.",
		"Name the scopes to request, so that none is added.",
	},
	{
		BrowserFailed, Advice, "the browser could not be opened",
		"The program that opens a browser failed.",
		"Open the printed URL yourself.",
	},
	{
		PKCENotAnnounced, Advice, "the server does not announce PKCE; it is used anyway",
		"The metadata has no code_challenge_methods_supported (RFC 8414). Most servers support PKCE without saying so.",
		"Nothing has to be done.",
	},
	{
		UserUnknown, Advice, "the server sent no ID token, so it is not known who logged in",
		"The scope openid was added because the server announces it, and the response has no ID token.",
		"Nothing has to be done, unless you need to know the user.",
	},
	{
		ScopeNotGranted, Advice, "some of the requested scopes were not granted",
		"The server, or the user, granted less than was requested (RFC 6749, section 3.3).",
		"Ask the server's operator to allow these scopes for the client and the user.",
	},
	{
		AudienceNotGranted, Advice, "the access token is not for the requested audience",
		"The server ignored the parameter audience, and issued a token for another API.",
		"Check how the server chooses the API: some need the parameter resource (RFC 8707), others a scope or a setting of the client.",
	},
	{
		ResourceNotSent, Advice, "the parameter resource was not sent",
		"This server refuses it; its scopes name the API instead.",
		"Name the API by its scopes.",
	},
	{
		NoRefreshToken, LoginNeeded, "the session has no refresh token",
		"The server gave none at the login, so a new access token needs a new login.",
		"Log in again. Some servers give a refresh token only for the scope offline_access, after consent, or with a parameter of their own.",
	},
	{
		RefreshRefused, LoginNeeded, "the server refused to refresh the access token",
		"The server's reason is not one that RFC 6749 defines, but it is not about the client, the scope or the server's own state either, so the refresh token is of no more use.",
		"Log in again.",
	},
	{
		ClientForgotten, LoginNeeded, "the server no longer knows the client that was registered",
		"Its registrations were removed, or the server was restarted without them.",
		"Log in again, which registers a new client.",
	},
	{
		NotRevoked, Unavailable, "the tokens were removed here, but not revoked at the server",
		"The server could not be told, so the refresh token stays valid there until it expires or is revoked in another way.",
		"End the session on the account page of the server if that matters.",
	},
	{
		RevocationUnsupported, Advice, "the server cannot revoke tokens",
		"Its metadata has no revocation_endpoint (RFC 7009). The tokens end when they expire.",
		"Nothing has to be done.",
	},
}
