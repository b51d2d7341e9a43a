package cmd

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/oauth"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

const maxSecretFile = 64 << 10

// authenticate gives client the identity that the flags and the profile name.
func (env *Env) authenticate(ctx context.Context, client *oauth.Client, r *resolved, secretFile string) error {
	client.ID = r.ClientID
	client.AuthMethod = r.AuthMethod
	var err error
	switch {
	case secretFile != "":
		if client.Secret, err = env.readSecretFile(secretFile); err != nil {
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
	return nil
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
