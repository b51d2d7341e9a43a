// Package profile manages the settings for an authorization server and an API, so
// that later commands need no flags: the profile file, and the effective profile
// with overrides from the environment and flags.
//
// Start with [Load] and [File.Resolve]. A program without a profile file starts
// with [New]. A [Profile] is immutable and is resolved once, so that all its uses
// concern the same server, client and API. [Update] changes the file under a lock,
// so that concurrent writers lose no change.
//
// Each value has an [Origin], and each credential belongs to the server that it
// was configured for: [Profile.Credential] does not return a secret for another
// server, because a client id is unique only at one server (RFC 6749, section
// 2.2). The package opens no connection. It reads a secret only in [ReadCredential]
// and [Profile.TLS].
package profile

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// ErrOtherOwner is the error in CONFIG_INSECURE when a file, or its directory,
// belongs to another user than this one and root.
var ErrOtherOwner = errors.New("another user owns it")

// Values holds settings by key. An empty value means that the setting is
// absent.
type Values map[Key]string

// Origin is the source of a value. A higher origin overrides a lower one.
type Origin int

// Origins, from lowest to highest precedence.
const (
	Unset       Origin = iota // no value
	Preset                    // a provider preset
	Saved                     // the profile file
	Environment               // an environment variable
	Flag                      // the command line
	Found                     // discovery or registration, during this run
	origins
)

// Profile is an effective profile. It is immutable and safe for concurrent use.
type Profile struct {
	name     string
	nameFrom Origin
	path     string
	exists   bool
	layers   [origins]Values
	owners   [origins]Owner // of the credentials, by origin
}

// Owner identifies the server and the client of a credential. An empty field
// means unknown.
type Owner struct {
	Server   string // the issuer, or the token endpoint if there is none
	ClientID string
}

// New returns a profile with the given values that is not stored in a file.
func New(name string, values Values) *Profile {
	p := &Profile{name: name, nameFrom: Flag}
	return p.With(Flag, values)
}

// Name returns the profile's name.
func (p *Profile) Name() string { return p.name }

// NameOrigin returns the source of the profile's name: Flag, Environment, Saved
// (the file's current profile) or Unset (the default).
func (p *Profile) NameOrigin() Origin { return p.nameFrom }

// Exists reports whether the profile is in the file.
func (p *Profile) Exists() bool { return p.exists }

// Path returns the path of the profile file, or "".
func (p *Profile) Path() string { return p.path }

// Get returns the value of a setting, or "" if it is not set.
func (p *Profile) Get(key Key) string {
	return p.layers[p.Origin(key)][key]
}

// List returns the values of a setting with several values, see [ParseList].
func (p *Profile) List(key Key) []string { return ParseList(p.Get(key)) }

// Origin returns the source of a setting's value.
func (p *Profile) Origin(key Key) Origin {
	lowest := Unset
	if describesServer(key) {
		lowest = p.serverBase()
	}
	for o := origins - 1; o > Unset && o >= lowest; o-- {
		if p.layers[o][key] != "" {
			return o
		}
	}
	return Unset
}

// describesServer reports whether a setting identifies the server. These
// settings are used together: an issuer of the environment is not combined with
// endpoints of the file, because a secret could be sent to them.
func describesServer(key Key) bool {
	switch key {
	case Issuer, MetadataURL, AuthorizationEndpoint, TokenEndpoint, DeviceAuthorizationEndpoint, IntrospectionEndpoint, RevocationEndpoint, UserinfoEndpoint, JWKSURI:
		return true
	}
	return false
}

// serverBase returns the lowest origin whose server is the effective one.
func (p *Profile) serverBase() Origin {
	base, server := Unset, ""
	for o := origins - 1; o > Unset; o-- {
		named := serverOf(p.layers[o])
		switch {
		case named == "" || named == server:
		case server == "":
			base, server = o, named
		default:
			return base
		}
		if server != "" {
			base = o
		}
	}
	return base
}

func serverOf(v Values) string {
	if v[Issuer] != "" {
		return v[Issuer]
	}
	return v[TokenEndpoint]
}

// Server returns the issuer of the effective authorization server, its token
// endpoint if there is no issuer, or "" if there is neither.
func (p *Profile) Server() string {
	if issuer := p.Get(Issuer); issuer != "" {
		return issuer
	}
	return p.Get(TokenEndpoint)
}

// With returns the profile with values added at one origin. Empty values are
// ignored.
func (p *Profile) With(origin Origin, values Values) *Profile {
	next := *p
	layer := maps.Clone(p.layers[origin])
	if layer == nil {
		layer = Values{}
	}
	for key, value := range values {
		if value != "" {
			layer[key] = value
		}
	}
	next.layers[origin] = layer
	if origin == Saved || origin == Environment {
		next.owners[origin] = next.owner(origin)
	}
	return &next
}

// owner returns the owner of the credentials of an origin: the server and client
// at that origin and the lower ones. Credentials of a higher origin are for this
// run and belong to the effective server.
func (p *Profile) owner(origin Origin) Owner {
	below := *p
	for o := origin + 1; o < origins; o++ {
		below.layers[o] = nil
	}
	return Owner{Server: below.Server(), ClientID: below.Get(ClientID)}
}

// Without returns the profile without the values of one origin for some
// settings, so that values of lower origins apply.
func (p *Profile) Without(origin Origin, keys ...Key) *Profile {
	next := *p
	next.layers[origin] = maps.Clone(p.layers[origin])
	for _, key := range keys {
		delete(next.layers[origin], key)
	}
	return &next
}

// At returns the profile for a login at a discovered server. Values in the file
// that belong to another server are removed, so that a secret is never sent to
// the wrong server.
func (p *Profile) At(server Values) *Profile {
	next := p
	if id := serverOf(server); id != serverOf(p.layers[Saved]) {
		for _, s := range Settings() {
			if s.Server {
				next = next.Without(Saved, s.Key)
			}
		}
	}
	return next.With(Found, server)
}

// Credential returns the value of a setting that authenticates one client at
// one server. It does not return a value that was configured for another server
// or client; if there is no other value, the error is a Diagnosis
// CREDENTIAL_ELSEWHERE with both.
func (p *Profile) Credential(key Key, target Owner) (string, error) {
	var misplaced error
	for o := origins - 1; o > Unset; o-- {
		value, owner := p.layers[o][key], p.owners[o]
		switch {
		case value == "":
			continue
		case owner.Server != "" && owner.Server != target.Server:
			misplaced = cmp.Or(misplaced, elsewhere(key, owner.Server, target.Server))
		case owner.ClientID != "" && owner.ClientID != target.ClientID:
			misplaced = cmp.Or(misplaced, elsewhere(key, "client "+owner.ClientID, "client "+target.ClientID))
		default:
			return value, nil
		}
	}
	return "", misplaced
}

func elsewhere(key Key, owner, target string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.CredentialElsewhere, Expected: diagnosis.Values{string(key) + " configured for " + target}, Got: diagnosis.Values{"one configured for " + owner}}
}

// Changes returns the changes to the file that store this profile: the values
// from flags and discovery, and the removal of values that belonged to another
// server. Values of the environment are not included. An empty value removes a
// setting.
func (p *Profile) Changes(before Values) Values {
	changes := Values{}
	for _, s := range Settings() {
		want := p.layers[Saved][s.Key]
		for _, o := range []Origin{Flag, Found} {
			if v := p.layers[o][s.Key]; v != "" {
				want = v
			}
		}
		if p.fromEnvironment(s.Key) {
			want = before[s.Key]
		}
		if want != before[s.Key] {
			changes[s.Key] = want
		}
	}
	return changes
}

// fromEnvironment reports whether a value is from the environment, even if
// discovery confirmed it.
func (p *Profile) fromEnvironment(key Key) bool {
	v := p.layers[Environment][key]
	found := p.layers[Found][key]
	return v != "" && p.layers[Flag][key] == "" && (found == "" || found == v)
}

// TLS returns the effective TLS settings, or nil if the system's are sufficient.
// Errors are Diagnoses: CONFIG_INVALID, or CREDENTIAL_ELSEWHERE for a certificate
// that was configured for another server.
func (p *Profile) TLS() (*tls.Config, error) {
	ca, key := p.Get(CACert), p.Get(ClientKey)
	cert, err := p.Credential(ClientCert, Owner{Server: p.Server(), ClientID: p.Get(ClientID)})
	if err != nil || ca == "" && cert == "" && key == "" {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		data, err := readPublic(ca)
		if err != nil {
			return nil, unreadable(string(CACert), err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, invalid(string(CACert), ca+" contains no PEM certificate")
		}
		config.RootCAs = pool
	}
	if cert != "" || key != "" {
		pair, err := keyPair(cert, key)
		if err != nil {
			return nil, unreadable(fmt.Sprintf("%s and %s", ClientCert, ClientKey), err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func keyPair(cert, key string) (tls.Certificate, error) {
	public, err := readPublic(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := ReadCredential(key, maxFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(public, private)
}

// readPublic reads a file of certificates. They are often part of a project, whose
// files other users may change.
func readPublic(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, path, maxFile)
}

// unreadable returns the error of a file to which a setting refers.
func unreadable(what string, err error) error {
	if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
		return d
	}
	return invalid(what, err.Error())
}

// invalid returns the error for an invalid value in the configuration.
func invalid(what, why string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Err: fmt.Errorf("%s: %s", what, why)}
}
