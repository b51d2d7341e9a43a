package cmd

import (
	"time"

	"github.com/itchyny/gojq"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/profile"
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
	g.addOutputFlags(f)
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "maximum wait for a response, and between bytes")
	f.StringVar(&g.caCert, "ca-cert", "", "also trust the CA certificates in this PEM `FILE`")
	f.StringVar(&g.clientCert, "client-cert", "", "present the certificate in this PEM `FILE` (mTLS)")
	f.StringVar(&g.clientKey, "client-key", "", "private key of --client-cert, a PEM `FILE`")
	f.BoolVar(&g.insecureTLS, "insecure-skip-tls-verify", false, "do not verify servers' certificates")
}

// addOutputFlags adds the flags that change what is shown, and not what is done.
func (g *globalFlags) addOutputFlags(f *pflag.FlagSet) {
	f.BoolVar(&g.json, "json", false, "print JSON, whose form is stable for scripts")
	f.StringVar(&g.jq, "jq", "", "filter the JSON output with the jq `EXPRESSION`")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print only data and errors")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "print HTTP requests and responses to stderr, with secrets redacted")
	f.BoolVar(&g.showSecrets, "show-secrets", false, "with --verbose, do not redact secrets")
	f.BoolVar(&g.noColor, "no-color", false, "print without colour")
	f.BoolVar(&g.noInput, "no-input", false, "never prompt")
}

// wantsJSON reports whether the output is JSON, which --jq implies.
func (g *globalFlags) wantsJSON() bool { return g.json || g.jq != "" }

// profileValues are the flags that override the profile.
func (g *globalFlags) profileValues() profile.Values {
	return profile.Values{
		profile.CACert: absolute(g.caCert), profile.ClientCert: absolute(g.clientCert), profile.ClientKey: absolute(g.clientKey),
	}
}
