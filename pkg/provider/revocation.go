package provider

// RevokesWholeGrant reports whether revoking one refresh token of a user at this
// issuer ends every session of the same client and user. At such an issuer, a
// refresh token that a newer login replaced should be left to expire. Google
// documents that revoking a token removes the user's grant to the application
// (2026-11).
func RevokesWholeGrant(issuer string) bool {
	return issuer == "https://accounts.google.com"
}
