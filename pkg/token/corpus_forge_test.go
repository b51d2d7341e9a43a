package token_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

var update = flag.Bool("update", false, "write the corpus anew from its table")

// forge makes the tokens and key sets of the corpus, the same ones each time,
// including signatures that no library would make.
type forge struct {
	t      *testing.T
	keys   map[string]crypto.Signer
	groups map[string]*corpusFile
	group  string
	files  map[string]string // in keys/
}

// corpusPrivate are the keys that sign; each is made once and committed.
var corpusPrivate = map[string]func() (crypto.Signer, error){
	"rsa":       func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	"rsa-1024":  func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 1024) },
	"ec":        func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"ec-next":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"ec-forger": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"ec-384":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"ec-521":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
	"ed": func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	},
}

func newForge(t *testing.T) *forge {
	t.Setenv("GODEBUG", "rsa1024min=0")
	f := &forge{t: t, keys: map[string]crypto.Signer{}, groups: map[string]*corpusFile{}, files: map[string]string{}}
	for name, generate := range corpusPrivate {
		path := filepath.Join(corpusDir, "private", name+".pem")
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) && *update {
			data = f.generate(path, generate)
		} else if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		f.keys[name] = key.(crypto.Signer)
	}
	return f
}

func (f *forge) generate(path string, generate func() (crypto.Signer, error)) []byte {
	key, err := generate()
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	f.write(path, data)
	return data
}

func (f *forge) write(path string, data []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// begin starts a group of cases.
func (f *forge) begin(group, about string) {
	f.group = group
	f.groups[group] = &corpusFile{About: about, Now: now, Issuer: realm, Audience: []string{audience}}
}

// add adds a case to the group; an empty id is a positive control.
func (f *forge) add(name, keys, raw string, id diagnosis.ID, options ...corpusOptions) {
	c := corpusCase{Name: name, Token: raw, Keys: keys, Result: "valid", ID: id}
	if id != "" {
		c.Result = "rejected"
	}
	for _, o := range options {
		c.Options = o
	}
	g := f.groups[f.group]
	g.Cases = append(g.Cases, c)
}

// jwt signs a header and a payload, also invalid ones.
func (f *forge) jwt(alg, key, header, payload string) string {
	signed := part(header) + "." + part(payload)
	return signed + "." + f.seal(alg, key, signed)
}

// seal returns the encoded signature of a text.
func (f *forge) seal(alg, key, signed string) string {
	return base64.RawURLEncoding.EncodeToString(f.sign(alg, key, signed))
}

// es256 returns a token with the usual header and a payload.
func (f *forge) es256(payload string) string { return f.jwt("ES256", "ec", usualHeader, payload) }

// hashOf returns the hash that an algorithm names.
func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

// sign signs with the algorithm of that name, whether or not the key fits it.
// It is deterministic, so that the corpus can be made again.
func (f *forge) sign(alg, key, signed string) []byte {
	h := hashOf(alg)
	if strings.HasPrefix(alg, "HS") {
		mac := hmac.New(h.New, []byte(key))
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	}
	digest := h.New()
	digest.Write([]byte(signed))
	sum := digest.Sum(nil)
	var out []byte
	var err error
	switch k := f.keys[key].(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return f.pss(k, h, sum, h.Size())
		}
		out, err = rsa.SignPKCS1v15(nil, k, h, sum)
	case *ecdsa.PrivateKey:
		r, s := f.ecdsa(k, h, sum)
		size := (k.Curve.Params().BitSize + 7) / 8
		out = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		out = ed25519.Sign(k, []byte(signed))
	default:
		f.t.Fatalf("no key %s", key)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// pss signs with a salt of that size, from a source that always gives the same
// bytes.
func (f *forge) pss(k *rsa.PrivateKey, h crypto.Hash, sum []byte, salt int) []byte {
	source := mathrand.NewChaCha8([32]byte([]byte("the corpus is the same each time")))
	out, err := rsa.SignPSS(source, k, h, sum, &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *forge) ecdsa(k *ecdsa.PrivateKey, h crypto.Hash, sum []byte) (r, s *big.Int) {
	der, err := k.Sign(nil, sum, h)
	if err != nil {
		f.t.Fatal(err)
	}
	// A sequence of two integers, each with one byte of length.
	at := bytes.IndexByte(der, 2)
	rest := der[at+2:]
	r = new(big.Int).SetBytes(rest[:der[at+1]])
	rest = rest[der[at+1]:]
	return r, new(big.Int).SetBytes(rest[2:])
}

// jwk returns the public members of a key with some changed or, with null, left
// out.
func (f *forge) jwk(key string, change map[string]any) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	var m map[string]any
	switch p := f.keys[key].Public().(type) {
	case *rsa.PublicKey:
		m = map[string]any{"kty": "RSA", "n": b64(p.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			f.t.Fatal(err)
		}
		half := len(point) / 2
		m = map[string]any{"kty": "EC", "crv": p.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		m = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(p)}
	}
	m["kid"], m["use"] = key+"-1", "sig"
	for name, value := range change {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return m
}

// set writes a key set into keys/.
func (f *forge) set(name string, keys ...any) string {
	if keys == nil {
		keys = []any{}
	}
	f.files[name] = string(f.marshal(map[string]any{"keys": keys}))
	return name
}

func (f *forge) marshal(v any) []byte {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		f.t.Fatal(err)
	}
	return append(data, '\n')
}

func (f *forge) pem(key string) string {
	der, err := x509.MarshalPKIXPublicKey(f.keys[key].Public())
	if err != nil {
		f.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestCorpusIsWhatItsTableSays makes the corpus again and compares it with the
// files; with -update it writes the files.
func TestCorpusIsWhatItsTableSays(t *testing.T) {
	f := newForge(t)
	f.allGroups()
	want := map[string]string{}
	for name, g := range f.groups {
		slices.SortStableFunc(g.Cases, func(a, b corpusCase) int { return strings.Compare(a.Name, b.Name) })
		seen := map[string]bool{}
		for _, c := range g.Cases {
			if seen[c.Name] {
				t.Errorf("%s: two cases are called %q", name, c.Name)
			}
			seen[c.Name] = true
		}
		want[name+".json"] = string(f.marshal(g))
	}
	for name, text := range f.files {
		want["keys/"+name] = text
	}
	for name, text := range want {
		path := filepath.Join(corpusDir, name)
		if *update {
			f.write(path, []byte(text))
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%s is not what the table says (%v); go test -run %s -update writes it\n%.2000s", name, err, t.Name(), cmp.Diff(text, string(got)))
		}
	}
	for _, pattern := range []string{"*.json", "keys/*"} {
		paths, err := filepath.Glob(filepath.Join(corpusDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(corpusDir, path)
			if _, ok := want[filepath.ToSlash(name)]; err != nil || !ok {
				t.Errorf("%s is in no table", path)
			}
		}
	}
}

// claimsText returns claims in order, with changes "name=JSON"; "name=" leaves
// the claim out.
func claimsText(base []string, changes ...string) string {
	all := append([]string(nil), base...)
	for _, change := range changes {
		name, _, _ := strings.Cut(change, "=")
		done := false
		for i, c := range all {
			if strings.HasPrefix(c, name+"=") {
				all[i], done = change, true
			}
		}
		if !done {
			all = append(all, change)
		}
	}
	var members []string
	for _, c := range all {
		if name, value, _ := strings.Cut(c, "="); value != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}
