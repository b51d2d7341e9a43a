package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// The same refusal needs a different command, depending on the request.
func TestRefusalHints(t *testing.T) {
	refused := func(id diagnosis.ID, code, description string, r oauth.Request) *diagnosis.Diagnosis {
		return &diagnosis.Diagnosis{ID: id, Err: &oauth.Error{Code: code, Description: description, Request: r}}
	}
	code := oauth.Request{Endpoint: oauth.TokenEndpoint, GrantType: "authorization_code"}
	bound := code
	bound.ProofsAnnounced = true
	behind := oauth.ServerClock{Known: true, Ahead: -2 * time.Minute}
	late := func(id diagnosis.ID, r oauth.Request) *diagnosis.Diagnosis {
		return &diagnosis.Diagnosis{ID: id, Err: &oauth.Error{Code: "refused", Request: r, Clock: behind}}
	}
	for name, tt := range map[string]struct {
		d    *diagnosis.Diagnosis
		want string // "" for the hint of the table
	}{
		"a code":                  {refused(diagnosis.GrantInvalid, "invalid_grant", "", code), "compare the redirect URI"},
		"a code without a proof":  {refused(diagnosis.GrantInvalid, "invalid_grant", "", bound), "login --dpop"},
		"an assertion":            {refused(diagnosis.GrantInvalid, "invalid_grant", "", oauth.Request{GrantType: "urn:ietf:params:oauth:grant-type:jwt-bearer"}), "get a new assertion"},
		"an exchange":             {refused(diagnosis.GrantInvalid, "invalid_grant", "", oauth.Request{GrantType: "urn:ietf:params:oauth:grant-type:token-exchange"}), "get a new subject token"},
		"a refresh":               {refused(diagnosis.GrantInvalid, "invalid_grant", "", oauth.Request{GrantType: "refresh_token"}), ""},
		"a secret that is odd":    {refused(diagnosis.ClientRefused, "invalid_client", "", oauth.Request{AuthMethod: oauth.AuthSecretBasic, SecretEncoded: true, MethodsAnnounced: true}), "do not decode"},
		"methods not announced":   {refused(diagnosis.ClientRefused, "invalid_client", "", oauth.Request{AuthMethod: oauth.AuthSecretBasic}), "--auth-method client_secret_post"},
		"methods announced":       {refused(diagnosis.ClientRefused, "invalid_client", "", oauth.Request{AuthMethod: oauth.AuthSecretBasic, MethodsAnnounced: true}), ""},
		"a key of the client":     {refused(diagnosis.ClientRefused, "invalid_client", "", oauth.Request{AuthMethod: oauth.AuthPrivateKeyJWT}), "assertion_audience"},
		"prompt none":             {refused(diagnosis.LoginRequired, "login_required", "", oauth.Request{Endpoint: oauth.AuthorizationEndpoint}), "--prompt none"},
		"a code that ran out":     {refused(diagnosis.LoginRequired, "expired_token", "", oauth.Request{Endpoint: oauth.TokenEndpoint}), ""},
		"no proof":                {refused(diagnosis.RequestRefused, "invalid_dpop_proof", "", oauth.Request{}), "login --dpop"},
		"a wrong proof":           {refused(diagnosis.RequestRefused, "invalid_dpop_proof", "", oauth.Request{Proof: true}), ""},
		"clocks":                  {&diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid, Err: &oauth.ClockError{Err: &diagnosis.Diagnosis{ID: diagnosis.IatInFuture}}}, "compare the clocks"},
		"clocks that differ":      {&diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid, Err: &oauth.ClockError{Clock: behind, Err: &diagnosis.Diagnosis{ID: diagnosis.Expired}}}, "set the clock"},
		"clocks that agree":       {&diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid, Err: &oauth.ClockError{Clock: oauth.ServerClock{Known: true}, Err: &diagnosis.Diagnosis{ID: diagnosis.Expired}}}, "report it to the server's operator"},
		"a code, clocks differ":   {late(diagnosis.GrantInvalid, code), "2 m behind this machine's"},
		"a proof, clocks differ":  {late(diagnosis.RequestRefused, oauth.Request{Proof: true}), "2 m behind this machine's"},
		"a key, clocks differ":    {late(diagnosis.ClientRefused, oauth.Request{AuthMethod: oauth.AuthPrivateKeyJWT}), "2 m behind this machine's"},
		"a secret, clocks differ": {late(diagnosis.ClientRefused, oauth.Request{AuthMethod: oauth.AuthSecretPost}), ""},
		"a scope, clocks differ":  {late(diagnosis.ScopeRefused, code), ""},
		"a signature":             {&diagnosis.Diagnosis{ID: diagnosis.IDTokenInvalid, Err: &diagnosis.Diagnosis{ID: diagnosis.SignatureInvalid}}, ""},
		"a client document":       {&diagnosis.Diagnosis{ID: diagnosis.NoRegistrationPath, Err: account.ErrDocumentAccepted}, "client_metadata_url"},
		"no registration":         {&diagnosis.Diagnosis{ID: diagnosis.NoRegistrationPath}, ""},
		"no token_type":           {&diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Err: &oauth.TokenTypeError{}}, "assume_bearer=true"},
		"nested tokens":           {&diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Err: &oauth.NestedTokenError{Members: []string{"user"}}}, "token_member=user"},
		"another shape":           {&diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape}, ""},
	} {
		got := refusalHint(hintContext{Diagnosis: tt.d, profile: "p"})
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "oauthctl ") && !strings.Contains(got, "-p p") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
