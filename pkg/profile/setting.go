package profile

import (
	"strings"

	"github.com/go-json-experiment/json"
)

// Key names one setting of a profile, as the file spells it.
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
	GrantType                   Key = "grant_type"
	Scope                       Key = "scope"
	API                         Key = "api"
	Audience                    Key = "audience"
	Resource                    Key = "resource"
	Param                       Key = "param"
	RedirectURI                 Key = "redirect_uri"
	AccessTokenTTL              Key = "access_token_ttl"
	AssumeBearer                Key = "assume_bearer"
	StoreKind                   Key = "store"
	CACert                      Key = "ca_cert"
	ClientCert                  Key = "client_cert"
	ClientKey                   Key = "client_key"
)

// A Setting is a row of the table of what a profile holds. The file's key and
// the variable OAUTHCTL_<KEY> are made from it.
type Setting struct {
	Key  Key
	Help string
	// Forms are the prefixes of a value that only says where a secret is; such a
	// setting never holds the secret itself.
	Forms []string
	// List says that the setting holds several values; see [ParseList].
	List bool
	// Server says that the value is a property of one authorization server, and
	// means nothing at another one.
	Server bool
	// Credential says that the value proves the client's identity.
	Credential bool
}

// Settings returns the table, in the order in which it is documented.
func Settings() []Setting {
	return []Setting{
		{Key: Issuer, Help: "the authorization server's issuer URL", Server: true},
		{Key: Provider, Help: "the provider whose settings are known: keycloak, auth0, okta, entra, google, github, gitlab or cognito", Server: true},
		{Key: MetadataURL, Help: "the URL of the server's metadata, where it is not at a place made from the issuer", Server: true},
		{Key: AuthorizationEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: TokenEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: DeviceAuthorizationEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: IntrospectionEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: RevocationEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: UserinfoEndpoint, Help: "the URL of that endpoint, for a server whose metadata lacks it", Server: true},
		{Key: JWKSURI, Help: "the URL of the server's key set, for a server whose metadata lacks it", Server: true},
		{Key: ClientID, Help: "the client's id at that server", Server: true},
		{Key: ClientSecret, Help: "where the client's secret is: env:NAME, file:PATH or command:CMD", Forms: []string{"env:", "file:", "command:"}, Server: true, Credential: true},
		{Key: AuthMethod, Help: "how the client authenticates, for instance client_secret_basic", Server: true},
		{Key: SigningKey, Help: "the private key file for private_key_jwt", Server: true, Credential: true},
		{Key: ClientAssertion, Help: "where the client's assertion is: ci:github, ci:gitlab:NAME or @FILE", Forms: []string{"ci:", "@"}, Server: true, Credential: true},
		{Key: ClientMetadataURL, Help: "the https URL of a document that describes the client, for servers that accept it as client id"},
		{Key: AssertionAudience, Help: "the audience of client assertions (default: the issuer)", Server: true},
		{Key: Assertion, Help: "where the assertion of the grant jwt-bearer is: ci:github, ci:gitlab:NAME or @FILE", Forms: []string{"ci:", "@"}, Server: true, Credential: true},
		{Key: GrantType, Help: "how a login gets its token: authorization_code, device_code, client_credentials or jwt-bearer", Server: true},
		{Key: Scope, Help: "the scopes a login asks for, separated by spaces", List: true, Server: true},
		{Key: API, Help: "the API's base URL, to which `call` appends paths", Server: true},
		{Key: Audience, Help: "the audiences `verify` expects and a login asks for, separated by spaces", List: true, Server: true},
		{Key: Resource, Help: "the resource indicators sent on every token request (RFC 8707), separated by spaces", List: true, Server: true},
		{Key: Param, Help: "further parameters of the login's requests, NAME=VALUE, separated by spaces", List: true, Server: true},
		{Key: RedirectURI, Help: "the redirect URI, exactly as registered"},
		{Key: AccessTokenTTL, Help: "how long access tokens live at a server that does not say, for instance 1h", Server: true},
		{Key: AssumeBearer, Help: "true for a server whose token responses lack token_type or use one of their own", Server: true},
		{Key: StoreKind, Help: "where new sessions are kept: auto, keyring, file or memory"},
		{Key: CACert, Help: "a PEM file of certificates to trust as well"},
		{Key: ClientCert, Help: "the PEM file of the certificate to present (mTLS)", Server: true, Credential: true},
		{Key: ClientKey, Help: "the PEM file of that certificate's private key", Server: true, Credential: true},
	}
}

// Lookup returns the setting of a key, and whether there is one.
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

// Variable returns the name of the environment variable that sets the key.
func (k Key) Variable() string { return "OAUTHCTL_" + strings.ToUpper(string(k)) }

// Holds reports whether a profile may hold value: a setting that says where a
// secret is holds nothing else. An empty value removes a setting.
func (s Setting) Holds(value string) bool {
	if len(s.Forms) == 0 || value == "" {
		return true
	}
	for _, form := range s.Forms {
		if rest, ok := strings.CutPrefix(value, form); ok && rest != "" {
			return true
		}
	}
	return false
}

// ParseList splits the text of a setting that holds several values: a JSON array
// of strings, or values separated by white space. Only the array can express a
// value that contains a space.
func ParseList(text string) []string {
	var list []string
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	return strings.Fields(text)
}

// JoinList is the inverse of [ParseList]; it writes an array only where a value
// needs one.
func JoinList(list []string) string {
	text := strings.Join(list, " ")
	if again := ParseList(text); equal(again, list) {
		return text
	}
	array, err := json.Marshal(list)
	if err != nil { // not for strings; invalid UTF-8 is replaced
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
