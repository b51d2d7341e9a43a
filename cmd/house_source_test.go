package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packageBreaches returns what is not allowed in the source of a package.
func packageBreaches(t *testing.T, r goPackage) []string {
	t.Helper()
	var breaches []string
	if r.Doc == "" {
		breaches = append(breaches, r.path()+" has no package comment")
	}
	for _, name := range slices.Concat(r.GoFiles, r.IgnoredGoFiles) {
		if strings.HasSuffix(name, "_test.go") {
			continue // a test behind a build tag
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(r.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, breach := range sourceBreaches(file, strings.HasPrefix(r.path(), "pkg/")) {
			breaches = append(breaches, r.path()+"/"+name+": "+breach)
		}
	}
	return breaches
}

// sourceBreaches returns every export without a comment, every init, and the forbidden names in a file under pkg.
func sourceBreaches(file *ast.File, underPkg bool) []string {
	var breaches []string
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				breaches = append(breaches, "has an init")
			}
			if d.Name.IsExported() && d.Doc == nil && hasExportedReceiver(d) {
				breaches = append(breaches, d.Name.Name+" has no comment")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				breaches = append(breaches, undocumented(d, spec)...)
				if compilesAtStart(spec) {
					breaches = append(breaches, "compiles a regular expression at every start")
				}
			}
		}
	}
	if underPkg {
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(ofTheProgram(), x.Name+"."+selector.Sel.Name) {
					breaches = append(breaches, "uses "+x.Name+"."+selector.Sel.Name)
				}
			}
			return true
		})
	}
	return breaches
}

// hasExportedReceiver reports whether a function, or the type of a method, is exported.
func hasExportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return true
		}
	}
}

// undocumented returns the exported names of a specification that have no comment. One comment is enough for a group of
// constants or variables; each type needs its own.
func undocumented(d *ast.GenDecl, spec ast.Spec) []string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && (d.Lparen.IsValid() || d.Doc == nil) {
			return []string{s.Name.Name + " has no comment"}
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
				return []string{name.Name + " has no comment"}
			}
		}
	}
	return nil
}

// compilesAtStart reports whether a package variable is a compiled regular expression, which would slow down the start
// of every command.
func compilesAtStart(spec ast.Spec) bool {
	v, ok := spec.(*ast.ValueSpec)
	if !ok {
		return false
	}
	return slices.ContainsFunc(v.Values, func(value ast.Expr) bool {
		call, ok := value.(*ast.CallExpr)
		if !ok {
			return false
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		x, ok := f.X.(*ast.Ident)
		return ok && x.Name == "regexp"
	})
}

func TestHouseSourceIsHeld(t *testing.T) {
	const source = `package p
import "os"
type A struct{}
// B has a comment.
type B struct{}
func (B) M() {}
func (b *B) N() {}
func (c c[T]) Free() {}
// C has a comment.
func C() { os.Exit(1) }
func D() {}
// Two that belong together.
const ( E = 1; F = 2 )
var G = 1
// Later has a comment.
var Later = sync.OnceValue(func() any { return regexp.MustCompile("x") })
// Now has a comment.
var Now = regexp.MustCompile("x")
type ( H int
// I has a comment.
I int )
func init() {}
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"A has no comment", "M has no comment", "N has no comment", "D has no comment", "G has no comment",
		"compiles a regular expression at every start", "H has no comment", "has an init", "uses os.Exit",
	}
	if diff := cmp.Diff(want, sourceBreaches(file, true)); diff != "" {
		t.Errorf("sourceBreaches (-want +got):\n%s", diff)
	}
}
