package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/guard"
)

// upstreamFlags say where the API is and how to speak to it.
type upstreamFlags struct {
	url         string
	caCert      string
	clientCert  string
	clientKey   string
	insecureTLS bool
	timeout     time.Duration
	passHost    bool
}

func (u *upstreamFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&u.caCert, "upstream-ca-cert", "", "trust only the certificates in the PEM `FILE` for the API")
	f.StringVar(&u.clientCert, "upstream-client-cert", "", "present the certificate in the PEM `FILE` to the API (mTLS)")
	f.StringVar(&u.clientKey, "upstream-client-key", "", "private key of --upstream-client-cert, a PEM `FILE`")
	f.BoolVar(&u.insecureTLS, "upstream-insecure-skip-tls-verify", false, "do not verify the API's certificate")
	f.DurationVar(&u.timeout, "upstream-timeout", 0, "maximum wait for the headers of a response (default no limit)")
	f.BoolVar(&u.passHost, "pass-host", false, "forward the client's Host header to the API")
}

// open returns where the API is and the transport to it.
func (u upstreamFlags) open() (*url.URL, http.RoundTripper, error) {
	config, err := u.tls()
	if err != nil {
		return nil, nil, err
	}
	at, transport, err := guard.ParseUpstream(u.url, guard.TransportOptions{TLS: config, Timeout: u.timeout})
	if err != nil {
		return nil, nil, usage("--upstream: %w", err)
	}
	return at, transport, nil
}

func (u upstreamFlags) tls() (*tls.Config, error) {
	if u.caCert == "" && u.clientCert == "" && u.clientKey == "" && !u.insecureTLS {
		return nil, nil
	}
	if !strings.HasPrefix(u.url, "https:") {
		return nil, usage("the flags --upstream-… about certificates need an --upstream with https")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: u.insecureTLS}
	if u.caCert != "" {
		pem, err := os.ReadFile(u.caCert)
		if err != nil {
			return nil, usage("--upstream-ca-cert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage("--upstream-ca-cert: %s has no PEM certificate", u.caCert)
		}
	}
	if u.clientCert != "" || u.clientKey != "" {
		pair, err := tls.LoadX509KeyPair(u.clientCert, u.clientKey)
		if err != nil {
			return nil, usage("--upstream-client-cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// guardHeaderFlags say what the API learns from header fields, and from whom.
type guardHeaderFlags struct {
	forwardToken   bool
	allowNoSubject bool
	claims         []string
	remove         []string
	trusted        []string
}

func (h *guardHeaderFlags) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&h.forwardToken, "forward-token", false, "forward the token to the API")
	f.BoolVar(&h.allowNoSubject, "allow-no-subject", false, "accept tokens without sub, which the API cannot distinguish")
	f.StringArrayVar(&h.claims, "claim-header", nil, "send a claim to the API in a header, `NAME=CLAIM` (repeatable)")
	f.StringArrayVar(&h.remove, "remove-header", nil, "remove the header `NAME` from requests, in every spelling (repeatable)")
	f.StringArrayVar(&h.trusted, "trusted-proxy", nil, "trust the forwarding headers of this `ADDRESS|CIDR` (repeatable)")
}

func (h guardHeaderFlags) fill(c *guard.Config) error {
	c.ForwardToken, c.AllowNoSubject, c.RemoveHeaders = h.forwardToken, h.allowNoSubject, h.remove
	for _, text := range h.claims {
		name, claim, _ := strings.Cut(text, "=")
		if name == "" || claim == "" {
			return &usageError{what: "--claim-header: expected NAME=CLAIM, got " + text, hint: "--claim-header X-Auth-Email=email"}
		}
		c.ClaimHeaders = append(c.ClaimHeaders, guard.ClaimHeader{Header: name, Claim: claim})
	}
	for _, text := range h.trusted {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return &usageError{what: "--trusted-proxy: expected an address or a range, got " + text, hint: "--trusted-proxy 10.0.0.0/8"}
			}
			prefix = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
	}
	return nil
}

// guardLimitFlags bound what a client can take up, and how long stopping takes.
type guardLimitFlags struct {
	bodyTimeout time.Duration
	maxBody     int64
	grace       time.Duration
	drainDelay  time.Duration
}

func (l *guardLimitFlags) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&l.bodyTimeout, "body-timeout", time.Minute, "maximum wait for each part of a request's body")
	f.Int64Var(&l.maxBody, "max-body", 0, "refuse requests with a larger body, in `BYTES` (default no limit)")
	f.DurationVar(&l.grace, "grace", 10*time.Second, "when stopping, maximum wait for requests and streams to finish")
	f.DurationVar(&l.drainDelay, "drain-delay", 0, "when stopping, accept requests for this long after /readyz answers 503")
}

func (l guardLimitFlags) check() error {
	switch {
	case l.bodyTimeout <= 0:
		return usage("--body-timeout: expected a positive duration, got %s", l.bodyTimeout)
	case l.maxBody < 0:
		return usage("--max-body: expected a number of bytes, got %d", l.maxBody)
	case l.grace < 0 || l.drainDelay < 0:
		return usage("--grace and --drain-delay: expected a duration that is not negative")
	}
	return nil
}
