//go:build unix

package profile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// A credential is read from a file that only its owner, who is the user or root, can
// change. Who can change the directory, or read the file, does not matter.
func TestReadCredential(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("s3cr3t"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(name string, refused bool) {
		t.Helper()
		data, err := profile.ReadCredential(path, 6)
		if refused != (idOf(err) == diagnosis.ConfigInsecure) || !refused && string(data) != "s3cr3t" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o440: false, 0o644: false, 0o700: false, 0o660: true, 0o602: true, 0o622: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		check(mode.String(), refused)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	check("a directory of all", false)
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 0); err != nil {
			t.Fatal(err)
		}
		check("another user's", true)
		if err := os.Chown(path, 0, 65534); err != nil {
			t.Fatal(err)
		}
		check("another group's", false)
	}
	if _, err := profile.ReadCredential(path, 5); err == nil || idOf(err) == diagnosis.ConfigInsecure {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := profile.ReadCredential("/dev/zero", 5); err == nil {
		t.Error("/dev/zero was read")
	}
}

// A pipe with a name is checked like a file, because a user who can write its
// directory can put one there. A pipe that a shell passes on is read.
func TestReadCredentialFromPipes(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	check := func(name string, refused bool) {
		t.Helper()
		for _, path := range []string{pipe, link} {
			go func() { _ = os.WriteFile(pipe, []byte("s3cr3t"), 0o600) }() // waits for a reader
			data, err := profile.ReadCredential(path, 6)
			if refused != (idOf(err) == diagnosis.ConfigInsecure) || !refused && string(data) != "s3cr3t" {
				t.Errorf("%s, %s: %q, %v", name, path, data, err)
			}
		}
	}
	check("your own", false)
	if err := os.Chmod(pipe, 0o622); err != nil {
		t.Fatal(err)
	}
	check("others can write", true)
	if err := os.Chmod(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(pipe, 65534, 0); err != nil {
			t.Fatal(err)
		}
		check("another user's", true)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("s3cr3t"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if os.Geteuid() == 0 {
		if err := r.Chown(65534, 0); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := profile.ReadCredential(fmt.Sprintf("/dev/fd/%d", r.Fd()), 6); err != nil || string(data) != "s3cr3t" {
		t.Errorf("a shell's pipe: %q, %v", data, err)
	}
}

// The client's key is looked at too. Certificates are public.
func TestTLSFilesThatOthersCanChange(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	settings := profile.Values{}
	for name, block := range map[profile.Key]*pem.Block{
		profile.CACert: {Type: "CERTIFICATE", Bytes: der}, profile.ClientCert: {Type: "CERTIFICATE", Bytes: der}, profile.ClientKey: {Type: "PRIVATE KEY", Bytes: private},
	} {
		settings[name] = filepath.Join(dir, string(name))
		if err := os.WriteFile(settings[name], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tls := func() error {
		f, err := profile.Load("")
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Resolve(profile.Query{Getenv: func(string) string { return "" }, Flags: settings})
		if err != nil {
			t.Fatal(err)
		}
		config, err := p.TLS()
		if err == nil && (config.RootCAs == nil || len(config.Certificates) != 1) {
			t.Errorf("%+v", config)
		}
		return err
	}
	if err := tls(); err != nil {
		t.Fatalf("positive control: %v", err)
	}
	for name, path := range settings {
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := tls(); (idOf(err) == diagnosis.ConfigInsecure) != (name == profile.ClientKey) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := tls(); err != nil {
		t.Errorf("readable by all: %v", err)
	}
}
