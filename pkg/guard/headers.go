package guard

import (
	"strings"
)

// class is how a client could misuse a header.
type class uint8

const (
	harmless   class = iota
	identity         // the caller's identity
	override         // changes the request that was checked
	forwarding       // the origin of the request
	credential       // the token and its proof
)

// classes holds the headers, folded by [fold], that an API could trust. A name
// that ends in a dash is a prefix.
var classes = map[string]class{
	"authorization": credential, "dpop": credential,

	"x-auth": identity, "x-auth-": identity, "remote-user": identity, "remote-group": identity, "remote-groups": identity, "remote-name": identity, "remote-email": identity,
	"x-remote-user": identity, "x-remote-group": identity, "x-remote-extra-": identity, "x-webauth-": identity, "x-authenticated-": identity,
	"x-amzn-oidc-": identity, "x-goog-authenticated-": identity, "x-goog-iap-": identity, "x-ms-client-principal": identity, "x-ms-client-principal-": identity,
	"x-ms-token-": identity, "cf-access-": identity, "tailscale-user-": identity, "x-pomerium-": identity, "x-vouch-": identity, "x-consumer-": identity, "x-credential-": identity,
	"x-userinfo": identity, "x-endpoint-api-userinfo": identity, "x-apigateway-api-userinfo": identity, "x-jwt-assertion": identity, "x-user-info": identity,
	"client-cert": identity, "client-cert-": identity, "x-client-cert": identity, "x-client-cert-": identity, "ssl-client-": identity, "x-ssl-": identity, "x-arr-clientcert": identity, "x-tls-client-": identity,

	"proxy": override, "x-http-method-override": override, "x-http-method": override, "x-method-override": override, "x-original-method": override,
	"x-original-url": override, "x-original-uri": override, "x-original-path": override, "x-original-host": override, "x-rewrite-url": override, "x-rewrite-uri": override,
	"x-http-path-override": override, "x-envoy-": override, "x-waws-unencoded-url": override, "x-host": override, "x-accel-": override, "x-sendfile-type": override,

	"forwarded": forwarding, "x-forwarded": forwarding, "x-forwarded-": forwarding, "x-real-ip": forwarding, "x-client-ip": forwarding, "x-cluster-client-ip": forwarding,
	"true-client-ip": forwarding, "cf-connecting-ip": forwarding, "fastly-client-ip": forwarding, "x-originating-ip": forwarding, "x-remote-ip": forwarding,
	"x-remote-addr": forwarding, "x-azure-clientip": forwarding, "x-scheme": forwarding, "front-end-https": forwarding, "x-url-scheme": forwarding,
}

// maxName is the longest name to compare; no name in the table is longer.
const maxName = 64

// fold normalizes a header name like CGI (RFC 3875, section 4.1.18), where each
// character that is not a letter or a digit becomes an underscore, so that
// X-Auth-Scope, X_Auth.Scope and x-auth~scope are the same variable. fold uses a
// dash.
func fold(buffer []byte, name string) []byte {
	for i := range min(len(name), maxName) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			buffer = append(buffer, c)
		case 'A' <= c && c <= 'Z':
			buffer = append(buffer, c+'a'-'A')
		default:
			buffer = append(buffer, '-')
		}
	}
	return buffer
}

// fields holds the headers of a client that must not reach the API.
type fields struct{ more map[string]bool }

// newFields returns the table with additional names, such as those that the
// guard sets.
func newFields(more []string) fields {
	f := fields{map[string]bool{}}
	for _, name := range more {
		f.more[string(fold(nil, name))] = true
	}
	return f
}

// classOf returns the class of a header, in any spelling.
func (f fields) classOf(name string) class {
	var array [maxName]byte
	folded := fold(array[:0], name)
	if c, ok := classes[string(folded)]; ok {
		return c
	}
	if f.more[string(folded)] {
		return identity
	}
	for i := len(folded) - 1; i > 0; i-- {
		if folded[i] != '-' {
			continue
		}
		if c, ok := classes[string(folded[:i+1])]; ok {
			return c
		}
	}
	return harmless
}

// isPlain reports whether a canonical name consists of letters, digits and
// dashes.
func isPlain(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}
