package cmd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/oauth"
)

// The client id metadata document of a release describes the client that login uses: native, public, and on loopback.
func TestClientDocument(t *testing.T) {
	data, err := os.ReadFile("../docs/client.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		ClientID string `json:"client_id"`
		oauth.Registration
	}
	if err := json.Unmarshal(data, &document, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	r := document.Registration
	switch {
	case !strings.HasPrefix(document.ClientID, "https://") || !strings.HasSuffix(document.ClientID, "/client.json"):
		t.Errorf("client_id %q", document.ClientID)
	case !slices.Equal(r.RedirectURIs, []string{"http://127.0.0.1/callback", "http://localhost/callback"}):
		t.Errorf("redirect_uris %q", r.RedirectURIs)
	case !slices.Equal(r.GrantTypes, []string{"authorization_code", "refresh_token", oauth.GrantDeviceCode}) || !slices.Equal(r.ResponseTypes, []string{"code"}):
		t.Errorf("grant_types %q, response_types %q", r.GrantTypes, r.ResponseTypes)
	case r.TokenEndpointAuthMethod != oauth.AuthNone || r.ApplicationType != "native":
		t.Errorf("token_endpoint_auth_method %q, application_type %q", r.TokenEndpointAuthMethod, r.ApplicationType)
	}
}
