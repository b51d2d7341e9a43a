package cmd

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/itchyny/gojq"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// globalFlags are the flags that every command understands.
type globalFlags struct {
	profile     string
	config      string
	json        bool
	jq          string
	quiet       bool
	verbose     bool
	showSecrets bool
	noColor     bool
	noInput     bool
	timeout     time.Duration
	caCert      string
	clientCert  string
	clientKey   string
	insecureTLS bool

	filter *gojq.Code // of --jq
}

const defaultTimeout = 30 * time.Second

func (g *globalFlags) addFlags(f *pflag.FlagSet) {
	f.StringVarP(&g.profile, "profile", "p", "", "use the profile `NAME`")
	f.StringVar(&g.config, "config", "", "read and write profiles in `FILE`")
	f.BoolVar(&g.json, "json", false, "print JSON, stable for scripts")
	f.StringVar(&g.jq, "jq", "", "filter the JSON output with the jq `EXPRESSION`")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print no messages, only data and errors")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "show the HTTP exchange on stderr, secrets redacted")
	f.BoolVar(&g.showSecrets, "show-secrets", false, "with --verbose, do not redact")
	f.BoolVar(&g.noColor, "no-color", false, "print without colour")
	f.BoolVar(&g.noInput, "no-input", false, "never ask anything")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "give up when no byte was sent or received for this long")
	f.StringVar(&g.caCert, "ca-cert", "", "trust the certificates in the PEM `FILE` as well")
	f.StringVar(&g.clientCert, "client-cert", "", "present the certificate in the PEM `FILE` (mTLS)")
	f.StringVar(&g.clientKey, "client-key", "", "the private key of --client-cert, a PEM `FILE`")
	f.BoolVar(&g.insecureTLS, "insecure-skip-tls-verify", false, "do not verify servers' certificates")
}

// wantsJSON reports whether the output is JSON, which --jq implies.
func (g *globalFlags) wantsJSON() bool { return g.json || g.jq != "" }

// client returns the HTTP client that the global flags describe.
func (env *Env) client() (*safehttp.Client, error) {
	c := &safehttp.Client{Transport: env.HTTP, Timeout: env.global.timeout, Secrets: &env.secrets}
	if env.global.timeout <= 0 {
		return nil, &usageError{what: fmt.Sprintf("--timeout: expected a positive duration such as 30s, got %s", env.global.timeout)}
	}
	proxies, err := safehttp.ReadProxies(env.Getenv)
	if err != nil {
		return nil, err
	}
	if c.Transport == nil && (env.global.hasTLS() || proxies != nil) {
		config, err := env.global.tls()
		if err != nil {
			return nil, err
		}
		transport := safehttp.NewTransport(config)
		transport.Proxy = proxies.For
		c.Transport = transport
	}
	if env.global.verbose {
		c.Trace = &safehttp.Trace{Show: env.showExchange, ShowSecrets: env.global.showSecrets}
	}
	return c, nil
}

// underlay lets the profile say what the flags about certificates do not.
func (g *globalFlags) underlay(p *profile) {
	g.caCert = cmp.Or(g.caCert, p.CACert)
	if g.clientCert == "" && g.clientKey == "" {
		g.clientCert, g.clientKey = p.ClientCert, p.ClientKey
	}
}

func (g *globalFlags) hasTLS() bool {
	return g.caCert != "" || g.clientCert != "" || g.clientKey != "" || g.insecureTLS
}

func (g *globalFlags) tls() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: g.insecureTLS} //nolint:gosec // the flag's name says so
	if g.caCert != "" {
		data, err := os.ReadFile(g.caCert)
		if err != nil {
			return nil, usage("--ca-cert: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, usage("--ca-cert: %s holds no PEM certificate", g.caCert)
		}
		config.RootCAs = pool
	}
	if g.clientCert != "" || g.clientKey != "" {
		pair, err := tls.LoadX509KeyPair(g.clientCert, g.clientKey)
		if err != nil {
			return nil, usage("--client-cert and --client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
