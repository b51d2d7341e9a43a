package profile

import (
	"strings"

	"github.com/go-json-experiment/json"
)

// Key is the name of a setting, as in the file.
type Key string

// The settings.
const (
	Provider                    Key = "provider"
	Issuer                      Key = "issuer"
	MetadataURL                 Key = "metadata_url"
	AuthorizationEndpoint       Key = "authorization_endpoint"
	TokenEndpoint               Key = "token_endpoint"
	DeviceAuthorizationEndpoint Key = "device_authorization_endpoint"
	IntrospectionEndpoint       Key = "introspection_endpoint"
	RevocationEndpoint          Key = "revocation_endpoint"
	UserinfoEndpoint            Key = "userinfo_endpoint"
	JWKSURI                     Key = "jwks_uri"
	ClientID                    Key = "client_id"
	ClientSecret                Key = "client_secret"
	AuthMethod                  Key = "auth_method"
	SigningKey                  Key = "signing_key"
	ClientAssertion             Key = "client_assertion"
	ClientMetadataURL           Key = "client_metadata_url"
	AssertionAudience           Key = "assertion_audience"
	Assertion                   Key = "assertion"
	SubjectToken                Key = "subject_token"
	SubjectTokenType            Key = "subject_token_type"
	GrantType                   Key = "grant_type"
	Scope                       Key = "scope"
	API                         Key = "api"
	Audience                    Key = "audience"
	Resource                    Key = "resource"
	Param                       Key = "param"
	RedirectURI                 Key = "redirect_uri"
	AccessTokenTTL              Key = "access_token_ttl"
	AssumeBearer                Key = "assume_bearer"
	TokenMember                 Key = "token_member"
	StoreKind                   Key = "store"
	CACert                      Key = "ca_cert"
	ClientCert                  Key = "client_cert"
	ClientKey                   Key = "client_key"
)

// A Setting is a row of the table of settings. The file's key and the variable
// OAUTHCTL_<KEY> are derived from it.
type Setting struct {
	Key Key
	// What says what the value is; see [Setting.Help].
	What string
	// Forms are the ways in which the value refers to a secret. Such a setting
	// never contains the secret itself.
	Forms []Form
	// List means that the setting has several values, see [ParseList].
	List bool
	// Server means that the value belongs to one authorization server.
	Server bool
	// Credential means that the value authenticates the client.
	Credential bool
}

// A Form is a reference to a secret: the prefix, and the name of what follows it,
// "" if nothing needs to follow.
type Form struct{ Prefix, Rest string }

// Settings returns the table, in the order of the documentation.
func Settings() []Setting {
	return []Setting{
		{Key: Issuer, What: "the authorization server's issuer URL", Server: true},
		{Key: Provider, What: "the provider, for its preset settings: keycloak, auth0, okta, entra, google, github, gitlab or cognito", Server: true},
		{Key: MetadataURL, What: "the URL of the server's metadata, if it is not derived from the issuer", Server: true},
		{Key: AuthorizationEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: TokenEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: DeviceAuthorizationEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: IntrospectionEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: RevocationEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: UserinfoEndpoint, What: "the URL of this endpoint, if the server's metadata lacks it", Server: true},
		{Key: JWKSURI, What: "the URL of the server's key set, if the server's metadata lacks it", Server: true},
		{Key: ClientID, What: "the client id", Server: true},
		{Key: ClientSecret, What: "the client secret", Forms: []Form{{"env:", "NAME"}, {"file:", "PATH"}, {"command:", "CMD"}}, Server: true, Credential: true},
		{Key: AuthMethod, What: "the client authentication method, for example client_secret_basic", Server: true},
		{Key: SigningKey, What: "the file of the private key for private_key_jwt", Server: true, Credential: true},
		{Key: ClientAssertion, What: "the client assertion", Forms: assertionForms(), Server: true, Credential: true},
		{Key: ClientMetadataURL, What: "the https URL of a client id metadata document, for servers that support it"},
		{Key: AssertionAudience, What: "the audience of client assertions (default: the issuer)", Server: true},
		{Key: Assertion, What: "the assertion for the jwt-bearer grant", Forms: assertionForms(), Server: true, Credential: true},
		{Key: SubjectToken, What: "the token to present with the token-exchange grant", Forms: assertionForms(), Server: true, Credential: true},
		{Key: SubjectTokenType, What: "the type of the subject token: access_token, id_token, jwt or a URI (default: access_token, or jwt for the token of a CI job)", Server: true},
		{Key: GrantType, What: "the grant of a login: authorization_code, device_code, client_credentials, jwt-bearer or token-exchange", Server: true},
		{Key: Scope, What: "the scopes to request, separated by spaces", List: true, Server: true},
		{Key: API, What: "the API's base URL, to which `call` appends paths", Server: true},
		{Key: Audience, What: "the audiences that `verify` expects and a login requests, separated by spaces", List: true, Server: true},
		{Key: Resource, What: "the resource indicators of every token request (RFC 8707), separated by spaces", List: true, Server: true},
		{Key: Param, What: "additional parameters of login requests, NAME=VALUE, separated by spaces", List: true, Server: true},
		{Key: RedirectURI, What: "the redirect URI, exactly as registered"},
		{Key: AccessTokenTTL, What: "the lifetime of access tokens without expires_in, for example 1h", Server: true},
		{Key: AssumeBearer, What: "true if the server's token responses lack token_type, or have one that is not standard", Server: true},
		{Key: TokenMember, What: "the member of a token response that holds the tokens, if the server nests them", Server: true},
		{Key: StoreKind, What: "where to store new sessions: auto, keyring, file or memory"},
		{Key: CACert, What: "a PEM file of additional CA certificates to trust"},
		{Key: ClientCert, What: "the PEM file of the client certificate (mTLS)", Server: true, Credential: true},
		{Key: ClientKey, What: "the PEM file of the client certificate's private key", Server: true, Credential: true},
	}
}

// assertionForms are the forms of a token that is read again for each use: that
// of the CI job, or a file that another program writes.
func assertionForms() []Form {
	return []Form{{"ci:github", ""}, {"ci:gitlab:", "NAME"}, {"@", "FILE"}}
}

// Help returns what the value is and, for a reference to a secret, its forms.
func (s Setting) Help() string {
	if len(s.Forms) == 0 {
		return s.What
	}
	return s.What + ": " + s.Form()
}

// Form lists the forms of the value, as in "env:NAME, file:PATH or command:CMD".
// It is "" for a setting that does not refer to a secret.
func (s Setting) Form() string {
	var b strings.Builder
	for i, form := range s.Forms {
		switch i {
		case 0:
		case len(s.Forms) - 1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(form.Prefix + form.Rest)
	}
	return b.String()
}

// Lookup returns the setting with that key, and whether it exists.
func Lookup(key Key) (Setting, bool) {
	for _, s := range Settings() {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// Keys returns the names of all settings, in the order of the table.
func Keys() []string {
	var keys []string
	for _, s := range Settings() {
		keys = append(keys, string(s.Key))
	}
	return keys
}

// NameVariable is the environment variable for the name of the profile.
const NameVariable = "OAUTHCTL_PROFILE"

// Variable returns the environment variable for the key.
func (k Key) Variable() string { return "OAUTHCTL_" + strings.ToUpper(string(k)) }

// Holds reports whether value is allowed in a profile: a setting that refers to
// a secret must have one of its forms. An empty value removes a setting and is
// allowed.
func (s Setting) Holds(value string) bool {
	if len(s.Forms) == 0 || value == "" {
		return true
	}
	for _, form := range s.Forms {
		if rest, ok := strings.CutPrefix(value, form.Prefix); ok && (rest != "" || form.Rest == "") {
			return true
		}
	}
	return false
}

// ParseList parses the value of a setting with several values: a JSON array of
// strings, or values separated by white space. Only an array can express a value
// with a space.
func ParseList(text string) []string {
	var list []string
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	return strings.Fields(text)
}

// JoinList is the inverse of [ParseList]. It uses an array only if a value
// needs one.
func JoinList(list []string) string {
	text := strings.Join(list, " ")
	if again := ParseList(text); equal(again, list) {
		return text
	}
	array, err := json.Marshal(list)
	if err != nil { // cannot happen for strings; invalid UTF-8 is replaced
		return text
	}
	return string(array)
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
