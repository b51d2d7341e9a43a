package diagnosis_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func TestCatalogue(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)
	// A summary is used in error_description, which allows no quote or
	// backslash (RFC 6750, section 3).
	summary := regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+[^.]$`)
	kinds := []diagnosis.Kind{
		diagnosis.Advice, diagnosis.Usage, diagnosis.Rejected, diagnosis.Denied, diagnosis.LoginNeeded, diagnosis.Unavailable, diagnosis.Unsafe, diagnosis.Store, diagnosis.API,
	}
	seen := map[diagnosis.ID]bool{}
	for _, e := range diagnosis.All() {
		switch {
		case !form.MatchString(string(e.ID)):
			t.Errorf("%s: an id has words in capitals, joined by underscores", e.ID)
		case seen[e.ID]:
			t.Errorf("duplicate id %s", e.ID)
		case !slices.Contains(kinds, e.Kind):
			t.Errorf("%s has no kind", e.ID)
		case !summary.MatchString(e.Summary):
			t.Errorf("%s: summary %q is not allowed in a header, or ends with a full stop", e.ID, e.Summary)
		case e.Meaning == "" || e.Fix == "":
			t.Errorf("%s needs a meaning and a fix", e.ID)
		}
		seen[e.ID] = true
	}
	if _, ok := diagnosis.Lookup("NO_SUCH_ID"); ok {
		t.Error("Lookup finds an unknown id")
	}
}

func TestDiagnosisIsAnError(t *testing.T) {
	d := &diagnosis.Diagnosis{ID: diagnosis.IssSlash, Expected: diagnosis.Values{"a/"}, Got: diagnosis.Values{"a"}, Err: io.EOF}
	err := fmt.Errorf("verify: %w", d)

	var got *diagnosis.Diagnosis
	if !errors.As(err, &got) || got.Kind() != diagnosis.Rejected {
		t.Errorf("errors.As found %+v", got)
	}
	if !errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.IssSlash}) || !errors.Is(err, io.EOF) {
		t.Error("errors.Is does not find the id or the cause")
	}
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.Expired}) {
		t.Error("errors.Is finds another id")
	}
}

func ExampleDiagnosis() {
	err := &diagnosis.Diagnosis{
		ID:       diagnosis.AudMismatch,
		Expected: diagnosis.Values{"https://api.example.com"},
		Got:      diagnosis.Values{"https://other.example.com"},
	}
	fmt.Println(err)
	fmt.Println(err.ID, err.Kind())
	// Output:
	// the token is for another audience: expected https://api.example.com, got https://other.example.com
	// AUD_MISMATCH rejected
}

// A constant has the name of its id: KidUnknown is KID_UNKNOWN, so that a program
// and its log say the same.
func TestConstantsHaveTheNamesOfTheirIDs(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "ids.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			id, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ToUpper(name.Name) != strings.ReplaceAll(id, "_", "") {
				t.Errorf("%s is the constant of %s", name.Name, id)
			}
			checked++
		}
		return true
	})
	if checked != len(diagnosis.All()) {
		t.Errorf("%d constants checked", checked)
	}
}

// TestCatalogueHasEveryID reads the constants of ids.go.
func TestCatalogueHasEveryID(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "ids.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		id, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := diagnosis.Lookup(diagnosis.ID(id)); !ok {
			t.Errorf("%s has no entry in the catalogue", id)
		}
		known++
		return true
	})
	if all := len(diagnosis.All()); known != all {
		t.Errorf("%d constants and %d entries", known, all)
	}
}
