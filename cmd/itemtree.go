package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// step is one step of a nested field's name: a member of an object, or an index of
// an array (-1 for a new element).
type step struct {
	member string
	array  bool
	index  int
}

const (
	maxSteps = 32
	maxIndex = 1000
)

// fieldPath splits a[b][0][] into its steps.
func fieldPath(name string) ([]step, error) {
	head, rest := name, ""
	if i := bracket(name, '['); i >= 0 {
		head, rest = name[:i], name[i:]
	}
	if head == "" {
		return nil, fmt.Errorf("a field's name comes before its brackets")
	}
	path := []step{{member: unescape(head)}}
	for rest != "" {
		end := bracket(rest, ']')
		if rest[0] != '[' || end < 0 {
			return nil, fmt.Errorf("expected brackets that close, as in a[b][c]")
		}
		one, err := oneStep(rest[1:end])
		if err != nil {
			return nil, err
		}
		if path, rest = append(path, one), rest[end+1:]; len(path) > maxSteps {
			return nil, fmt.Errorf("nested more than %d times", maxSteps)
		}
	}
	return path, nil
}

func oneStep(text string) (step, error) {
	switch {
	case text == "":
		return step{array: true, index: -1}, nil
	case strings.Trim(text, digits) != "":
		return step{member: unescape(text)}, nil
	}
	index, err := strconv.Atoi(text)
	if err != nil || index > maxIndex {
		return step{}, fmt.Errorf("the index %.20s is larger than %d", text, maxIndex)
	}
	return step{array: true, index: index}, nil
}

// bracket returns where a bracket is that no backslash makes part of the name.
func bracket(s string, b byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case b:
			return i
		}
	}
	return -1
}

// object is a JSON object whose members keep the order in which they were added.
// A member is an *object, a *list or a jsontext.Value.
type object struct {
	names   []string
	members map[string]any
}

// list is a JSON array, of the same values.
type list struct{ items []any }

func newObject() *object { return &object{members: map[string]any{}} }

// put sets the value at a path, making what is missing on the way.
func (o *object) put(path []step, value jsontext.Value) error {
	var current any = o
	for i, s := range path {
		last := i == len(path)-1
		next, there, err := s.get(current, path[:i+1])
		switch {
		case err != nil:
			return err
		case last && there:
			return fmt.Errorf("duplicate field %s", spell(path))
		case last:
			next = value
		case !there && path[i+1].array:
			next = &list{}
		case !there:
			next = newObject()
		}
		if !there {
			s.set(current, next)
		}
		current = next
	}
	return nil
}

// get returns what is at a step now.
func (s step) get(in any, sofar []step) (value any, there bool, err error) {
	before := spell(sofar[:len(sofar)-1])
	switch in := in.(type) {
	case *object:
		if s.array {
			return nil, false, fmt.Errorf("%s is an object already", before)
		}
		value, there = in.members[s.member]
		return value, there, nil
	case *list:
		switch {
		case !s.array:
			return nil, false, fmt.Errorf("%s is an array, so expected an index, got %q", before, s.member)
		case s.index > len(in.items):
			return nil, false, fmt.Errorf("the array %s has %d elements, so index %d is not the next one", before, len(in.items), s.index)
		case s.index >= 0 && s.index < len(in.items):
			return in.items[s.index], true, nil
		}
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("%s is a value already", before)
}

func (s step) set(in, value any) {
	switch in := in.(type) {
	case *object:
		in.names = append(in.names, s.member)
		in.members[s.member] = value
	case *list:
		in.items = append(in.items, value)
	}
}

// spell writes a path as an item has it.
func spell(path []step) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "%.100s", s.member)
		case s.array && s.index < 0:
			b.WriteString("[]")
		case s.array:
			fmt.Fprintf(&b, "[%d]", s.index)
		default:
			fmt.Fprintf(&b, "[%.100s]", s.member)
		}
	}
	return fmt.Sprintf("%q", b.String())
}

// appendJSON writes a tree, the values as they are.
func appendJSON(to []byte, value any) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case *object:
		to = append(to, '{')
		for i, name := range v.names {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = jsontext.AppendQuote(to, name); err != nil {
				return nil, fmt.Errorf("the field name %.100q is not UTF-8 text", name)
			}
			if to, err = appendJSON(append(to, ':'), v.members[name]); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	case *list:
		to = append(to, '[')
		for i, item := range v.items {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = appendJSON(to, item); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case jsontext.Value:
		return append(to, v...), nil
	}
	return nil, fmt.Errorf("unexpected %T", value)
}
