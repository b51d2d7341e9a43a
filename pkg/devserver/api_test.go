package devserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

func (d *desk) mint(name string, scope ...string) string {
	d.t.Helper()
	raw, err := d.server.Mint(name, scope...)
	if err != nil {
		d.t.Fatal(err)
	}
	return raw
}

func TestAPI(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	good := d.mint("good")
	for _, test := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/api/items", good, "", 200, `[{"id":1,"name":"Widget"},{"id":2,"name":"Gadget"}]`},
		{"POST", "/api/items", good, `{"id":1,"name":"Widget"}`, 201, `{"id":1,"name":"Widget"}`},
		{"POST", "/api/items", good, `{"id":3,"name":"Gizmo"}`, 201, `{"id":3,"name":"Gizmo"}`},
		{"GET", "/api/items", good, "", 200, `[{"id":1,"name":"Widget"},{"id":2,"name":"Gadget"},{"id":3,"name":"Gizmo"}]`},
		{"POST", "/api/items", good, `{"id":"one","price":3}`, 422, `{"type":"about:blank","title":"the item is not valid","status":422,"errors":[{"field":"id","detail":"expected an integer of at least 1"},{"field":"name","detail":"expected a string of 1 to 200 bytes"},{"field":"price","detail":"unknown field"}]}`},
		{"POST", "/api/items", good, `{"id":1.5,"name":" "}`, 422, `{"type":"about:blank","title":"the item is not valid","status":422,"errors":[{"field":"id","detail":"expected an integer of at least 1"},{"field":"name","detail":"expected a string of 1 to 200 bytes"}]}`},
		{"POST", "/api/items", good, `[]`, 400, `{"type":"about:blank","title":"the body is not one JSON object","status":400}`},
		{"POST", "/api/items", good, `null`, 400, `{"type":"about:blank","title":"the body is not one JSON object","status":400}`},
		{"POST", "/api/items", good, `{"id":1,"id":2,"name":"x"}`, 400, `{"type":"about:blank","title":"the body is not one JSON object","status":400}`},
		{"DELETE", "/api/users/1", d.mint("good", "users:delete"), "", 204, ""},
		{"DELETE", "/api/users/x", d.mint("good", "users:delete"), "", 404, `{"type":"about:blank","title":"user not found","status":404}`},
	} {
		got := d.call(test.method, test.path, test.token, test.body)
		if diff := cmp.Diff(test.want, strings.TrimSpace(got.text)); got.StatusCode != test.status || diff != "" {
			t.Errorf("%s %s %s: %d (-want +got):\n%s", test.method, test.path, test.body, got.StatusCode, diff)
		}
	}
}

// Every faulty token of Mint is refused with its own id; the valid one is
// accepted.
func TestMintedTokens(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	for name, want := range map[string]string{
		"expired": "EXPIRED", "not-yet-valid": "NOT_YET_VALID", "wrong-audience": "AUD_MISMATCH", "no-audience": "AUD_MISSING",
		"wrong-issuer": "ISS_MISMATCH", "issuer-slash": "ISS_SLASH", "bad-signature": "SIGNATURE_INVALID", "alg-none": "ALG_NONE",
		"alg-confusion": "HS_TOKEN_NO_SECRET", "unknown-kid": "KID_UNKNOWN", "missing-scope": "SCOPE_MISSING",
		"id-token": "ID_TOKEN_AS_ACCESS", "opaque-token": "OPAQUE_TOKEN",
	} {
		got := d.call("GET", "/api/items", d.mint(name), "")
		status := http.StatusUnauthorized
		if name == "missing-scope" {
			status = http.StatusForbidden
		}
		if challenge := got.Header.Get("WWW-Authenticate"); got.StatusCode != status || !strings.Contains(challenge, want+":") {
			t.Errorf("%s: %d %s", name, got.StatusCode, challenge)
		}
	}
	for _, name := range []string{"good", "scope-as-array"} {
		if got := d.call("GET", "/api/items", d.mint(name), ""); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
		}
	}
	if got := d.call("DELETE", "/api/users/1", d.mint("good"), ""); got.StatusCode != http.StatusForbidden || !strings.Contains(got.Header.Get("WWW-Authenticate"), `scope="users:delete"`) {
		t.Errorf("without users:delete: %d", got.StatusCode)
	}
	if _, err := d.server.Mint("no-such-token"); err == nil {
		t.Error("an unknown name was minted")
	}
}

func TestAPIWithoutToken(t *testing.T) {
	d := newDesk(t, devserver.Config{})
	got := d.call("GET", "/api/items", "", "")
	challenge := got.Header.Get("WWW-Authenticate")
	if got.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, `resource_metadata="`+d.api+`/.well-known/oauth-protected-resource"`) || strings.Contains(challenge, "error=") {
		t.Errorf("%d %s", got.StatusCode, challenge)
	}
	var told map[string]any
	decodeInto(t, d.call("GET", "/.well-known/oauth-protected-resource", "", "").text, &told)
	want := map[string]any{
		"resource": d.api, "authorization_servers": []any{d.issuer}, "resource_name": "oauthctl dev",
		"scopes_supported": []any{"items:read", "items:write"}, "bearer_methods_supported": []any{"header"},
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}
