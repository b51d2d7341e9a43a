package diagnosis

// logins is about getting a session and refreshing it.
var logins = []Entry{
	{
		LoginRequired, LoginNeeded, "you are not logged in",
		"This profile has no session, or its session has ended.",
		"Log in.",
	},
	{
		LoginTimeout, LoginNeeded, "the login was not completed in time",
		"The response of the authorization server did not arrive before the time limit.",
		"Log in again, with a longer limit if needed.",
	},
	{
		RedirectMismatch, Usage, "the server shows an error page instead of the login",
		"The server does not know the client, or the redirect URI is not registered for it. Such an error is shown only in the browser and is not sent to the redirect URI (RFC 6749, section 4.1.2.1).",
		"Register the redirect URI exactly as printed, or log in with the registered one. Many servers accept any port of 127.0.0.1 (RFC 8252, section 7.3), some only the registered port.",
	},
	{
		NoBrowser, LoginNeeded, "a login needs a browser, but none is available",
		"There is no terminal for a prompt, and opening a browser is not allowed.",
		"Log in on a machine with a terminal or a browser. In CI, use the client_credentials grant.",
	},
	{
		AccessDenied, LoginNeeded, "the user or the authorization server denied the request",
		"The authorization server returned access_denied or a similar error (RFC 6749, section 4.1.2.1).",
		"Log in again and consent. If the server denies the request by policy, its administrator must allow it.",
	},
	{
		GrantInvalid, LoginNeeded, "the authorization server no longer accepts the grant",
		"The error is invalid_grant: the code or refresh token is expired, revoked or already used, or belongs to another client (RFC 6749, section 5.2).",
		"Log in again.",
	},
	{
		RefreshReused, LoginNeeded, "another process has already used the refresh token",
		"The server rotates refresh tokens, so each one can be used only once (RFC 9700, section 4.14.2). A process with a copy of this session used it first.",
		"Run the command again. If it fails again, log in. Do not copy sessions between machines.",
	},
}

// profiles is about the profile, the client and the session.
var profiles = []Entry{
	{
		ConfigInvalid, Usage, "the configuration is not valid",
		"A profile, an environment variable or a file that it refers to does not have the expected form.",
		"Correct the value in the message.",
	},
	{
		ConfigInsecure, Usage, "other users can change the configuration",
		"The profile file decides where secrets are sent and which commands are run, so only its owner may have write access to the file and its directory. The same is true for a file with a secret, a key or a token to which it refers.",
		"Remove write access for the group and for others (chmod go-w), and make yourself the owner of the file.",
	},
	{
		ConfigUnwritable, Usage, "the configuration cannot be written",
		"The file, its directory or its lock cannot be written, or there is no home directory.",
		"Make the file writable, or use another file.",
	},
	{
		ServerUnknown, Usage, "no authorization server is configured",
		"The configuration has no issuer, no API and no token endpoint.",
		"Configure the URL of the API or the issuer.",
	},
	{
		CredentialElsewhere, Usage, "the credential belongs to another authorization server or client",
		"A client id is unique only at one server (RFC 6749, section 2.2), so a secret, key, assertion or certificate is used only for the server and the client that it was configured for.",
		"Configure the credential for this server, or use the server that it belongs to.",
	},
	{
		SessionElsewhere, LoginNeeded, "the session does not match the configuration",
		"A stored session is used only for the server, client, scope, audience and resource that it was requested for.",
		"Log in again with the current configuration, or remove the setting that differs.",
	},
	{
		RedirectUnusable, Usage, "the redirect URI cannot be used on this machine",
		"The login waits for the response at the redirect URI. It must be an http URL with a loopback address and a free port (RFC 8252, section 7.3).",
		"Use http://127.0.0.1 with a free port, as registered at the server.",
	},
	{
		PasteRefused, Advice, "the text is not the address of this login",
		"The pasted text is not the redirect URI with the parameters of this login.",
		"Paste the complete address that the browser shows after you signed in.",
	},
	{
		CallbackIgnored, Advice, "a request to the redirect URI was ignored",
		"The request is not the response to this login: its state is missing or different, it is a POST, or it has no parameters (RFC 6749, section 10.12). The login continues to wait.",
		"Finish the login in the browser window that it opened. If the server responds with a POST or in the fragment, change its response_mode to query.",
	},
	{
		ScopesLeftOut, Advice, "the server refused default scopes; the login continues without them",
		"openid and offline_access are requested if the server's metadata lists them, but this client may not use them.",
		"Configure the scopes to request, so that no default is added.",
	},
	{
		BrowserFailed, Advice, "the browser could not be opened",
		"The program that opens the browser failed.",
		"Open the printed URL yourself.",
	},
	{
		PKCENotAnnounced, Advice, "the server's metadata does not mention PKCE; it is used anyway",
		"The metadata has no code_challenge_methods_supported (RFC 8414, section 2). Most servers support PKCE even so.",
		"No action is needed.",
	},
	{
		UserUnknown, Advice, "the server sent no ID token, so the user is unknown",
		"The scope openid was requested because the server's metadata lists it, but the response has no ID token (OpenID Connect Core, section 3.1.3.3).",
		"No action is needed, unless you need to know the user.",
	},
	{
		ScopeNotGranted, Advice, "some of the requested scopes were not granted",
		"The server or the user granted fewer scopes than requested (RFC 6749, section 3.3).",
		"Ask the server's operator to allow these scopes for the client and the user.",
	},
	{
		AudienceNotGranted, Advice, "the access token is not for the requested audience",
		"The server ignored the audience parameter and issued a token for another API.",
		"Find out how the server selects the API: with the resource parameter (RFC 8707), a scope, or a setting of the client.",
	},
	{
		ResourceNotSent, Advice, "the resource parameter was not sent",
		"This server does not accept the resource parameter (RFC 8707); it selects the API by the scopes.",
		"Request a scope of the API.",
	},
	{
		NoRefreshToken, LoginNeeded, "the session has no refresh token",
		"The server issued no refresh token at login (RFC 6749, section 5.1), so a new access token needs a new login.",
		"Log in again. Some servers issue a refresh token only for the scope offline_access, after consent, or with a parameter of their own.",
	},
	{
		RefreshRefused, LoginNeeded, "the server refused to refresh the access token",
		"The error code is not one of RFC 6749, section 5.2. It is not about the client, the scope or a temporary failure, so the refresh token is of no further use.",
		"Log in again.",
	},
	{
		ClientForgotten, LoginNeeded, "the server no longer knows the registered client",
		"The server deleted the registration, or was restarted without it.",
		"Log in again to register a new client.",
	},
	{
		NotRevoked, Unavailable, "the tokens were removed from this machine, but not revoked at the server",
		"The revocation request failed (RFC 7009), so the refresh token remains valid until it expires or is revoked in another way.",
		"End the session on the server's account page if that matters.",
	},
	{
		RevocationUnsupported, Advice, "the server cannot revoke tokens",
		"The metadata has no revocation_endpoint (RFC 7009), so the tokens remain valid until they expire.",
		"No action is needed.",
	},
}

// tokenStore is about the files and the keychain that hold sessions.
var tokenStore = []Entry{
	{
		StoreLocked, Store, "another process has locked the token store",
		"The lock was not released in time.",
		"Find the process that holds the lock and end it, then try again.",
	},
	{
		StoreUnreadable, Store, "the stored session cannot be read",
		"The file is damaged, or was written by another version.",
		"Log in again to replace the session.",
	},
	{
		StoreUnwritable, Store, "the session cannot be written",
		"The directory is missing, read-only or full.",
		"Make the state directory writable, or store sessions in memory only.",
	},
	{
		StoreInsecure, Store, "other users can read the stored session",
		"The file must belong to you, and only you may read it.",
		"Set the mode of the file to 0600 and of its directory to 0700, and make yourself the owner of both. If others may have read it, log in again.",
	},
	{
		StoreUnsealed, Store, "a file of the token store is not encrypted",
		"The store `keyring` accepts only files that are encrypted with a key from the keychain; the store `auto` accepts a plain file only if it was never encrypted. The file was stored with another setting, copied, or replaced by a process that can write to the state directory.",
		"Log in again to replace the session. If you did not change the store or copy the file, find out which process wrote it.",
	},
	{
		StoreNoLocks, Store, "the file system of the state directory does not support file locks",
		"Without a lock, two commands could send the same refresh token, and many servers then end the session (RFC 9700, section 4.14.2). Some network file systems do not support locks (NFS without its lock service, Lustre, FUSE).",
		"Set XDG_STATE_HOME to a directory on another file system, or store sessions in memory only.",
	},
	{
		KeyringUnavailable, Store, "the system keychain does not respond",
		"The keychain is missing or locked, or did not respond within 3 seconds.",
		"Unlock it, or store sessions in files.",
	},
}
