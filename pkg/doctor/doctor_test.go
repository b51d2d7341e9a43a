package doctor_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// want is the first fault that the examination must find.
type want struct {
	rung   string
	id     diagnosis.ID
	owner  doctor.Owner
	kind   diagnosis.Kind
	status doctor.Status // "" means Failed
}

// Each server has one fault.
func faults() map[string]struct {
	change func(*farm)
	want   want
} {
	type fault = struct {
		change func(*farm)
		want   want
	}
	api := func(rung string, id diagnosis.ID, kind diagnosis.Kind) want {
		return want{rung, id, doctor.TheAPI, kind, ""}
	}
	issuer := func(rung string, id diagnosis.ID, kind diagnosis.Kind) want {
		return want{rung, id, doctor.TheIssuer, kind, ""}
	}
	you := func(rung string, id diagnosis.ID, kind diagnosis.Kind) want {
		return want{rung, id, doctor.You, kind, ""}
	}
	warning := func(w want) want { w.status = doctor.Warning; return w }
	later := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	answers := func(status int) func(*farm) { return func(f *farm) { f.status = status } }
	challenges := func(fields ...string) func(*farm) { return func(f *farm) { f.challenge = fields } }
	meta := func(name string, value any) func(*farm) { return func(f *farm) { f.meta[name] = value } }
	prm := func(name string, value any) func(*farm) { return func(f *farm) { f.prm[name] = value } }
	keys := func(text string) func(*farm) { return func(f *farm) { f.keys = text } }
	mcp := func(change func(*farm)) func(*farm) {
		return func(f *farm) { f.mcp, f.config.MCP = true, true; change(f) }
	}
	ec := `{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`

	return map[string]fault{
		"configuration": {func(f *farm) {
			f.config.Local = []doctor.Local{{Err: &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid}, Blocks: true}}
		}, you("0", diagnosis.ConfigInvalid, diagnosis.Usage)},
		"own clock":          {func(f *farm) { f.config.Now = func() time.Time { return time.Now().Add(time.Hour) } }, you("0", diagnosis.ClockSkew, diagnosis.Rejected)},
		"nobody listens":     {func(f *farm) { f.api.Close() }, you("1", diagnosis.Unreachable, diagnosis.Unavailable)},
		"no answer":          {func(f *farm) { f.config.HTTP.Timeout = 50 * time.Millisecond; f.status = -1 }, you("1", diagnosis.Timeout, diagnosis.Unavailable)},
		"issuer is down":     {func(f *farm) { f.issuer.Close() }, you("1", diagnosis.Unreachable, diagnosis.Unavailable)},
		"https to http":      {func(f *farm) { f.config.URL = strings.Replace(f.config.URL, "http:", "https:", 1) }, you("2", diagnosis.TLSMissing, diagnosis.Unavailable)},
		"http, not loopback": {func(f *farm) { f.config.URL = "http://api.example.com/items" }, you("2", diagnosis.InsecureURL, diagnosis.Usage)},

		"open":               {answers(200), api("3", diagnosis.NoTokenAccepted, diagnosis.Unsafe)},
		"login page":         {func(f *farm) { f.status, f.redirect = 302, "/login?next=x" }, api("3", diagnosis.RefusalStatus, diagnosis.Unsafe)},
		"403":                {answers(403), api("3", diagnosis.RefusalStatus, diagnosis.Unsafe)},
		"500":                {answers(500), api("3", diagnosis.ServerError, diagnosis.Unavailable)},
		"429":                {answers(429), api("3", diagnosis.RateLimited, diagnosis.Unavailable)},
		"no challenge":       {challenges(), api("4", diagnosis.ChallengeMissing, diagnosis.Unsafe)},
		"broken challenge":   {challenges(`Bearer realm="x`), api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe)},
		"Basic only":         {challenges(`Basic realm="x"`), api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe)},
		"relative metadata":  {challenges(`Bearer resource_metadata="/.well-known/x"`), api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe)},
		"empty metadata":     {challenges(`Bearer resource_metadata=""`), api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe)},
		"scope with quotes":  {challenges(`Bearer scope="a \"b\""`), api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe)},
		"error without need": {func(f *farm) { f.challenge[0] += `, error="invalid_token"` }, warning(api("4", diagnosis.ChallengeInvalid, diagnosis.Unsafe))},

		"no metadata":       {func(f *farm) { f.prmStatus = 404 }, api("5", diagnosis.MetadataNotFound, diagnosis.Unsafe)},
		"broken metadata":   {func(f *farm) { f.prmText = `{"resource":` }, api("5", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"metadata fails":    {func(f *farm) { f.prmStatus = 503 }, api("5", diagnosis.ServerError, diagnosis.Unavailable)},
		"other resource":    {prm("resource", "https://other.example/items"), api("6", diagnosis.PRMResourceMismatch, diagnosis.Unsafe)},
		"sibling resource":  {func(f *farm) { f.prm["resource"] = f.api.URL + "/item" }, api("6", diagnosis.PRMResourceMismatch, diagnosis.Unsafe)},
		"no server":         {prm("authorization_servers", []any{}), api("7", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"server as text":    {prm("authorization_servers", "x"), api("7", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"server by http":    {prm("authorization_servers", []any{"http://auth.example.com"}), api("7", diagnosis.InsecureEndpoint, diagnosis.Unsafe)},
		"slash of a root":   {func(f *farm) { f.path, f.config.URL, f.prm["resource"] = "/", f.api.URL, f.api.URL+"/" }, warning(api("6", diagnosis.PRMResourceMismatch, diagnosis.Unsafe))},
		"no issuer":         {func(f *farm) { f.metaStatus = 404 }, issuer("8", diagnosis.MetadataNotFound, diagnosis.Unsafe)},
		"issuer fails":      {func(f *farm) { f.metaStatus = 503 }, issuer("8", diagnosis.ServerError, diagnosis.Unavailable)},
		"other issuer":      {meta("issuer", "https://other.example"), issuer("9", diagnosis.IssDiscoveryMismatch, diagnosis.Unsafe)},
		"issuer unnamed":    {meta("issuer", nil), issuer("9", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"issuer's slash":    {func(f *farm) { f.prm["authorization_servers"] = []any{f.issuer.URL + "/"} }, api("9", diagnosis.IssSlash, diagnosis.Unsafe)},
		"no token endpoint": {meta("token_endpoint", nil), issuer("10", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"token by http":     {meta("token_endpoint", "http://auth.example.com/token"), issuer("10", diagnosis.InsecureEndpoint, diagnosis.Unsafe)},
		"no authorization":  {meta("authorization_endpoint", ""), issuer("10", diagnosis.MetadataInvalid, diagnosis.Unsafe)},
		"plain PKCE":        {meta("code_challenge_methods_supported", []any{"plain"}), issuer("11", diagnosis.PKCEDowngrade, diagnosis.Unsafe)},
		"PKCE unannounced":  {meta("code_challenge_methods_supported", nil), warning(issuer("11", diagnosis.PKCEDowngrade, diagnosis.Unsafe))},

		"no key set":        {func(f *farm) { f.keysStatus = 500 }, issuer("13", diagnosis.KeysUnavailable, diagnosis.Unavailable)},
		"no key":            {keys(`{"keys":[]}`), issuer("13", diagnosis.KeySetEmpty, diagnosis.Unsafe)},
		"key set is HTML":   {keys("<html>"), issuer("13", diagnosis.KeySetInvalid, diagnosis.Unsafe)},
		"private key":       {keys(`{"keys":[` + ec + `,"d":"AAAA"}]}`), issuer("13", diagnosis.KeyRefused, diagnosis.Unsafe)},
		"kid twice":         {keys(`{"keys":[` + ec + `},` + ec + `}]}`), issuer("13", diagnosis.KeyRefused, diagnosis.Unsafe)},
		"keys not stored":   {func(f *farm) { f.keysHeader.Set("Cache-Control", "no-store") }, warning(issuer("13", diagnosis.KeysUnavailable, diagnosis.Unavailable))},
		"API's clock":       {func(f *farm) { f.apiHeader.Set("Date", later(2*time.Hour)) }, api("14", diagnosis.ClockSkew, diagnosis.Rejected)},
		"issuer's clock":    {func(f *farm) { f.issuerHeader.Set("Date", later(-time.Minute)) }, issuer("14", diagnosis.ClockSkew, diagnosis.Rejected)},
		"no registration":   {meta("registration_endpoint", nil), you("15", diagnosis.NoRegistrationPath, diagnosis.Usage)},
		"scope not offered": {meta("scopes_supported", []any{"openid", "other"}), api("16", diagnosis.ScopeRefused, diagnosis.Unsafe)},
		"no grant":          {meta("grant_types_supported", []any{"implicit", "password"}), issuer("16", diagnosis.EndpointMissing, diagnosis.Unsafe)},
		"CORS in part": {func(f *farm) {
			f.apiHeader.Set("Access-Control-Allow-Origin", "*")
			f.preflight = http.Header{"Access-Control-Allow-Headers": {"authorization"}}
		}, warning(api("17", diagnosis.CORSMissing, diagnosis.Unsafe))},
		"token page":         {func(f *farm) { f.config.Deep, f.tokenAnswer = true, "<html>" }, warning(issuer("20", diagnosis.TokenEndpointShape, diagnosis.Unsafe))},
		"token endpoint 404": {func(f *farm) { f.config.Deep, f.tokenStatus = true, 404 }, issuer("20", diagnosis.TokenEndpointShape, diagnosis.Unsafe)},

		"MCP page":        {mcp(func(f *farm) { f.getStatus, f.getType = 200, "text/html" }), api("M1", diagnosis.TransportInvalid, diagnosis.Unsafe)},
		"MCP, any origin": {mcp(func(f *farm) { f.open, f.anyOrigin = true, true }), api("M2", diagnosis.OriginAccepted, diagnosis.Unsafe)},
		"MCP, no scopes": {mcp(func(f *farm) {
			f.prm["scopes_supported"] = nil
			f.challenge = []string{`Bearer resource_metadata="` + f.api.URL + `/.well-known/oauth-protected-resource/items"`}
		}), warning(api("M4", diagnosis.ScopeRefused, diagnosis.Unsafe))},
	}
}

func TestExamineFindsTheFirstFault(t *testing.T) {
	for name, tt := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			tt.change(f)
			report, err := doctor.Examine(t.Context(), f.config)
			if err != nil {
				t.Fatal(err)
			}
			first := report.First(true)
			if first == nil {
				t.Fatalf("nothing was found\n%s", lines(report))
			}
			got := want{first.Rung, first.ID, first.Owner, first.Fault().Kind(), first.Status}
			if tt.want.status == "" {
				tt.want.status = doctor.Failed
			}
			if got != tt.want {
				t.Errorf("got %v, want %v\n%s", got, tt.want, lines(report))
			}
			if ofConnection := first.Rung == "1" || first.Rung == "2"; first.Request != nil && first.Request.Connection != ofConnection || ofConnection && first.Request == nil {
				t.Errorf("about the connection: %+v", first.Request)
			}
			if first.Fix == "" || first.Text == "" {
				t.Errorf("no fix or no text: %+v", first)
			}
			f.sent("issuer POST /token")
		})
	}
}

func lines(r *doctor.Report) string {
	var b strings.Builder
	for _, x := range r.Results {
		fmt.Fprintf(&b, "%s %s %s %s %s: %v %v\n", x.Rung, x.Name, x.Status, x.ID, x.Text, x.Expected, x.Got)
	}
	return b.String()
}

// Correct servers have neither a failure nor a warning.
func TestExamineGoodServers(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*farm)
		kind   doctor.Kind
	}{
		"API":                {func(*farm) {}, doctor.API},
		"issuer":             {func(f *farm) { f.config.URL = f.issuer.URL }, doctor.Issuer},
		"issuer's document":  {func(f *farm) { f.config.URL = f.issuer.URL + "/.well-known/oauth-authorization-server" }, doctor.Issuer},
		"API's document":     {func(f *farm) { f.config.URL = f.api.URL + "/.well-known/oauth-protected-resource/items" }, doctor.API},
		"below the resource": {func(f *farm) { f.config.URL = f.api.URL + "/items/7" }, doctor.API},
		"no operation":       {func(f *farm) { f.status = 404 }, doctor.API},
		"open root":          {func(f *farm) { f.status, f.config.URL, f.prm["resource"] = 200, f.api.URL, f.api.URL }, doctor.API},
		"OpenID scopes only": {func(f *farm) { f.meta["scopes_supported"] = []any{"openid", "email"} }, doctor.API},
		"client credentials": {func(f *farm) { f.meta["grant_types_supported"] = []any{"client_credentials"} }, doctor.API},
		"deep":               {func(f *farm) { f.config.Deep = true }, doctor.API},
		"age of a cache": {func(f *farm) {
			f.apiHeader.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			f.apiHeader.Set("Age", "3600")
		}, doctor.API},
		"keys only": {func(f *farm) { f.meta = map[string]any{"issuer": f.issuer.URL, "jwks_uri": f.issuer.URL + "/jwks"} }, doctor.API},
		"encryption key": {func(f *farm) {
			f.keys = strings.Replace(f.keys, `[`, `[{"kty":"OKP","crv":"X25519","kid":"e","use":"enc","x":"AA"},`, 1)
		}, doctor.API},
		"MCP":                 {func(f *farm) { f.mcp, f.config.MCP = true, true }, doctor.MCP},
		"MCP, 401 to GET":     {func(f *farm) { f.mcp, f.config.MCP, f.getStatus = true, true, 401 }, doctor.MCP},
		"MCP, stream":         {func(f *farm) { f.mcp, f.config.MCP, f.getStatus, f.getType = true, true, 200, "text/event-stream" }, doctor.MCP},
		"MCP, without tokens": {func(f *farm) { f.mcp, f.config.MCP, f.open = true, true, true }, doctor.MCP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			tt.change(f)
			report, err := doctor.Examine(t.Context(), f.config)
			if err != nil {
				t.Fatal(err)
			}
			if first := report.First(true); first != nil || report.Kind != tt.kind {
				t.Errorf("kind %s\n%s", report.Kind, lines(report))
			}
			f.sent("issuer POST /token")
		})
	}
}

// An MCP server is recognised by its responses, or by the last segment of its
// URL.
func TestExamineRecognisesMCP(t *testing.T) {
	for name, change := range map[string]func(*farm){
		"session header": func(f *farm) { f.apiHeader.Set("Mcp-Session-Id", "1") },
		"JSON-RPC":       func(f *farm) { f.body, f.getStatus = `{"jsonrpc":"2.0","error":{"code":-32000}}`, 401 },
		"path": func(f *farm) {
			f.path, f.config.URL, f.prm["resource"] = "/mcp", f.api.URL+"/mcp", f.api.URL+"/mcp"
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFarm(t)
			f.mcp = true
			change(f)
			report, err := doctor.Examine(t.Context(), f.config)
			if err != nil || report.Kind != doctor.MCP {
				t.Errorf("kind %s, %v\n%s", report.Kind, err, lines(report))
			}
		})
	}
}

// A failure skips the rungs that need the failed one, and no others.
func TestExamineContinues(t *testing.T) {
	f := newFarm(t)
	f.challenge, f.meta["token_endpoint"] = nil, nil
	report, err := doctor.Examine(t.Context(), f.config)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]doctor.Status{}
	for _, r := range report.Results {
		got[r.Name] = r.Status
	}
	for name, status := range map[string]doctor.Status{
		"challenge": doctor.Failed, "resource metadata": doctor.Passed, "endpoints": doctor.Failed, "client": doctor.NotReached,
		"key set": doctor.Passed, "session": doctor.NotReached, "call": doctor.NotReached,
	} {
		if got[name] != status {
			t.Errorf("%s is %s, want %s\n%s", name, got[name], status, lines(report))
		}
	}
}

func TestExamineCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	for name, tt := range map[string]struct {
		config *tls.Config
		now    time.Time
		want   diagnosis.ID
		status doctor.Status
	}{
		"unknown authority": {nil, time.Now(), diagnosis.TLSUntrusted, doctor.Failed},
		"ends soon":         {&tls.Config{InsecureSkipVerify: true}, server.Certificate().NotAfter.Add(-48 * time.Hour), diagnosis.TLSUntrusted, doctor.Warning}, //nolint:gosec // the test's own server
		"valid":             {&tls.Config{InsecureSkipVerify: true}, time.Now(), "", doctor.Passed},                                                              //nolint:gosec // the test's own server
	} {
		t.Run(name, func(t *testing.T) {
			client := &safehttp.Client{Transport: safehttp.NewTransport(tt.config)}
			report, err := doctor.Examine(t.Context(), doctor.Config{URL: server.URL, HTTP: client, Now: func() time.Time { return tt.now }})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if want := map[bool]string{true: server.Listener.Addr().String()}[r.Name == "tls"]; r.Host != want {
					t.Errorf("%s examined the certificate of %q, want %q", r.Name, r.Host, want)
				}
				if r.Name == "tls" && (r.ID != tt.want || r.Status != tt.status || r.Status != doctor.Passed && r.Owner != doctor.TheAPI) {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// Without a URL only this machine is examined.
func TestExamineMachine(t *testing.T) {
	report, err := doctor.Examine(t.Context(), doctor.Config{Local: []doctor.Local{{Text: "no proxy"}}})
	if err != nil || len(report.Results) != 1 || report.Results[0].Text != "no proxy" {
		t.Errorf("%v %s", err, lines(report))
	}
}
