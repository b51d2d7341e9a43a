package profile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/profile"
)

// Every profile file that can be parsed can be changed and parsed again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("current: a\nprofiles:\n  a:\n    issuer: https://x # y\n"))
	f.Add([]byte("profiles: {a: {}, b: null}"))
	f.Add([]byte("profiles: {a: {audience: [one, \"two words\"]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := profile.Parse(data)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		err = profile.Update(t.Context(), path, func(f *profile.File) error {
			f.Set("fuzz", profile.Values{profile.Issuer: "https://auth.example.com"})
			return nil
		})
		if err != nil {
			t.Skip() // YAML that cannot be written
		}
		after, err := profile.Load(path)
		if err != nil {
			t.Fatalf("%q is parsed with %v", data, err)
		}
		if values, _ := after.Values("fuzz"); values[profile.Issuer] != "https://auth.example.com" {
			t.Errorf("%q is parsed as %v", data, values)
		}
		for _, name := range before.Names() {
			if _, ok := after.Values(name); !ok {
				t.Errorf("%q loses the profile %s", data, name)
			}
		}
	})
}
