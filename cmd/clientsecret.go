package cmd

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const maxSecretFile = 64 << 10

// clientOptions are the flags that say which client this is.
type clientOptions struct {
	clientID   string
	secretFile string
	authMethod string
	signingKey string
	assertion  string
}

func (o *clientOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.clientID, "client-id", "", "the client's `ID` at the authorization server")
	f.StringVar(&o.secretFile, "client-secret-file", "", "read the client's secret from `FILE`, - for standard input")
	f.StringVar(&o.authMethod, "auth-method", "", "how the client authenticates: none, client_secret_basic, client_secret_post,\nclient_secret_jwt, private_key_jwt or tls_client_auth (with --client-cert)")
	f.StringVar(&o.signingKey, "signing-key", "", "the private key for private_key_jwt, a PEM or JWK `FILE`")
	f.StringVar(&o.assertion, "client-assertion", "", "authenticate with this `TOKEN`: ci:github, ci:gitlab:NAME, @FILE or - for\nstandard input")
}

// lay puts the flags over the profile. What standard input holds is good once and
// so for no profile; see [Env.authenticate].
func (o *clientOptions) lay(r *resolved) {
	r.use("client_id", o.clientID)
	r.use("auth_method", o.authMethod)
	r.use("signing_key", absolute(o.signingKey))
	if o.secretFile != "" && o.secretFile != "-" {
		r.use("client_secret", "file:"+absolute(o.secretFile))
	}
	path, isFile := strings.CutPrefix(o.assertion, "@")
	switch {
	case isFile:
		r.use("client_assertion", "@"+absolute(path))
	case strings.HasPrefix(o.assertion, "ci:"):
		r.use("client_assertion", o.assertion)
	}
}

// absolute makes a path good for commands that run elsewhere.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}

// authenticate gives client the identity that the flags and the profile name.
func (env *Env) authenticate(ctx context.Context, client *oauth.Client, r *resolved, o clientOptions) error {
	client.ID = r.ClientID
	client.AuthMethod = cmp.Or(r.AuthMethod, client.AuthMethod)
	var err error
	switch {
	case o.secretFile != "":
		if client.Secret, err = env.readSecretFile(o.secretFile); err != nil {
			return usage("--client-secret-file: %w", err)
		}
	case r.ClientRef != "":
		if client.Secret, err = env.readReference(ctx, r.ClientRef); err != nil {
			return usage("client_secret: %w", err)
		}
	}
	if r.SigningKey != "" {
		data, err := readFile(r.SigningKey, maxSecretFile)
		if err != nil {
			return usage("signing_key: %w", err)
		}
		if client.Key, err = jwks.ParsePrivate(data); err != nil {
			return usage("signing_key: %s: %w", r.SigningKey, err)
		}
	}
	if assertion := cmp.Or(o.assertion, r.ClientAssertion); assertion != "" {
		if client.Assertion, err = env.credential(ctx, assertion, audienceAt(client)); err != nil {
			return err
		}
	}
	if client.AuthMethod == oauth.AuthTLS && env.global.clientCert == "" {
		return &usageError{what: "tls_client_auth: no certificate is named", hint: "--client-cert FILE --client-key FILE, or the profile's client_cert and client_key"}
	}
	return nil
}

// audienceAt is whom an assertion for the client's server is made out to.
func audienceAt(client *oauth.Client) string {
	if client.Server.Issuer != "" {
		return client.Server.Issuer
	}
	return client.Server.TokenEndpoint
}

// readSecretFile reads a secret from a file, or from standard input for "-".
// One line break at the end is not part of it.
func (env *Env) readSecretFile(path string) (secret.String, error) {
	data, err := env.readInput(path, maxSecretFile)
	if err != nil {
		return secret.String{}, err
	}
	return trimmed(data, path)
}

func trimmed(data []byte, from string) (secret.String, error) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return secret.String{}, usage("%s holds no secret", from)
	}
	return secret.New(text), nil
}

// readReference follows a profile's reference to a secret: env:NAME, file:PATH
// or command:CMD, which a shell runs.
func (env *Env) readReference(ctx context.Context, reference string) (secret.String, error) {
	kind, where, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		if v := env.Getenv(where); v != "" {
			return secret.New(v), nil
		}
		return secret.String{}, usage("the variable %s is not set", where)
	case "file":
		return env.readSecretFile(where)
	case "command":
		return env.readCommand(ctx, where)
	}
	return secret.String{}, usage("expected env:NAME, file:PATH or command:CMD")
}

func (env *Env) readCommand(ctx context.Context, line string) (secret.String, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	name, flag := shell()
	cmd := exec.CommandContext(ctx, name, flag, line)
	cmd.Stderr = env.Stderr
	cmd.WaitDelay = time.Second
	data, err := cmd.Output()
	if err != nil {
		return secret.String{}, usage("the command %q failed: %w", line, err)
	}
	return trimmed(data, "the output of "+line)
}
