package cmd

import (
	"errors"
	"slices"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// refusalHint is commandHint for what depends on the server's own answer and on
// what was asked: the same id needs another command after a code than after an
// assertion. It returns "" where that makes no difference.
func refusalHint(c hintContext) string {
	var refused *oauth.Error
	var typeError *oauth.TokenTypeError
	var nested *oauth.NestedTokenError
	var clocks *oauth.ClockError
	switch {
	case errors.Is(c.Diagnosis, account.ErrDocumentAccepted):
		return "publish a client id metadata document and configure its URL: " + c.run("profile", "set", "client_metadata_url=URL") +
			"; or create a client in the server's console, then " + c.run("login", "--client-id", "ID")
	case errors.As(c.Diagnosis, &typeError):
		return "if this server is known to issue Bearer tokens: " + c.run("profile", "set", "assume_bearer=true")
	case errors.As(c.Diagnosis, &nested):
		return "if that is the token you want: " + c.run("profile", "set", "token_member="+nested.Members[0])
	case errors.As(c.Diagnosis, &clocks):
		return c.clockHint(clocks.Clock)
	case !errors.As(c.Diagnosis, &refused):
		return ""
	}
	if refused.Clock.Differs() && refused.Request.DependsOnTime() && slices.Contains([]diagnosis.ID{diagnosis.GrantInvalid, diagnosis.ClientRefused, diagnosis.RequestRefused}, c.ID) {
		return refused.Clock.String() + ", which the request depends on; set the clock that is wrong (NTP), then try again"
	}
	switch c.ID {
	case diagnosis.GrantInvalid:
		return c.grantHint(refused.Request)
	case diagnosis.ClientRefused:
		return c.clientHint(refused)
	case diagnosis.LoginRequired:
		if refused.Request.Endpoint == oauth.AuthorizationEndpoint {
			return "log in without --prompt none: " + c.run("login")
		}
	case diagnosis.RequestRefused, diagnosis.RefreshRefused:
		if refused.Code == "invalid_dpop_proof" && !refused.Request.Proof {
			return "bind the tokens to a key: " + c.run("login", "--dpop")
		}
	}
	return ""
}

// clockHint says what to do about an ID token whose times are wrong.
func (c hintContext) clockHint(server oauth.ServerClock) string {
	switch {
	case !server.Known:
		return "compare the clocks of this machine and of the server, then " + c.run("login")
	case server.Differs():
		return "set the clock that is wrong, this machine's or the server's (NTP), then " + c.run("login")
	}
	return "report it to the server's operator: its clock is right, the times of its ID tokens are not"
}

// grantHint says what to do about invalid_grant.
func (c hintContext) grantHint(asked oauth.Request) string {
	switch asked.GrantType {
	case account.GrantAuthorizationCode:
		if asked.ProofsAnnounced && !asked.Proof {
			return "the server may require proofs of possession: " + c.run("login", "--dpop")
		}
		return "log in again: " + c.run("login") + "; if it fails again, compare the redirect URI and the clock with the server's"
	case oauth.GrantJWTBearer:
		return "get a new assertion; this one may have expired, have been used before, or be for another audience"
	case oauth.GrantTokenExchange:
		return "get a new subject token; this one may have expired, or be for another audience"
	}
	return ""
}

// clientHint says what to do about a client that could not authenticate.
func (c hintContext) clientHint(refused *oauth.Error) string {
	asked := refused.Request
	switch {
	case asked.AuthMethod == oauth.AuthSecretBasic && asked.SecretEncoded:
		return "the secret or the id has characters that client_secret_basic encodes, which some servers do not decode: " + c.run("login", "--auth-method", "client_secret_post")
	case asked.AuthMethod == oauth.AuthSecretBasic && !asked.MethodsAnnounced:
		return "check the secret; the server may accept it in the body only: " + c.run("login", "--auth-method", "client_secret_post")
	case asked.AuthMethod == oauth.AuthPrivateKeyJWT || asked.AuthMethod == oauth.AuthSecretJWT:
		return "check that the key is registered for this client; if the server expects another audience in assertions: " + c.run("profile", "set", "assertion_audience=URL")
	}
	return ""
}
