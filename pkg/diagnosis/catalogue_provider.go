package diagnosis

// tokenProviders is about tokens of particular providers.
var tokenProviders = []Entry{
	{
		EntraV1Token, Rejected, "the token has version 1, but the configured issuer is for version 2",
		"Microsoft Entra ID issues tokens of version 1 unless the API's registration requests version 2. The issuers of the two versions differ (sts.windows.net, login.microsoftonline.com).",
		"Set api.requestedAccessTokenVersion to 2 in the manifest of the API's registration, not the client's, and get a new token. Or configure the issuer of version 1.",
	},
	{
		EntraV2Token, Rejected, "the token has version 2, but the configured issuer is for version 1",
		"Microsoft Entra ID issues the version that the API's registration requests. The issuers of the two versions differ (login.microsoftonline.com, sts.windows.net).",
		"Configure the issuer of version 2, https://login.microsoftonline.com/TENANT-ID/v2.0.",
	},
	{
		EntraTenantIssuer, Rejected, "the configured issuer is not an issuer but a template for all tenants",
		"In the metadata of /common, /organizations and /consumers, Microsoft Entra ID has a placeholder instead of an issuer. Each token has the issuer of its own tenant.",
		"Configure the issuer of each tenant that you accept, https://login.microsoftonline.com/TENANT-ID/v2.0.",
	},
	{
		EntraGraphToken, Rejected, "the token is for Microsoft's own APIs, and only they can verify it",
		"Tokens for Microsoft Graph, Azure and Outlook have a nonce in the header, which Microsoft replaces before it checks the signature. Other APIs cannot verify them.",
		"Request a scope of your own API, for example api://ID/.default, instead of one of Graph's.",
	},
	{
		EntraAudForm, Rejected, "the audience is the same application in another form",
		"Depending on the token's version, Microsoft Entra ID identifies an API by its GUID or by its application ID URI, api://GUID.",
		"Accept both forms: configure both as audiences.",
	},
	{
		KCAudAccount, Rejected, "the Keycloak token has no audience for this API",
		"Without an Audience mapper, an access token of Keycloak has the audience account or none. An API that accepts account accepts every token of the realm.",
		"Add an Audience mapper for this API to a client scope of the client, or use resource indicators if the server supports them (RFC 8707).",
	},
	{
		CognitoNoAud, Rejected, "access tokens of Amazon Cognito have no audience",
		"They have client_id instead. The ID token has an audience, but it is not for APIs.",
		"In the policy, set the audience to none, require the client_id with a claim rule, and require the scopes of the resource server.",
	},
	{
		OktaOrgAS, Rejected, "the token is from Okta's org authorization server, whose tokens are only for Okta",
		"Access tokens of the org authorization server (an issuer without a path) are for Okta's own APIs. Other APIs cannot verify them.",
		"Use a custom authorization server, such as https://ORG.okta.com/oauth2/default, and its audience.",
	},
}
