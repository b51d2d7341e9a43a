//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A file with a secret, a key or a token to which a profile refers is refused if other users can change it, before
// anything is sent. A file that others can only read is accepted, since containers mount secrets like that.
func TestSecretFilesThatOthersCanChange(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	dir := t.TempDir()
	secretFile, key, token := filepath.Join(dir, "secret"), filepath.Join(dir, "key.jwk"), filepath.Join(dir, "token")
	write(t, secretFile, "s3cr3t\n", 0o600)
	write(t, token, "x.y.z\n", 0o600)
	if code := w.run("jwks", "generate", "--private-out", key); code != 0 {
		t.Fatal(&w.stderr)
	}
	client := []string{"login", w.issuer, "--grant-type", "client_credentials", "--client-id", "c", "--scope", "items:read"}
	for name, tt := range map[string]struct {
		file string
		args []string
	}{
		"secret of a flag":      {secretFile, append(client, "--client-secret-file", secretFile)},
		"by another method":     {secretFile, append(client, "--client-secret-file", secretFile, "--auth-method", "client_secret_post")},
		"signing key":           {key, append(client, "--signing-key", key)},
		"client assertion":      {token, append(client, "--client-assertion", "@"+token)},
		"assertion for a token": {token, []string{"login", w.issuer, "--grant-type", "jwt-bearer", "--assertion", "@" + token}},
	} {
		for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o644: false, 0o444: false, 0o620: true, 0o602: true, 0o666: true} {
			if err := os.Chmod(tt.file, mode); err != nil {
				t.Fatal(err)
			}
			code := w.run(tt.args...)
			out := w.stderr.String()
			if said := strings.Contains(out, "CONFIG_INSECURE") && strings.Contains(out, "chmod go-w "+tt.file); said != refused || refused && code != 2 {
				t.Errorf("%s with mode %o: %d\n%s", name, mode, code, out)
			}
		}
	}
	// For a link, the file that it leads to is checked; a pipe belongs to the process that made it.
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(secretFile, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secretFile, 0o606); err != nil {
		t.Fatal(err)
	}
	if code := w.run(append(client, "--client-secret-file", link)...); code != 2 || !strings.Contains(w.stderr.String(), "CONFIG_INSECURE") {
		t.Errorf("a link: %d\n%s", code, &w.stderr)
	}
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(pipe, []byte("s3cr3t\n"), 0o600) }()
	if w.run(append(client, "--client-secret-file", pipe)...); strings.Contains(w.stderr.String(), "CONFIG_INSECURE") {
		t.Errorf("a pipe: %s", &w.stderr)
	}
	// Anyone may be able to change a file whose token is only inspected.
	if err := os.Chmod(token, 0o666); err != nil {
		t.Fatal(err)
	}
	if w.run("decode", "@"+token); strings.Contains(w.stderr.String(), "CONFIG_INSECURE") {
		t.Errorf("decode: %s", &w.stderr)
	}
}
