package cmd

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
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

// credentials were read for this run only and are kept by no profile.
type credentials struct {
	secret    secret.String
	assertion secret.String
}

func (o *clientOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.clientID, "client-id", "", "client `ID` at the authorization server")
	f.StringVar(&o.secretFile, "client-secret-file", "", "read the client's secret from `FILE`, - for standard input")
	oneOf(f, &o.authMethod, "auth-method", account.Choices(profile.AuthMethod), "`METHOD`: how the client authenticates: none, client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt or tls_client_auth (with --client-cert)")
	f.StringVar(&o.signingKey, "signing-key", "", "private key for private_key_jwt, a PEM or JWK `FILE`")
	f.StringVar(&o.assertion, "client-assertion", "", "authenticate with this `TOKEN`: ci:github, ci:gitlab:NAME, @FILE, or - for standard input")
}

// given returns what the flags say: the settings, which a login keeps, and the
// credentials that only standard input or an argument holds, which it does not.
func (o *clientOptions) given(env *Env) (profile.Values, credentials, error) {
	values := profile.Values{
		profile.ClientID: o.clientID, profile.AuthMethod: o.authMethod, profile.SigningKey: absolute(o.signingKey),
	}
	var once credentials
	var err error
	switch {
	case o.secretFile == "-":
		if once.secret, err = env.readSecretFile("-"); err != nil {
			return nil, once, usage("--client-secret-file: %w", err)
		}
	case o.secretFile != "":
		values[profile.ClientSecret] = "file:" + absolute(o.secretFile)
	}
	path, isFile := strings.CutPrefix(o.assertion, "@")
	switch {
	case isFile:
		values[profile.ClientAssertion] = "@" + absolute(path)
	case strings.HasPrefix(o.assertion, "ci:"):
		values[profile.ClientAssertion] = o.assertion
	case o.assertion != "":
		once.assertion, err = env.tokenArg(o.assertion)
	}
	return values, once, err
}

// absolute makes a path good for commands that run elsewhere.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}

// readSecretFile reads a secret from a file, or from standard input for "-".
// One line break at the end is not part of it.
func (env *Env) readSecretFile(path string) (secret.String, error) {
	read := profile.ReadCredential
	if path == "-" {
		read = env.readInput
	}
	data, err := read(path, maxSecretFile)
	if err != nil {
		return secret.String{}, err
	}
	return trimmed(string(data), path)
}

// trimmed removes the line break that editors, files and container platforms put
// at the end of a secret.
func trimmed(text, from string) (secret.String, error) {
	cut := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if utf8.ValidString(cut) && !strings.ContainsFunc(cut, unicode.IsControl) {
		text = cut // of binary data the last byte belongs to the secret
	}
	if text == "" {
		return secret.String{}, usage("%s holds no secret", from)
	}
	return secret.New(text), nil
}

// readReference follows a profile's reference to a secret: env:NAME, file:PATH
// or command:CMD, which a shell runs.
func (env *Env) readReference(ctx context.Context, reference string) (secret.String, error) {
	value, err := env.follow(ctx, reference)
	if err != nil {
		if d, ok := errors.AsType[*diagnosis.Diagnosis](err); ok {
			return value, d
		}
		var wrong *usageError
		if errors.As(err, &wrong) {
			return value, &usageError{what: "client_secret: " + wrong.what, hint: wrong.hint, err: err}
		}
		return value, usage("client_secret: %w", err)
	}
	return value, nil
}

func (env *Env) follow(ctx context.Context, reference string) (secret.String, error) {
	kind, where, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		if v := env.Getenv(where); v != "" {
			return trimmed(v, "the variable "+where)
		}
		return secret.String{}, usage("the variable %s is not set", where)
	case "file":
		return env.readSecretFile(where)
	case "command":
		return env.readCommand(ctx, where)
	}
	row, _ := profile.Lookup(profile.ClientSecret)
	return secret.String{}, usage("expected %s", row.Form())
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
		return secret.String{}, fmt.Errorf("the command %q failed: %w", line, err)
	}
	return trimmed(string(data), "the output of "+line)
}
