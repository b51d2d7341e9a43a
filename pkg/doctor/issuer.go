package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// issuerMetadata searches for the issuer's metadata at its well-known URLs.
func (e *examination) issuerMetadata(ctx context.Context) finding {
	if e.issuerURL == "" {
		switch own := e.configured(profile.Issuer); {
		case e.kind == Issuer:
			e.issuerURL = e.config.URL
		case own != "":
			e.issuerURL = own
		default:
			return skipped("unknown issuer")
		}
	}
	e.seekServer(ctx, e.issuerURL)
	if e.serverErr != nil && e.aboutIssuer() {
		return passed("found") // the next rung reports what is wrong with it
	}
	if e.serverErr != nil {
		f := failedWith(e.serverErr, e.lastRequest(e.serverTrail))
		if f.id == diagnosis.MetadataNotFound {
			f.got = diagnosis.Values{"nothing at " + counted(len(e.serverTrail), "URL")}
			f.expected = nil
			for _, step := range e.serverTrail {
				f.expected = append(f.expected, step.URL)
			}
			if len(e.serverTrail) > 0 {
				f.request = &Request{Method: http.MethodGet, URL: e.serverTrail[0].URL}
				f.fix = "publish the metadata at " + e.serverTrail[0].URL
			}
		}
		return f
	}
	found := e.serverTrail[len(e.serverTrail)-1].URL
	switch len(e.serverTrail) {
	case 3:
		// OpenID Connect Discovery, section 4, defines this URL.
		f := noted("found only at the OpenID Connect URL: " + found)
		f.request = &Request{Method: http.MethodGet, URL: e.serverTrail[0].URL}
		return f.fixedBy("publish it at " + e.serverTrail[0].URL + " too, for clients that support only RFC 8414")
	case 4:
		f := failed(diagnosis.MetadataNotFound, "found at a URL that no specification defines: "+found, &Request{Method: http.MethodGet, URL: e.serverTrail[0].URL})
		f.expected, f.got = diagnosis.Values{e.serverTrail[0].URL}, diagnosis.Values{found}
		return f.warned().fixedBy("publish the metadata at " + e.serverTrail[0].URL)
	}
	return passed("found at " + e.pathOf(found))
}

// aboutIssuer reports whether the metadata was found, and its content is the fault.
func (e *examination) aboutIssuer() bool {
	var (
		d      *diagnosis.Diagnosis
		member *discovery.Problem
	)
	return errors.As(e.serverErr, &d) && slices.Contains([]diagnosis.ID{diagnosis.IssDiscoveryMismatch, diagnosis.IssSlash}, d.ID) ||
		errors.As(e.serverErr, &member)
}

// issuer checks that the metadata has the expected issuer. If it has another one, and
// the metadata of that one is correct, the expected issuer was written incorrectly.
func (e *examination) issuer(ctx context.Context) finding {
	if e.serverErr == nil {
		return passed(e.server.Issuer)
	}
	f := failedWith(e.serverErr, e.lastRequest(e.serverTrail))
	if len(f.got) == 1 && originOf(f.got[0]) == originOf(e.issuerURL) && f.id != diagnosis.MetadataInvalid {
		if server, err := discovery.FindServer(ctx, e.config.HTTP, f.got[0]); err == nil {
			switch {
			case e.issuerListed:
				f.owner, f.fix = TheAPI, "list "+server.Issuer+" in authorization_servers, exactly as in the issuer's metadata"
			default:
				f.owner, f.fix = You, "use "+server.Issuer+", exactly as in the issuer's metadata"
			}
			return f
		}
	}
	return f.fixedBy("publish the issuer as " + e.issuerURL + ", or give clients the URL that is published")
}

// endpoints checks the endpoints that a login needs.
func (e *examination) endpoints(context.Context) finding {
	r := e.lastRequest(e.serverTrail)
	for _, name := range []string{"authorization_endpoint", "token_endpoint"} {
		_, err := e.server.Endpoint(name)
		var d *diagnosis.Diagnosis
		if errors.As(err, &d) && d.ID != diagnosis.EndpointMissing {
			return failedWith(err, r)
		}
	}
	switch {
	case e.server.TokenEndpoint == "":
		return noted("no token_endpoint: no token can be requested from this issuer")
	case originOf(e.server.TokenEndpoint) != originOf(e.server.Issuer):
		return noted("the token endpoint is at another host: " + hostOf(e.server.TokenEndpoint))
	}
	return passed("at " + hostOf(e.server.TokenEndpoint))
}

// pkce checks that the server announces S256.
func (e *examination) pkce(context.Context) finding {
	methods := e.server.CodeChallengeMethodsSupported
	f := failed(diagnosis.PKCEDowngrade, "", e.lastRequest(e.serverTrail))
	f.expected, f.got = diagnosis.Values{"code_challenge_methods_supported with S256"}, diagnosis.Values(methods)
	switch {
	case e.server.AuthorizationEndpoint == "":
		return finding{}
	case slices.Contains(methods, "S256"):
		return passed("S256")
	case len(methods) == 0:
		f.got, f.text = diagnosis.None, "not announced; login uses S256 anyway"
		return f.warned().fixedBy(`add "code_challenge_methods_supported": ["S256"] to the metadata`)
	}
	f.text = "announced without S256"
	return f.fixedBy(`support S256 and add it to code_challenge_methods_supported`)
}

// issParameter checks whether authorization responses contain iss (RFC 9207).
func (e *examination) issParameter(context.Context) finding {
	switch {
	case e.server.AuthorizationEndpoint == "":
		return finding{}
	case e.server.AuthorizationResponseIssParameterSupported:
		return passed("announced")
	}
	f := noted("not announced, so a client with several servers cannot see which one sent a response")
	f.id, f.request = diagnosis.IssParam, e.lastRequest(e.serverTrail)
	return f.fixedBy("add iss to the authorization response and authorization_response_iss_parameter_supported to the metadata")
}

// keySet fetches the issuer's keys and checks them.
func (e *examination) keySet(ctx context.Context) finding {
	uri, err := e.server.Endpoint("jwks_uri")
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) && d.ID != diagnosis.EndpointMissing {
		return failedWith(err, e.lastRequest(e.serverTrail))
	}
	if err != nil {
		return noted("no jwks_uri: the issuer's tokens can be verified only by introspection")
	}
	a, r, err := e.ask(ctx, http.MethodGet, uri, nil, "")
	if isNotRecorded(err) {
		return skipped(errNotRecorded.Error())
	}
	if err != nil {
		f := failed(diagnosis.KeysUnavailable, "the key set cannot be fetched: "+err.Error(), r)
		f.expected = diagnosis.Values{"200 with a key set"}
		return f
	}
	f := failed(diagnosis.KeysUnavailable, "the key set cannot be fetched", r)
	f.expected, f.got = diagnosis.Values{"200 with a key set"}, diagnosis.Values{statusText(a.status)}
	if a.status != http.StatusOK {
		return f
	}
	if e.keys, err = jwks.Parse(a.body); err != nil {
		e.keys = nil
		return failedWith(err, r)
	}
	if exposed := e.keys.Exposed(); len(exposed) > 0 {
		f := failedWith(ofServer(exposed[0].Reason), r)
		f.text = fmt.Sprintf("key %d of the set %s must not be published like this", exposed[0].Index+1, diagnosis.Quote(exposed[0].ID))
		return f.fixedBy("publish public keys of at least 2048 bits, each with a different kid; replace a key whose private part was published")
	}
	if len(e.keys.All()) == 0 {
		_, err := e.keys.Keys(ctx, jwks.Query{})
		return failedWith(ofServer(err), r)
	}
	if cache := strings.ToLower(strings.Join(a.header.Values("Cache-Control"), ",")); strings.Contains(cache, "no-store") {
		f.text, f.expected, f.got = "Cache-Control does not allow caching the key set", diagnosis.Values{"Cache-Control: max-age=300"}, diagnosis.Values{cache}
		return f.warned().fixedBy("send Cache-Control: max-age=300, so that APIs need not fetch the keys for each token")
	}
	return passed(counted(len(e.keys.All()), "key"))
}

// ofServer returns a Diagnosis about a key as a fault of the server instead of a
// token.
func ofServer(err error) error {
	d, ok := errors.AsType[*diagnosis.Diagnosis](err)
	if !ok {
		return err
	}
	own := *d
	own.As = diagnosis.Unsafe
	return &own
}

// client checks that a login can get a client id.
func (e *examination) client(ctx context.Context) finding {
	if e.server.TokenEndpoint == "" {
		return finding{}
	}
	a := e.config.Account
	switch {
	case e.configured(profile.ClientID) != "":
		return passed("the profile's client " + e.configured(profile.ClientID))
	case e.server.ClientIDMetadataDocumentSupported && e.configured(profile.ClientMetadataURL) != "":
		return passed("the server accepts the client document " + e.configured(profile.ClientMetadataURL))
	case e.server.RegistrationEndpoint != "":
		return passed("the server registers clients")
	}
	f := failed(diagnosis.NoRegistrationPath, "no client is configured, and the server registers none", e.lastRequest(e.serverTrail))
	f.expected, f.got = diagnosis.Values{"registration_endpoint", "a client id"}, diagnosis.None
	if e.server.ClientIDMetadataDocumentSupported {
		f.expected = append(f.expected, string(profile.ClientMetadataURL))
	}
	if a != nil {
		if _, err := a.Stored(); err == nil {
			return f.warned().by(TheIssuer) // a session exists
		}
	}
	return f
}

// standardScopes lists the scopes of OpenID Connect. A server may list only these
// and not the scopes of APIs (RFC 8414, section 2).
var standardScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// scopes checks that the server offers the scopes that the API's challenge requests.
func (e *examination) scopes(context.Context) finding {
	grants := []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "client_credentials"}
	works := len(e.server.GrantTypesSupported) == 0 || slices.ContainsFunc(grants, func(g string) bool { return slices.Contains(e.server.GrantTypesSupported, g) })
	if !works && e.server.TokenEndpoint != "" {
		f := failed(diagnosis.EndpointMissing, "the server supports no grant that a login can use", e.lastRequest(e.serverTrail))
		f.expected, f.got = grants, e.server.GrantTypesSupported
		return f.by(TheIssuer).fixedBy("allow authorization_code, and announce it in grant_types_supported")
	}
	if e.resource == nil {
		return finding{}
	}
	var missing []string
	for _, scope := range e.resource.ChallengeScope {
		if !slices.Contains(e.server.ScopesSupported, scope) {
			missing = append(missing, scope)
		}
	}
	listsOthers := slices.ContainsFunc(e.server.ScopesSupported, func(s string) bool { return !slices.Contains(standardScopes, s) })
	switch {
	case len(e.resource.ChallengeScope) == 0:
		return passed("the API's challenge requests none")
	case len(missing) == 0 && len(e.server.ScopesSupported) > 0:
		return passed(strings.Join(e.resource.ChallengeScope, " "))
	case !listsOthers:
		return noted("the server does not list the scopes of APIs")
	}
	f := failed(diagnosis.ScopeRefused, "the server does not offer a scope that the API's challenge requests", e.unauthenticated().request)
	f.expected, f.got = e.server.ScopesSupported, missing
	return f.fixedBy("add the scope to scopes_supported at the issuer, or correct the challenge")
}

// tokenEndpoint sends a token request with an invalid code and checks the error
// response.
func (e *examination) tokenEndpoint(ctx context.Context) finding {
	if !e.config.Deep || e.server.TokenEndpoint == "" {
		return finding{}
	}
	a, r, err := e.ask(ctx, http.MethodPost, e.server.TokenEndpoint, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		"grant_type=authorization_code&code=invalid&client_id=oauthctl-doctor&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback&code_verifier="+strings.Repeat("doctor", 8))
	if err != nil {
		return failedWith(err, r)
	}
	f := failed(diagnosis.TokenEndpointShape, "the response to an invalid code does not follow RFC 6749", r)
	f.expected, f.got = diagnosis.Values{"400 or 401 with a JSON object"}, diagnosis.Values{statusText(a.status) + ", " + mediaType(a)}
	switch {
	case e.config.Recording != nil && a.status < 300 && a.isJSON(): // the recorded grant was valid
	case a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized:
		return f.fixedBy("return 400, or 401 for an unknown client, with a JSON object that has the member error")
	case !a.isJSON():
		return f.warned().fixedBy("return errors as a JSON object that has the member error")
	}
	return passed(statusText(a.status) + " with JSON")
}

func mediaType(a *answer) string {
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind != "" {
		return kind
	}
	return "no Content-Type"
}
