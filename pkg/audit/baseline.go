package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Baseline is a list of known faults.
type Baseline []Known

// Known is a fault that is accepted for now, with the reason.
type Known struct {
	Operation string       `yaml:"operation"`
	Case      string       `yaml:"case"`
	ID        diagnosis.ID `yaml:"id"`
	Reason    string       `yaml:"reason"`

	line int
}

// maxBaseline is the size limit of a baseline file in bytes.
const maxBaseline = 1 << 20

// LoadBaseline parses a YAML list of {operation, case, id, reason}. Name is the
// name of the file; errors begin with name:line. An entry without a reason is
// refused.
func LoadBaseline(data []byte, name string) (Baseline, error) {
	b, err := parseBaseline(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return b, nil
}

func parseBaseline(data []byte) (Baseline, error) {
	if len(data) > maxBaseline {
		return nil, fmt.Errorf("1: a baseline has at most %d bytes", maxBaseline)
	}
	var root yaml.Node
	if isBlank(string(data)) {
		return nil, nil
	}
	if err := yaml.Load(data, &root); err != nil {
		return nil, fmt.Errorf("1: %w", err)
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.SequenceNode {
		return nil, errors.New("1: expected a list of {operation, case, id, reason}")
	}
	var all Baseline
	for _, n := range root.Content[0].Content {
		known, err := readKnown(n)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n.Line, err)
		}
		if slices.ContainsFunc(all, known.same) {
			return nil, fmt.Errorf("%d: duplicate entry", n.Line)
		}
		all = append(all, known)
	}
	return all, nil
}

// isBlank reports whether a file has comments only.
func isBlank(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

func (k Known) same(other Known) bool {
	return k.Operation == other.Operation && k.Case == other.Case && k.ID == other.ID
}

func readKnown(n *yaml.Node) (Known, error) {
	k := Known{line: n.Line}
	into := map[string]*string{"operation": &k.Operation, "case": &k.Case, "id": (*string)(&k.ID), "reason": &k.Reason}
	if n.Kind != yaml.MappingNode {
		return k, errors.New("expected operation, case, id and reason")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		target := into[key.Value]
		if target == nil || value.Kind != yaml.ScalarNode {
			return k, fmt.Errorf("expected operation, case, id or reason with a text, got %q", cut(key.Value))
		}
		*target = strings.TrimSpace(value.Value)
		if value.Tag == "!!null" {
			*target = ""
		}
	}
	switch {
	case k.Operation == "" || k.Case == "" || k.ID == "":
		return k, errors.New("operation, case or id is missing")
	case k.Reason == "":
		return k, fmt.Errorf("the reason of %s %s %s is empty", k.Operation, k.Case, k.ID)
	}
	return k, nil
}

// Apply marks the known findings, and returns stale entries: the case passed, or
// listed reports that the operation no longer exists.
func (b Baseline) Apply(r *Report, listed func(operation string) bool) (stale []Known) {
	for _, k := range b {
		found := false
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Operation == k.Operation && f.Case.Name == k.Case && f.ID == k.ID {
				f.Known, f.Reason, found = true, k.Reason, true
			}
		}
		if !found && (!listed(k.Operation) || r.passed(k)) {
			stale = append(stale, k)
		}
	}
	return stale
}

// passed reports whether the case of a known fault was tested and decided.
func (r *Report) passed(k Known) bool {
	for _, row := range r.Operations {
		if row.Operation.Name() != k.Operation {
			continue
		}
		return slices.ContainsFunc(row.Cells, func(c Cell) bool { return c.Case.Name == k.Case && c.Result != Inconclusive })
	}
	return false
}

// WriteBaseline returns a baseline file of the findings with empty reasons.
// Existing reasons are retained.
func WriteBaseline(r *Report) ([]byte, error) {
	list := Baseline{}
	for _, f := range r.Findings {
		list = append(list, Known{Operation: f.Operation, Case: f.Case.Name, ID: f.ID, Reason: f.Reason})
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return append([]byte("# Known faults. Each entry needs a reason.\n"), text...), nil
}
