package profile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

const file = `# ours
current: work
profiles:
  work:
    issuer: https://a.example # staging
    client_id: app
    client_secret: file:/run/a
    scope: read write
    audience: [one, "Order Service"]
  other:
    token_endpoint: https://b.example/token
    client_id: app
`

func load(t *testing.T, text string) (*profile.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := profile.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func resolve(t *testing.T, f *profile.File, name string, environment map[string]string, flags profile.Values) *profile.Profile {
	t.Helper()
	p, err := f.Resolve(profile.Query{Name: name, Getenv: func(name string) string { return environment[name] }, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func idOf(err error) diagnosis.ID {
	var d *diagnosis.Diagnosis
	if errors.As(err, &d) {
		return d.ID
	}
	return ""
}

// A flag overrides a variable, and a variable the file. Values have an origin, and the
// settings of a server are used together.
func TestResolve(t *testing.T) {
	f, _ := load(t, file)
	p := resolve(t, f, "", map[string]string{"OAUTHCTL_SCOPE": "read"}, profile.Values{profile.ClientID: "mine"})
	want := map[profile.Key][2]any{
		profile.Issuer:   {"https://a.example", profile.Saved},
		profile.ClientID: {"mine", profile.Flag},
		profile.Scope:    {"read", profile.Environment},
		profile.API:      {"", profile.Unset},
	}
	for key, w := range want {
		if p.Get(key) != w[0] || p.Origin(key) != w[1] {
			t.Errorf("%s is %q of %v, want %q of %v", key, p.Get(key), p.Origin(key), w[0], w[1])
		}
	}
	if p.Name() != "work" || p.NameOrigin() != profile.Saved || !p.Exists() {
		t.Errorf("name %q of %v", p.Name(), p.NameOrigin())
	}
	if diff := cmp.Diff([]string{"one", "Order Service"}, p.List(profile.Audience)); diff != "" {
		t.Error(diff)
	}
	// An endpoint of the file is not used with an issuer of the environment.
	p = resolve(t, f, "other", map[string]string{"OAUTHCTL_ISSUER": "https://c.example"}, nil)
	if got := p.Get(profile.TokenEndpoint); got != "" || p.Server() != "https://c.example" {
		t.Errorf("the file's token endpoint %q is used at %s", got, p.Server())
	}
	// It is used if the issuer is the same.
	p = resolve(t, f, "work", map[string]string{"OAUTHCTL_ISSUER": "https://a.example", "OAUTHCTL_INTROSPECTION_ENDPOINT": "https://a.example/i"}, nil)
	if p.Get(profile.IntrospectionEndpoint) == "" {
		t.Error("the variable's endpoint is lost")
	}
}

// A credential is returned only for the server and the client that it was configured
// for.
func TestCredential(t *testing.T) {
	f, _ := load(t, file)
	a, app := "https://a.example", "app"
	tests := map[string]struct {
		environment map[string]string
		flags       profile.Values
		target      profile.Owner
		want        string
		refused     bool
	}{
		"the file's own":                     {nil, nil, profile.Owner{Server: a, ClientID: app}, "file:/run/a", false},
		"at another server":                  {nil, nil, profile.Owner{Server: "https://b.example", ClientID: app}, "", true},
		"a slash makes another server":       {nil, nil, profile.Owner{Server: a + "/", ClientID: app}, "", true},
		"as another client":                  {nil, nil, profile.Owner{Server: a, ClientID: "other"}, "", true},
		"a variable for its server":          {map[string]string{"OAUTHCTL_ISSUER": "https://b.example", "OAUTHCTL_CLIENT_SECRET": "x"}, nil, profile.Owner{Server: "https://b.example", ClientID: app}, "env:OAUTHCTL_CLIENT_SECRET", false},
		"a variable's server, file's secret": {map[string]string{"OAUTHCTL_ISSUER": "https://b.example"}, nil, profile.Owner{Server: "https://b.example", ClientID: app}, "", true},
		"below a variable's, the file's":     {map[string]string{"OAUTHCTL_ISSUER": "https://b.example", "OAUTHCTL_CLIENT_SECRET": "x"}, nil, profile.Owner{Server: a, ClientID: app}, "file:/run/a", false},
		"a variable without a server":        {map[string]string{"OAUTHCTL_CLIENT_SECRET": "x"}, nil, profile.Owner{Server: a, ClientID: app}, "env:OAUTHCTL_CLIENT_SECRET", false},
		"a flag is for this run":             {nil, profile.Values{profile.ClientSecret: "file:/x"}, profile.Owner{Server: "https://new.example", ClientID: "new"}, "file:/x", false},
		"none":                               {nil, nil, profile.Owner{Server: a, ClientID: app}, "file:/run/a", false},
	}
	for name, tt := range tests {
		got, err := resolve(t, f, "work", tt.environment, tt.flags).Credential(profile.ClientSecret, tt.target)
		if got != tt.want || (err != nil) != tt.refused || err != nil && idOf(err) != diagnosis.CredentialElsewhere {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), a) && !strings.Contains(err.Error(), app)) {
			t.Errorf("%s: %v does not contain both", name, err)
		}
	}
}

// A login at another server drops the values that belong to the previous server, and no others.
func TestAt(t *testing.T) {
	f, _ := load(t, file+"  machine:\n    issuer: https://a.example\n    client_id: app\n    client_secret: env:S\n    client_cert: /c\n    client_key: /k\n    ca_cert: /ca\n    store: file\n    redirect_uri: http://127.0.0.1:1/cb\n")
	p := resolve(t, f, "machine", nil, nil).At(profile.Values{profile.Issuer: "https://new.example"})
	for _, s := range profile.Settings() {
		kept := s.Key == profile.CACert || s.Key == profile.StoreKind || s.Key == profile.RedirectURI
		if got := p.Get(s.Key); s.Key != profile.Issuer && (got != "") != kept {
			t.Errorf("%s is %q", s.Key, got)
		}
	}
	before, _ := f.Values("machine")
	want := profile.Values{profile.Issuer: "https://new.example", profile.ClientID: "", profile.ClientSecret: "", profile.ClientCert: "", profile.ClientKey: ""}
	if diff := cmp.Diff(want, p.Changes(before)); diff != "" {
		t.Error(diff)
	}
	// Values of the environment are not stored in the file.
	p = resolve(t, f, "machine", map[string]string{"OAUTHCTL_ISSUER": "https://new.example", "OAUTHCTL_CLIENT_ID": "ci"}, nil)
	if diff := cmp.Diff(profile.Values{}, p.Changes(before)); diff != "" {
		t.Error(diff)
	}
}

func TestLists(t *testing.T) {
	for _, list := range [][]string{nil, {"a"}, {"a", "b"}, {"Order Service"}, {"a", ""}, {"[x]"}, {`"quoted"`, "b c"}, {"\t"}} {
		if got := profile.ParseList(profile.JoinList(list)); !cmp.Equal(got, list) && len(got)+len(list) > 0 {
			t.Errorf("%q becomes %q", list, got)
		}
	}
}

// Concurrent writers of one file lose no change and leave everything else unchanged.
func TestUpdateLosesNothing(t *testing.T) {
	_, path := load(t, file)
	var writers sync.WaitGroup
	for i := range 40 {
		writers.Go(func() {
			err := profile.Update(t.Context(), path, func(f *profile.File) error {
				f.Set(fmt.Sprintf("p%d", i), profile.Values{profile.Scope: fmt.Sprint(i)})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	f, err := profile.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Names()); got != 42 {
		t.Errorf("%d profiles, want 42", got)
	}
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), "# ours") || !strings.Contains(string(data), "# staging") {
		t.Errorf("the comments are lost: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// An unchanged file is not written, and a file that cannot be replaced is written in
// place.
func TestUpdateWritesOnlyWhatDiffers(t *testing.T) {
	_, path := load(t, file)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := profile.Update(t.Context(), path, func(f *profile.File) error { f.Set("work", profile.Values{profile.ClientID: "app"}); return nil }); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
		t.Errorf("the file was written: %v", err)
	}
	wrong := errors.New("no")
	if err := profile.Update(t.Context(), path, func(f *profile.File) error { f.Delete("work"); return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if f, err := profile.Load(path); err != nil || len(f.Names()) != 2 {
		t.Errorf("a change that failed was written: %v", err)
	}
	// A symbolic link remains a link.
	link := filepath.Join(t.TempDir(), "linked.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if err := profile.Update(t.Context(), link, func(f *profile.File) error { f.Use("other"); return nil }); err != nil {
		t.Fatal(err)
	}
	if f, err := profile.Load(path); err != nil || f.Current() != "other" {
		t.Errorf("the link's target was not changed: %v", err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}

// A profile that moves to another server loses its credentials, unless they are set too.
func TestSetAtAnotherServer(t *testing.T) {
	f, _ := load(t, file)
	if dropped := f.Set("work", profile.Values{profile.Issuer: "https://b.example"}); !cmp.Equal(dropped, []profile.Key{profile.ClientSecret}) {
		t.Errorf("dropped %v", dropped)
	}
	if values, _ := f.Values("work"); values[profile.ClientSecret] != "" || values[profile.ClientID] != "app" {
		t.Errorf("left %v", values)
	}
	f, _ = load(t, file)
	if dropped := f.Set("work", profile.Values{profile.Issuer: "https://b.example", profile.ClientSecret: "env:B"}); dropped != nil {
		t.Errorf("dropped %v although one was given", dropped)
	}
	f, _ = load(t, file)
	if dropped := f.Set("work", profile.Values{profile.Scope: "all"}); dropped != nil {
		t.Errorf("dropped %v at the same server", dropped)
	}
}

// A file that others can change is not used, and an endless file is not read completely.
func TestLoadRefusesWhatOthersCanChange(t *testing.T) {
	_, path := load(t, file)
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o644: false, 0o400: false, 0o660: true, 0o666: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := profile.Load(path); (idOf(err) == diagnosis.ConfigInsecure) != refused {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, refused := range map[os.FileMode]bool{0o700: false, 0o755: false, 0o777: true, 0o775: true, 0o777 | os.ModeSticky: false} {
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := profile.Load(path); (idOf(err) == diagnosis.ConfigInsecure) != refused {
			t.Errorf("directory with mode %o: %v", mode, err)
		}
	}
	if _, err := profile.Load("/dev/zero"); err == nil {
		t.Error("/dev/zero was read")
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := profile.Load(big); idOf(err) != diagnosis.ConfigInvalid {
		t.Errorf("2 MiB: %v", err)
	}
}

// Errors have a line and a column.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"profiles: {a: {isuer: x}}":                       `1:16: unknown key "isuer"`,
		"profiles:\n  a:\n    issuer: x\n    issuer: y\n": `4:5: the key "issuer" is set twice`,
		"other: 1":                                `1:1: unknown key "other"`,
		"profiles: {a: {scope: {b: c}}}":          "scope: expected a string",
		"profiles: {a: {issuer: [b]}}":            "issuer: expected a string",
		"profiles: {a: {client_secret: hunter2}}": "never the secret itself",
		"profiles: {NUL: {}}":                     "NUL",
		"- a":                                     "expected the keys current and profiles",
		"profiles: {a: {client_assertion: eyJhbGciOiJub25lIn0}}": "never the secret itself",
	} {
		if _, err := profile.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// A value has one of the forms that the help of its setting lists, each with
// what follows its prefix.
func TestFormsAreThoseOfTheHelp(t *testing.T) {
	seen := 0
	for _, s := range profile.Settings() {
		for _, form := range s.Forms {
			seen++
			if !strings.HasSuffix(s.Help(), s.Form()) || !strings.Contains(s.Form(), form.Prefix+form.Rest) {
				t.Errorf("%s: %q lacks %q", s.Key, s.Help(), form)
			}
			if !s.Holds(form.Prefix + form.Rest) {
				t.Errorf("%s: %q is refused", s.Key, form)
			}
			if form.Rest != "" && s.Holds(form.Prefix) {
				t.Errorf("%s: %q alone is accepted", s.Key, form.Prefix)
			}
			if s.Holds("x" + form.Prefix + "x") {
				t.Errorf("%s: %q is accepted in another place", s.Key, form.Prefix)
			}
		}
		if len(s.Forms) == 0 && (s.Form() != "" || !s.Holds("anything") || s.Help() != s.What) {
			t.Errorf("%s has a form", s.Key)
		}
	}
	if seen < 6 {
		t.Errorf("%d forms", seen)
	}
	if s, _ := profile.Lookup(profile.ClientSecret); s.Form() != "env:NAME, file:PATH or command:CMD" {
		t.Errorf("client_secret: %s", s.Form())
	}
}

// Every credential is bound to its server, and so are TLS settings that use one.
func TestEveryCredentialIsBound(t *testing.T) {
	text := "profiles:\n  work:\n    issuer: https://a.example\n    client_id: app\n"
	keys := map[profile.Key]string{}
	for _, s := range profile.Settings() {
		if !s.Credential {
			continue
		}
		value := "/run/key.pem"
		if len(s.Forms) > 0 {
			value = s.Forms[len(s.Forms)-1].Prefix + "x"
		}
		keys[s.Key] = value
		text += fmt.Sprintf("    %s: %q\n", s.Key, value)
	}
	if len(keys) < 5 {
		t.Fatalf("only %v are credentials", keys)
	}
	f, _ := load(t, text)
	own := profile.Owner{Server: "https://a.example", ClientID: "app"}
	for key, value := range keys {
		p := resolve(t, f, "work", nil, nil)
		if got, err := p.Credential(key, own); err != nil || got != value {
			t.Errorf("%s at its own server: %q, %v", key, got, err)
		}
		for _, target := range []profile.Owner{{Server: "https://b.example", ClientID: "app"}, {Server: "https://a.example", ClientID: "other"}} {
			if got, err := p.Credential(key, target); idOf(err) != diagnosis.CredentialElsewhere || got != "" {
				t.Errorf("%s for %v: %q, %v", key, target, got, err)
			}
		}
	}
	p := resolve(t, f, "work", map[string]string{"OAUTHCTL_ISSUER": "https://b.example"}, nil)
	if _, err := p.TLS(); idOf(err) != diagnosis.CredentialElsewhere {
		t.Errorf("the certificate at another server: %v", err)
	}
}
