package diagnosis

// tokenKeys is about algorithms, keys and signatures.
var tokenKeys = []Entry{
	{
		AlgNone, Rejected, "the token is not signed (alg none)",
		"Anyone can create a token that is not signed. The value none is rejected in every letter case (RFC 8725, section 3.2).",
		"Configure the issuer to sign its tokens. If it does, the token was changed on the way.",
	},
	{
		AlgNotAllowed, Rejected, "the token's algorithm is not allowed",
		"The algorithm is known, but it is not one that this API accepts (RFC 8725, section 3.1).",
		"If the issuer is meant to use it, allow it, for example in the policy's algorithms.",
	},
	{
		AlgUnsupported, Rejected, "the token's algorithm is not supported",
		"The alg is not one of the asymmetric algorithms or HMACs of RFC 7518, section 3.1, and RFC 8037 that this program verifies. Names are compared letter by letter (RFC 7515, section 4.1.1).",
		"Configure the issuer to sign with one of the algorithms that the message lists.",
	},
	{
		AlgMismatch, Rejected, "the token's algorithm does not fit the key",
		"The key with this kid has another type or curve, or its alg is another algorithm. Accepting the combination would allow forged signatures (RFC 8725, section 3.1).",
		"Compare the token's alg with the kty, crv and alg of the key. The issuer's configuration must be consistent.",
	},
	{
		HSTokenNoSecret, Rejected, "the token is signed with a shared secret, but only public keys are configured",
		"HS256, HS384 and HS512 are verified with the secret that signed the token. A published key set never verifies them: anyone could sign with it.",
		"Configure the shared secret, or have the issuer sign with RS256, ES256 or EdDSA (Auth0: the API's signing algorithm; Supabase: asymmetric JWT keys).",
	},
	{
		KidUnknown, Rejected, "the key that the token names is not in the key set",
		"The issuer's key set has no key with this kid, even after it was fetched again (RFC 7515, section 4.1.4); for a token without kid, no key with a certificate that has the thumbprint in x5t#S256 or x5t (sections 4.1.7 and 4.1.8). Either the token is from another issuer, or the issuer has removed the key.",
		"Compare the token's iss with the configured issuer, and its kid or thumbprint with those of the key set.",
	},
	{
		KeySetEmpty, Rejected, "the key set contains no key that can verify a signature",
		"The key set is empty, or every key in it is for encryption, malformed or too weak.",
		"The issuer must publish its signing key. The message shows why each key was skipped.",
	},
	{
		KeyRefused, Rejected, "the key cannot be used to verify signatures",
		"The key is not for signatures (use=enc, or key_ops without verify), too weak (RSA below 2048 bits, an exponent that is one or even, or a secret shorter than the hash), or malformed (a point that is not on its curve, a duplicate member, or base64url with padding).",
		"Use a well-formed signing key of sufficient size. The reason follows the message.",
	},
	{
		KeyROCA, Advice, "the RSA key can be factored (ROCA)",
		"The modulus has the structure of keys from a faulty library (CVE-2017-15361; smart cards, TPMs and YubiKeys made before 2018). Anyone can compute its private key.",
		"Replace the key with one from another generator.",
	},
	{
		KeyCertificate, Advice, "the certificate in x5c belongs to another key",
		"The first certificate in x5c must contain the same key (RFC 7517, section 4.7). Some libraries use the certificate and others use n and e or x and y, so they verify with different keys.",
		"The issuer must publish the matching certificate, or remove x5c.",
	},
	{
		KidSameKeyChanged, Rejected, "the key set now has another key with the same kid",
		"The key with this kid does not verify the signature, and the issuer has since published a different key with the same kid.",
		"Get a new token. The issuer should use a new kid for each new key.",
	},
	{
		SignatureInvalid, Rejected, "the signature does not match",
		"The header or payload was changed after signing, or the token was signed with another key. Its claims cannot be trusted (RFC 7515, section 5.2).",
		"Get the token again. If it fails again, compare its iss and kid with the issuer's key set.",
	},
}
