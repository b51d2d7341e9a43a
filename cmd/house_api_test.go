package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// An exported function of a package takes its clock in its options, not by
// position: WithClock says in its name what its argument is.
func TestHouseClocksAreOptions(t *testing.T) {
	functions, withClock := 0, 0
	err := filepath.WalkDir("../pkg", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			functions++
			switch {
			case !takesClock(f.Type):
			case f.Name.Name == "WithClock":
				withClock++
			default:
				t.Errorf("%s: %s takes a clock by position", path, f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if functions < 300 || withClock == 0 {
		t.Errorf("%d functions, %d with a clock", functions, withClock)
	}
}

// takesClock reports whether a function has a parameter of type func() time.Time.
func takesClock(f *ast.FuncType) bool {
	for _, parameter := range f.Params.List {
		clock, ok := parameter.Type.(*ast.FuncType)
		if !ok || len(clock.Params.List) > 0 || clock.Results == nil || len(clock.Results.List) != 1 {
			continue
		}
		if result, ok := clock.Results.List[0].Type.(*ast.SelectorExpr); ok && result.Sel.Name == "Time" {
			return true
		}
	}
	return false
}
