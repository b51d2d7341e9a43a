// Package profile holds what a user has settled about one authorization server
// and API, so that later commands need no flags: the profile file, and what a
// profile comes to when the environment and the flags are laid over it.
//
// Start with [Load] and [File.Resolve]; a program that has no file starts with
// [New]. A [Profile] is immutable and is resolved once: everything that is done
// with it concerns the same server, client and API until the program ends.
// [Update] changes the file under a lock, so that parallel writers lose nothing.
//
// A value knows its [Origin], and a credential the server that it was configured
// for: [Profile.Credential] refuses a secret that was meant for another one, since
// equal client ids mean nothing (RFC 6749, section 2.2). The package opens no
// connection and reads no secret.
package profile

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Values are settings by key. An empty value is an absent one.
type Values map[Key]string

// Origin says where a value came from. A higher origin hides a lower one.
type Origin int

// The origins, from the lowest to the highest.
const (
	Unset       Origin = iota // there is no value
	Preset                    // what is known of a provider
	Saved                     // the profile file
	Environment               // a variable
	Flag                      // the command line
	Found                     // discovery or registration, during this run
	origins
)

// Profile is a profile in force. It is immutable and safe for concurrent use.
type Profile struct {
	name     string
	nameFrom Origin
	path     string
	exists   bool
	layers   [origins]Values
	owners   [origins]Owner // of the credentials of each origin
}

// Owner is the server and the client that a credential was configured for. An
// empty field means that nothing was said.
type Owner struct {
	Server   string // the issuer or, where there is none, the token endpoint
	ClientID string
}

// New returns a profile of the values given, which no file holds.
func New(name string, values Values) *Profile {
	p := &Profile{name: name, nameFrom: Flag}
	return p.With(Flag, values)
}

// Name is the profile's name.
func (p *Profile) Name() string { return p.name }

// NameOrigin says who chose the profile: Flag, Environment, Saved (the file's
// current profile) or Unset (the default).
func (p *Profile) NameOrigin() Origin { return p.nameFrom }

// Exists reports whether the file holds the profile.
func (p *Profile) Exists() bool { return p.exists }

// Path is the profile file, "" where there is none.
func (p *Profile) Path() string { return p.path }

// Get returns the text of a setting, "" if it is not set.
func (p *Profile) Get(key Key) string {
	return p.layers[p.Origin(key)][key]
}

// List returns the values of a setting that holds several; see [ParseList].
func (p *Profile) List(key Key) []string { return ParseList(p.Get(key)) }

// Origin says where the value of a setting came from.
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

// describesServer reports whether a setting is part of saying which server it
// is. These go together: an issuer of the environment does not mix with
// endpoints of the file, or a secret could reach them.
func describesServer(key Key) bool {
	switch key {
	case Issuer, MetadataURL, AuthorizationEndpoint, TokenEndpoint, DeviceAuthorizationEndpoint, IntrospectionEndpoint, RevocationEndpoint, UserinfoEndpoint, JWKSURI:
		return true
	}
	return false
}

// serverBase is the lowest origin whose server is the one in force.
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

// Server identifies the authorization server in force: its issuer or, where
// there is none, its token endpoint; "" where none is named.
func (p *Profile) Server() string {
	if issuer := p.Get(Issuer); issuer != "" {
		return issuer
	}
	return p.Get(TokenEndpoint)
}

// With returns the profile with values laid on at one origin. Empty values
// change nothing.
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

// owner is whom the credentials of an origin belong to: what that origin and the
// lower ones say. Those of a higher origin were given for this run and belong to
// whatever the run is about.
func (p *Profile) owner(origin Origin) Owner {
	below := *p
	for o := origin + 1; o < origins; o++ {
		below.layers[o] = nil
	}
	return Owner{Server: below.Server(), ClientID: below.Get(ClientID)}
}

// Without returns the profile without what one origin says of some settings, so
// that a lower origin, or nothing, is in force for them.
func (p *Profile) Without(origin Origin, keys ...Key) *Profile {
	next := *p
	next.layers[origin] = maps.Clone(p.layers[origin])
	for _, key := range keys {
		delete(next.layers[origin], key)
	}
	return &next
}

// At returns the profile for a login at a server that was found. What the file
// holds of another server does not belong to it and is left out: a secret must
// not go to another server because a new setting was not thought of.
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

// Credential returns the value of a setting that proves the client's identity,
// for use as one client at one server. One that was configured for another
// server or client is not returned; where there is no other, the error is a
// Diagnosis, CREDENTIAL_ELSEWHERE, that names both.
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

// Changes returns what the file has to change to hold the profile: the values of
// this run's flags and discovery, and the removal of what belonged to another
// server. What the environment says is not the file's; an empty value removes a
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

// fromEnvironment reports whether a value is the environment's, which discovery
// may only have confirmed.
func (p *Profile) fromEnvironment(key Key) bool {
	v := p.layers[Environment][key]
	found := p.layers[Found][key]
	return v != "" && p.layers[Flag][key] == "" && (found == "" || found == v)
}

// TLS returns the TLS settings in force, nil where the system's are enough.
// Errors are Diagnoses: CONFIG_INVALID, and CREDENTIAL_ELSEWHERE for a certificate
// that was configured for another server.
func (p *Profile) TLS() (*tls.Config, error) {
	ca, key := p.Get(CACert), p.Get(ClientKey)
	cert, err := p.Credential(ClientCert, Owner{Server: p.Server(), ClientID: p.Get(ClientID)})
	if err != nil || ca == "" && cert == "" && key == "" {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		data, err := readRegular(ca)
		if err != nil {
			return nil, invalid(string(CACert), err.Error())
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, invalid(string(CACert), ca+" holds no PEM certificate")
		}
		config.RootCAs = pool
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, invalid(fmt.Sprintf("%s and %s", ClientCert, ClientKey), err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func readRegular(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, path)
}

// invalid says why something that the configuration names cannot be used.
func invalid(what, why string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Err: fmt.Errorf("%s: %s", what, why)}
}
