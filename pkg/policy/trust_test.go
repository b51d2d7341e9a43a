package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

const twoIssuers = `issuers:
  - {issuer: https://a.example, audience: api-a, jwks: https://a.example/keys}
  - {issuer: https://b.example, audience: none, algorithms: [EdDSA], accept: [id_token]}
routes:
  "GET /x": {claims: {client_id: app}}
`

func TestSeveralIssuers(t *testing.T) {
	p, err := policyfile.Load([]byte(twoIssuers), "p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]*jwks.PrivateKey{}
	for issuer, alg := range map[string]string{"https://a.example": "ES256", "https://b.example": "EdDSA"} {
		if keys[issuer], err = jwks.Generate(alg); err != nil {
			t.Fatal(err)
		}
	}
	v, err := p.VerifierOf(func(one policy.Trust) (token.KeySet, error) {
		if (one.JWKS != "") != (one.Issuer == "https://a.example") {
			t.Errorf("jwks of %s is %q", one.Issuer, one.JWKS)
		}
		return jwks.NewSet(keys[one.Issuer].Public()), nil
	}, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verifier(jwks.NewSet(), token.Options{}); err == nil {
		t.Error("two issuers share one key set")
	}
	for name, tt := range map[string]struct {
		key    string
		claims map[string]any
		want   diagnosis.ID
	}{
		"the first":                   {"https://a.example", map[string]any{"iss": "https://a.example", "aud": "api-a"}, ""},
		"the first with an ID token":  {"https://a.example", map[string]any{"iss": "https://a.example", "aud": "api-a", "at_hash": "x"}, diagnosis.IDTokenAsAccess},
		"the second":                  {"https://b.example", map[string]any{"iss": "https://b.example", "azp": "app"}, ""},
		"the second with an ID token": {"https://b.example", map[string]any{"iss": "https://b.example", "client_id": "app", "at_hash": "x"}, ""},
		"another client":              {"https://b.example", map[string]any{"iss": "https://b.example", "azp": "other"}, diagnosis.ClaimInvalid},
		"the other's key":             {"https://b.example", map[string]any{"iss": "https://a.example", "aud": "api-a"}, diagnosis.KidUnknown},
		"not listed":                  {"https://a.example", map[string]any{"iss": "https://c.example", "aud": "api-a"}, diagnosis.IssMismatch},
	} {
		tt.claims["exp"] = time.Now().Add(time.Minute).Unix()
		raw, err := token.Sign(keys[tt.key], "JWT", tt.claims)
		if err != nil {
			t.Fatal(err)
		}
		verified, err := v.Verify(t.Context(), raw)
		if idOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if name == "the second" {
			need, _, _ := p.Operation("GET", "/x")
			if d := need.Decide(verified); !d.Allowed || !need.Allows(verified) {
				t.Errorf("a rule for client_id does not read azp: %v", d.Diagnosis)
			}
		}
	}
}

func TestNearScopesAndClaims(t *testing.T) {
	key, err := jwks.Generate("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	decide := func(claims map[string]any, need policy.Requirement) *diagnosis.Diagnosis {
		raw, err := token.Sign(key, "JWT", claims)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := token.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		return need.Decide(decoded).Diagnosis
	}
	type claims = map[string]any
	for name, tt := range map[string]struct {
		claims claims
		want   diagnosis.ID
		got    string
	}{
		"commas":             {claims{"scope": "repo,read:org"}, diagnosis.ScopeForm, "repo,read:org in scope"},
		"Cognito":            {claims{"scp": "orders.example/repo"}, diagnosis.ScopeForm, "orders.example/repo in scp"},
		"Spring":             {claims{"authorities": []any{"SCOPE_repo"}}, diagnosis.ScopeForm, "SCOPE_repo in authorities"},
		"another claim":      {claims{"acme.dev": claims{"my.roles": []any{"repo"}}}, diagnosis.ScopeClaimName, "acme.dev.my.roles"},
		"nowhere":            {claims{"scope": "repos reports"}, diagnosis.ScopeMissing, "reports repos"},
		"no scope at all":    {claims{}, diagnosis.ScopeMissing, "none"},
		"a part of a prefix": {claims{"scope": "xrepo"}, diagnosis.ScopeMissing, "xrepo"},
	} {
		d := decide(tt.claims, policy.Requirement{Scopes: []string{"repo"}})
		if d == nil || d.ID != tt.want || d.Got.String() != tt.got {
			t.Errorf("%s: %v, want %s with %s", name, d, tt.want, tt.got)
		}
	}
	for rule, tt := range map[string]struct {
		claims claims
		want   string // in the message; "" if the rule holds
	}{
		"departement=x":                {claims{"department": "x"}, "the claim department"},
		"expires=1":                    {claims{"exp": 1}, "the claim exp"},
		"org=acme":                     {claims{"org": claims{"id": "acme"}}, `got {"id":"acme"}`},
		"org=x":                        {claims{"org": nil}, "got null"},
		"zzz=x":                        {claims{"org": "x"}, "got none"},
		"uid=9007199254740993":         {claims{"uid": int64(9007199254740993)}, ""},
		"uid=9007199254740992":         {claims{"uid": int64(9007199254740993)}, "got 9007199254740993"},
		"ids=9007199254740993":         {claims{"ids": []any{1, int64(9007199254740993)}}, ""},
		"n=100":                        {claims{"n": 1e2}, ""},
		"admin=true":                   {claims{"admin": true}, ""},
		"ext.acme.dev.plan=pro":        {claims{"ext": claims{"acme.dev": claims{"plan": "pro"}}}, ""},
		"acme.dev.plan=pro":            {claims{"acme.dev": claims{"plan": "pro"}}, ""},
		"kubernetes.io.namespace=a":    {claims{"kubernetes.io": claims{"namespace": "a"}}, ""},
		"a.b.c=1":                      {claims{"a": claims{"b": "x"}, "a.b": claims{"c": 1}}, ""},
		"a.b.d=1":                      {claims{"a": claims{"b": claims{"d": 1}}, "a.b": claims{"c": 1}}, ""},
		"https://acme.dev/roles=admin": {claims{"https://acme.dev/roles": []any{"admin"}}, ""},
	} {
		d := decide(tt.claims, policy.Requirement{Claims: rules(t, rule)})
		if (d == nil) != (tt.want == "") || d != nil && !strings.Contains(d.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", rule, d, tt.want)
		}
	}
}

func idOf(err error) diagnosis.ID {
	if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
		return d.ID
	}
	return ""
}
