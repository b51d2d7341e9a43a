package guard

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// ClientCertificate returns the client certificate (DER) that a trusted proxy
// received in the TLS handshake, for bearer.ClientCertificate, or nil. The header
// is Client-Cert (RFC 9440) or X-Forwarded-Client-Cert as written by Envoy. It is
// ignored unless it is from a trusted proxy.
func ClientCertificate(field string, trusted []netip.Prefix) func(*http.Request) []byte {
	field = http.CanonicalHeaderKey(field)
	return func(r *http.Request) []byte {
		values := r.Header[field]
		if len(values) != 1 || !proxies(trusted).trust(r) {
			return nil
		}
		if field == "X-Forwarded-Client-Cert" {
			return fromEnvoy(values[0])
		}
		// A byte sequence of structured fields (RFC 8941, section 3.3.5).
		text, ok := strings.CutPrefix(values[0], ":")
		if text, end := strings.CutSuffix(text, ":"); ok && end {
			if der, err := base64.StdEncoding.DecodeString(text); err == nil {
				return der
			}
		}
		return nil
	}
}

// fromEnvoy reads the member Cert of the last element, which the proxy added.
// Earlier elements came with the request.
func fromEnvoy(value string) []byte {
	elements := splitQuoted(value, ',')
	for _, member := range splitQuoted(elements[len(elements)-1], ';') {
		name, text, _ := strings.Cut(strings.TrimSpace(member), "=")
		if !strings.EqualFold(name, "Cert") {
			continue
		}
		plain, err := url.PathUnescape(strings.Trim(text, `"`))
		if err != nil {
			return nil
		}
		if block, _ := pem.Decode([]byte(plain)); block != nil && block.Type == "CERTIFICATE" {
			return block.Bytes
		}
		return nil
	}
	return nil
}

// splitQuoted splits at a separator outside quotes.
func splitQuoted(text string, separator byte) []string {
	var parts []string
	quoted, begin := false, 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quoted:
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == separator && !quoted:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}
