package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// The layer of each package. A package imports only packages of lower layers, and its parent package. Add a new package
// here first.
const module = "github.com/oauthctl/oauthctl"

func layers() map[string]int {
	return map[string]int{
		".":                        10,
		"cmd":                      9,
		"pkg/oauthtest":            9,
		"pkg/audit":                8,
		"pkg/doctor":               8,
		"pkg/account":              7,
		"pkg/account/oauth2source": 7,
		"pkg/devserver":            7,
		"pkg/guard":                7,
		"pkg/session":              6,
		"pkg/apicall":              6,
		"pkg/bearer":               6,
		"pkg/revocation":           6,
		"pkg/revocation/redis":     6,
		"pkg/oauth":                5,
		"pkg/dpop":                 4,
		"pkg/forge":                4,
		"pkg/openapi":              4,
		"pkg/policy":               4,
		"pkg/policy/policyfile":    4,
		"pkg/provider":             1,
		"pkg/problem":              1,
		"pkg/token":                3,
		"pkg/jwks":                 2,
		"pkg/discovery":            2,
		"pkg/safehttp":             1,
		"pkg/loopback":             1,
		"pkg/profile":              1,
		"pkg/diagnosis":            0,
		"pkg/challenge":            0,
		"pkg/secret":               0,
	}
}

// Where a module or a package of the standard library may be imported outside tests. A final slash includes everything
// below.
func onlyIn() map[string][]string {
	return map[string][]string{
		"github.com/spf13/":             nil, // only in cmd, which may import all of these
		"github.com/charmbracelet/":     nil,
		"github.com/pkg/browser":        nil,
		"github.com/itchyny/gojq":       nil,
		"golang.org/x/term":             nil,
		"flag":                          nil,
		"log":                           nil,
		"github.com/redis/":             {"pkg/revocation/redis"},
		"github.com/zalando/go-keyring": {"pkg/session"},
		"github.com/gofrs/flock":        {"pkg/session", "pkg/profile"},
		// Programs that do not use x/oauth2 do not link it.
		"golang.org/x/oauth2": {"pkg/account/oauth2source"},
	}
}

// testKit is the package for other people's tests. No package imports it.
const testKit = "pkg/oauthtest"

// Packages that only tests may link.
func testsOnly() []string {
	return []string{
		"testing", "net/http/httptest", "github.com/google/go-cmp", "go.uber.org/goleak", "github.com/rogpeppe/go-internal",
		"github.com/go-jose/go-jose", "github.com/spf13/cobra/doc",
	}
}

// Modules that must not be in go.mod, so that users do not download them: other libraries to compare with, which a
// nested module uses, and tools.
func notInGoMod() []string {
	return []string{
		"github.com/lestrrat-go/", "github.com/coreos/go-oidc", "github.com/MicahParks/", "github.com/auth0/",
		"github.com/zitadel/", "github.com/ory/", "github.com/square/go-jose", "gopkg.in/square/go-jose",
		"github.com/dgrijalva/jwt-go", "github.com/cristalhq/jwt", "github.com/kataras/jwt", "github.com/gbrlsnchs/jwt",
		"github.com/int128/", "github.com/modelcontextprotocol/", "github.com/spf13/viper", "github.com/knadh/koanf",
		"github.com/99designs/keyring", "github.com/google/cel-go", "github.com/charmbracelet/fang",
		"github.com/charmbracelet/glamour", "github.com/goreleaser/", "github.com/golangci/",
	}
}

// The screen, the arguments and the environment belong to cmd. Packages under pkg must not use these names.
func ofTheProgram() []string {
	return []string{
		"os.Args", "os.Stdin", "os.Stdout", "os.Stderr", "os.Exit", "os.Getenv", "os.LookupEnv", "os.Environ",
		"os.Setenv", "fmt.Print", "fmt.Printf", "fmt.Println", "fmt.Scan", "fmt.Scanf", "fmt.Scanln",
	}
}

// A goPackage is a package of this module, as `go list` prints it.
type goPackage struct {
	Name       string
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	// Files for other systems.
	IgnoredGoFiles []string
	Imports        []string
	Deps           []string
}

// path returns the package's path inside the module; "." is main.
func (r goPackage) path() string {
	if r.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(r.ImportPath, module+"/")
}

// goPackages lists the packages of this module.
func goPackages(t *testing.T) []goPackage {
	t.Helper()
	// The folders are read here too, so that `go test` does not use its cached result after a file was added or
	// removed.
	err := filepath.WalkDir("../pkg", func(string, fs.DirEntry, error) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-json=Name,ImportPath,Dir,Doc,GoFiles,IgnoredGoFiles,Imports,Deps", "./...")
	list.Dir = ".."
	list.Stderr = os.Stderr
	stdout, err := list.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Start(); err != nil {
		t.Fatal(err)
	}
	var found []goPackage
	for decoder := jsontext.NewDecoder(stdout); decoder.PeekKind() != 0; {
		var r goPackage
		if err := json.UnmarshalDecode(decoder, &r); err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	return found
}

// importBreaches returns every import of the package that is not allowed.
func importBreaches(r goPackage) []string {
	var breaches []string
	own, ok := layers()[r.path()]
	if !ok {
		return []string{r.path() + " has no layer"}
	}
	for _, imported := range r.Imports {
		inner, isOurs := strings.CutPrefix(imported, module+"/")
		if !isOurs {
			continue
		}
		layer, ok := layers()[inner]
		if isParent := strings.HasPrefix(r.path(), inner+"/"); !ok || layer >= own && !isParent {
			breaches = append(breaches, r.path()+" imports "+inner)
		}
	}
	for prefix, allowed := range onlyIn() {
		for _, imported := range r.Imports {
			isIt := imported == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(imported, prefix)
			if isIt && r.path() != "cmd" && !slices.Contains(allowed, r.path()) {
				breaches = append(breaches, r.path()+" imports "+imported)
			}
		}
	}
	for _, prefix := range testsOnly() {
		if r.path() == testKit && (prefix == "testing" || prefix == "net/http/httptest") {
			continue
		}
		for _, dependency := range r.Deps {
			if within(dependency, prefix) {
				breaches = append(breaches, r.path()+" links "+dependency)
			}
		}
	}
	slices.Sort(breaches)
	return breaches
}

// within reports whether an import path is prefix or below it.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func TestHouse(t *testing.T) {
	found := goPackages(t)
	t.Run("imports", func(t *testing.T) {
		for _, r := range found {
			for _, breach := range importBreaches(r) {
				t.Error(breach)
			}
			if slices.Contains([]string{"util", "utils", "helpers", "types", "common", "manager", "internal"}, r.Name) {
				t.Errorf("%s: a package is named after its job", r.path())
			}
		}
	})
	t.Run("bearer is light", func(t *testing.T) {
		i := slices.IndexFunc(found, func(r goPackage) bool { return r.path() == "pkg/bearer" })
		if i < 0 {
			t.Fatal("there is no pkg/bearer")
		}
		for _, breach := range heavy(found[i]) {
			t.Error(breach)
		}
	})
	t.Run("source", func(t *testing.T) {
		for _, r := range found {
			for _, breach := range packageBreaches(t, r) {
				t.Error(breach)
			}
		}
	})
}

func TestHouseImportsAreHeld(t *testing.T) {
	tests := []struct {
		pkg  goPackage
		want []string
	}{
		{goPackage{ImportPath: module + "/pkg/token", Imports: []string{module + "/pkg/jwks", "log/slog"}}, nil},
		{goPackage{ImportPath: module + "/pkg/revocation/redis", Imports: []string{module + "/pkg/revocation", "github.com/redis/rueidis"}}, nil},
		{goPackage{ImportPath: module + "/cmd", Imports: []string{"github.com/spf13/cobra", "log"}}, nil},
		{goPackage{ImportPath: module + "/pkg/jwks", Imports: []string{module + "/pkg/token"}}, []string{"pkg/jwks imports pkg/token"}},
		{goPackage{ImportPath: module + "/pkg/jwks", Imports: []string{module + "/pkg/discovery"}}, []string{"pkg/jwks imports pkg/discovery"}},
		{goPackage{ImportPath: module + "/pkg/oauth", Imports: []string{module + "/pkg/new"}}, []string{"pkg/oauth imports pkg/new"}},
		{goPackage{ImportPath: module + "/pkg/new"}, []string{"pkg/new has no layer"}},
		{goPackage{ImportPath: module + "/pkg/oauth", Imports: []string{"github.com/spf13/cobra", "log"}}, []string{"pkg/oauth imports github.com/spf13/cobra", "pkg/oauth imports log"}},
		{goPackage{ImportPath: module + "/pkg/oauth", Deps: []string{"testing"}}, []string{"pkg/oauth links testing"}},
		{goPackage{ImportPath: module + "/pkg/oauthtest", Deps: []string{"testing", "net/http/httptest"}}, nil},
		{goPackage{ImportPath: module + "/pkg/oauthtest", Deps: []string{"go.uber.org/goleak"}}, []string{"pkg/oauthtest links go.uber.org/goleak"}},
		{goPackage{ImportPath: module + "/cmd", Imports: []string{module + "/pkg/oauthtest"}}, []string{"cmd imports pkg/oauthtest"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, importBreaches(test.pkg)); diff != "" {
			t.Errorf("%s importing %v (-want +got):\n%s", test.pkg.path(), test.pkg.Imports, diff)
		}
	}
}

// Packages that the commands may use only through pkg/account. It decides which client is used, what a refresh keeps,
// and where a login ends.
func throughAccount() []string { return []string{"pkg/session", "pkg/loopback", "pkg/dpop"} }

// TestHouseCommandsUseAccounts checks that cmd uses only types and constants of pkg/oauth, and calls no function.
func TestHouseCommandsUseAccounts(t *testing.T) {
	functions := exportedFunctions(t, "../pkg/oauth")
	if len(functions) == 0 || functions["TokenResponse"] || !functions["Register"] {
		t.Fatalf("the functions of pkg/oauth are not what was expected: %v", functions)
	}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			if name := strings.Trim(imported.Path.Value, `"`); slices.Contains(throughAccount(), strings.TrimPrefix(name, module+"/")) {
				t.Errorf("%s imports %s", path, name)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "oauth" && functions[s.Sel.Name] {
					t.Errorf("%s calls oauth.%s", path, s.Sel.Name)
				}
			}
			return true
		})
	}
}

// exportedFunctions returns the functions, but not the methods, that the package in dir exports.
func exportedFunctions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() && !strings.HasSuffix(path, "_test.go") {
				functions[f.Name.Name] = true
			}
		}
	}
	return functions
}

// heavy lists the packages that the middleware links although an API does not need them: Redis, the client's side, the
// terminal, a parser of policy files.
func heavy(bearer goPackage) []string {
	var breaches []string
	for _, prefix := range []string{
		module + "/pkg/oauth", module + "/pkg/session", module + "/pkg/apicall", module + "/pkg/loopback", module + "/pkg/revocation",
		"github.com/redis", "github.com/zalando", "github.com/gofrs", "github.com/spf13", "github.com/charmbracelet",
		module + "/pkg/policy/policyfile", "go.yaml.in", "gopkg.in",
	} {
		for _, dependency := range bearer.Deps {
			if within(dependency, prefix) {
				breaches = append(breaches, "pkg/bearer links "+dependency)
			}
		}
	}
	return breaches
}

func TestHouseBearerIsHeld(t *testing.T) {
	got := heavy(goPackage{Deps: []string{module + "/pkg/token", module + "/pkg/oauth", "github.com/redis/rueidis", "go.yaml.in/yaml/v4"}})
	want := []string{"pkg/bearer links " + module + "/pkg/oauth", "pkg/bearer links github.com/redis/rueidis", "pkg/bearer links go.yaml.in/yaml/v4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("heavy (-want +got):\n%s", diff)
	}
}

func TestHouseGoMod(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range notInGoMod() {
		if strings.Contains(string(text), peer) {
			t.Errorf("go.mod names %s", peer)
		}
	}
}

func TestHouseTopLevel(t *testing.T) {
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = ".."
	listed, err := list.Output()
	if err != nil || len(listed) == 0 {
		t.Skipf("not a git checkout: %v", err)
	}
	agreed := []string{"go.mod", "go.sum", "main.go", "cmd", "pkg", "docs", "completions", "README.md", "LICENSE"}
	for path := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		entry, _, _ := strings.Cut(path, "/")
		if !strings.HasPrefix(entry, ".") && !slices.Contains(agreed, entry) {
			t.Errorf("%s stands at the top level", entry)
		}
	}
}
