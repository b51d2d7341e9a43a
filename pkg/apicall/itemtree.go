package apicall

import (
	"fmt"
	"strconv"
	"strings"
)

// step is one step of a nested field's name: a member of an object, or a place in
// an array (-1 behind its end).
type step struct {
	member string
	array  bool
	place  int
}

const (
	maxSteps = 32
	maxPlace = 1000
)

// fieldPath splits a[b][0][] into its steps.
func fieldPath(name string) ([]step, error) {
	head, rest := name, ""
	if i := bracket(name, '['); i >= 0 {
		head, rest = name[:i], name[i:]
	}
	if head == "" {
		return nil, fmt.Errorf("a field's name stands before its brackets")
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
		return step{array: true, place: -1}, nil
	case strings.Trim(text, "0123456789") != "":
		return step{member: unescape(text)}, nil
	}
	place, err := strconv.Atoi(text)
	if err != nil || place > maxPlace {
		return step{}, fmt.Errorf("the place %.20s is beyond %d", text, maxPlace)
	}
	return step{array: true, place: place}, nil
}

// bracket returns where a bracket stands that no backslash takes into the name.
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

// list is an array in the making. Objects are maps; everything else is a value
// that an item set.
type list struct{ items []any }

// put sets the value at a path in an object, making what lies on the way.
func put(object map[string]any, path []step, value any) error {
	var current any = object
	for i, s := range path {
		last := i == len(path)-1
		next, there, err := s.get(current, path[:i+1])
		switch {
		case err != nil:
			return err
		case last && there:
			return fmt.Errorf("the field %s stands twice", spell(path))
		case last:
			next = value
		case !there && path[i+1].array:
			next = &list{}
		case !there:
			next = map[string]any{}
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
	switch in := in.(type) {
	case map[string]any:
		if s.array {
			break
		}
		value, there = in[s.member]
		return value, there, nil
	case *list:
		switch {
		case !s.array:
			return nil, false, fmt.Errorf("%s is an array, so expected a place in it, got %q", spell(sofar[:len(sofar)-1]), s.member)
		case s.place > len(in.items):
			return nil, false, fmt.Errorf("the array %s has %d elements, so none can be at place %d", spell(sofar[:len(sofar)-1]), len(in.items), s.place)
		case s.place >= 0 && s.place < len(in.items):
			return in.items[s.place], true, nil
		}
		return nil, false, nil
	}
	what := "a value"
	if _, isObject := in.(map[string]any); isObject {
		what = "an object"
	}
	return nil, false, fmt.Errorf("%s is %s already", spell(sofar[:len(sofar)-1]), what)
}

func (s step) set(in, value any) {
	switch in := in.(type) {
	case map[string]any:
		in[s.member] = value
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
		case s.array && s.place < 0:
			b.WriteString("[]")
		case s.array:
			fmt.Fprintf(&b, "[%d]", s.place)
		default:
			fmt.Fprintf(&b, "[%.100s]", s.member)
		}
	}
	return fmt.Sprintf("%q", b.String())
}

// finished turns arrays in the making into arrays.
func finished(value any) any {
	switch v := value.(type) {
	case map[string]any:
		done := make(map[string]any, len(v))
		for name, member := range v {
			done[name] = finished(member)
		}
		return done
	case *list:
		done := make([]any, len(v.items))
		for i, item := range v.items {
			done[i] = finished(item)
		}
		return done
	}
	return value
}
