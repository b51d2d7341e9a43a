package forge_test

import (
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/forge"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// The certificate of x5c-header is valid when the token is issued, so that an API
// with another clock does not refuse it for its dates. A draft without iat has
// only the machine's clock.
func TestCertificateHasTheDraftsClock(t *testing.T) {
	key := generate(t, "ES256")
	for name, now := range map[string]time.Time{"past": time.Unix(1_500_000_000, 0), "future": time.Unix(2_500_000_000, 0), "no iat": time.Now()} {
		d := draft(key, now)
		if name == "no iat" {
			delete(d.Claims, "iat")
		}
		raw, err := forge.Sign("x5c-header", d)
		if err != nil {
			t.Fatal(err)
		}
		read, err := token.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		var header struct {
			Chain []string `json:"x5c"`
		}
		if err := json.Unmarshal(read.HeaderJSON(), &header); err != nil || len(header.Chain) != 1 {
			t.Fatalf("%s: %v, %v", name, header, err)
		}
		der, err := base64.StdEncoding.DecodeString(header.Chain[0])
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) || certificate.NotAfter.Sub(certificate.NotBefore) > 48*time.Hour {
			t.Errorf("%s: the certificate is valid from %s to %s, the token is issued at %s", name, certificate.NotBefore, certificate.NotAfter, now)
		}
	}
}
