package cmd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
)

// devTLS holds the TLS flags of a development server.
type devTLS struct {
	tls               bool
	caFile            string
	certFile, keyFile string
}

func (o *devTLS) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.tls, "tls", false, "serve https with a new certificate; its CA goes to --tls-ca-file")
	f.StringVar(&o.caFile, "tls-ca-file", "", "write the CA certificate of --tls to `FILE` (default dev-ca.pem in the state directory)")
	f.StringVar(&o.certFile, "tls-cert", "", "serve https with the certificate chain in the PEM `FILE`")
	f.StringVar(&o.keyFile, "tls-key", "", "private key of --tls-cert, a PEM `FILE`")
}

func (o *devTLS) usesTLS() bool { return o.tls || o.certFile != "" }

// load returns the TLS configuration, or nil for http, and the file to which it
// wrote the CA certificate. A new certificate is valid for names and the loopback
// addresses.
func (o *devTLS) load(env *Env, names ...string) (*tls.Config, string, error) {
	switch {
	case (o.certFile == "") != (o.keyFile == ""):
		return nil, "", usage("--tls-cert and --tls-key have to be used together")
	case o.certFile != "":
		pair, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return nil, "", usage("--tls-cert: %w", err)
		}
		return serving(pair), "", nil
	case !o.tls:
		return nil, "", nil
	}
	path := o.caFile
	if path == "" {
		if env.StateDir == "" {
			return nil, "", usage("--tls needs --tls-ca-file, since there is no state directory")
		}
		path = filepath.Join(env.StateDir, "dev-ca.pem")
		if err := os.MkdirAll(env.StateDir, 0o700); err != nil {
			return nil, "", usage("--tls-ca-file: %w", err)
		}
	}
	pair, ca, err := newCertificate(env.Now(), names)
	if err != nil {
		return nil, "", fmt.Errorf("dev: certificate: %w", err)
	}
	if err := os.WriteFile(path, ca, 0o644); err != nil {
		return nil, "", usage("--tls-ca-file: %w", err)
	}
	return serving(pair), path, nil
}

func serving(pair tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// newCertificate returns a certificate for hosts and the loopback addresses, and
// the certificate of the new CA that signed it, as PEM. The CA's key is discarded.
func newCertificate(now time.Time, hosts []string) (tls.Certificate, []byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "oauthctl dev, for development only"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "oauthctl dev"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else if host != "" {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}

func serial() *big.Int {
	number := make([]byte, 16)
	_, _ = rand.Read(number)
	number[0] &= 0x7f
	return new(big.Int).SetBytes(number)
}

// hostOf returns the host of a URL, or "" if it is not valid.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
