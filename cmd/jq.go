package cmd

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/itchyny/gojq"
)

// compileFilter reads the expression of --jq, before a command does anything.
func (env *Env) compileFilter() error {
	if env.global.jq == "" {
		return nil
	}
	query, err := gojq.Parse(env.global.jq)
	if err != nil {
		return usage("--jq: %q is not a jq expression: %w", env.global.jq, err)
	}
	env.global.filter, err = gojq.Compile(query, gojq.WithEnvironLoader(os.Environ))
	if err != nil {
		return usage("--jq: %q: %w", env.global.jq, err)
	}
	return nil
}

// jqError is an expression that fails on the data. The data had to be fetched to
// know, so it is not an error of usage.
type jqError struct{ error }

// Unwrap implements the interface of errors.
func (e jqError) Unwrap() error { return e.error }

// filter runs the jq expression on v and prints each result, strings without
// quotes as jq -r does. Numbers keep their digits, and objects their order, unless
// the expression calculates with them or builds them anew.
func (env *Env) filter(w io.Writer, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	if env.global.filter == nil {
		if err := env.compileFilter(); err != nil {
			return err
		}
	}
	return env.filterText(w, data)
}

func (env *Env) filterText(w io.Writer, data []byte) error {
	names := newNameOrder()
	input, err := names.decode(jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)))
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	results := env.global.filter.Run(input)
	terminal := env.IsTerminal(w)
	for {
		result, more := results.Next()
		if !more {
			return nil
		}
		if err, failed := result.(error); failed {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return nil
			}
			return jqError{fmt.Errorf("--jq: %w", err)}
		}
		text, ok := result.(string)
		if ok && terminal {
			text = cleanLines(text)
		}
		if !ok {
			text = escapeJSON(prettyJSON(names.encode(nil, result)))
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
	}
}

// nameOrder remembers in which order objects have their members, which the jq
// engine does not: by the object, and, for objects that an expression makes, by
// where a name came first in the input.
type nameOrder struct {
	objects map[uintptr][]string
	held    []map[string]any // so that no address is used again
	first   map[string]int
}

func newNameOrder() *nameOrder {
	return &nameOrder{objects: map[uintptr][]string{}, first: map[string]int{}}
}

// decode reads one value in the types of the jq engine. Of a repeated name the last
// value counts, as for jq.
func (o *nameOrder) decode(from *jsontext.Decoder) (any, error) {
	token, err := from.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return stdjson.Number(token.String()), nil
	case '[':
		list := []any{}
		for from.PeekKind() != ']' {
			element, err := o.decode(from)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		_, err := from.ReadToken()
		return list, err
	}
	return o.decodeObject(from)
}

func (o *nameOrder) decodeObject(from *jsontext.Decoder) (any, error) {
	members := map[string]any{}
	var names []string
	for from.PeekKind() != '}' {
		name, err := from.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := o.decode(from)
		if err != nil {
			return nil, err
		}
		if _, again := members[key]; !again {
			names = append(names, key)
		}
		members[key] = value
		if _, known := o.first[key]; !known {
			o.first[key] = len(o.first)
		}
	}
	o.objects[reflect.ValueOf(members).Pointer()] = names
	o.held = append(o.held, members)
	_, err := from.ReadToken()
	return members, err
}

// encode writes a result of the jq engine.
func (o *nameOrder) encode(to []byte, value any) []byte {
	switch v := value.(type) {
	case map[string]any:
		to = append(to, '{')
		for i, name := range o.names(v) {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(o.quote(to, name), ':')
			to = o.encode(to, v[name])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, element := range v {
			if i > 0 {
				to = append(to, ',')
			}
			to = o.encode(to, element)
		}
		return append(to, ']')
	case string:
		return o.quote(to, v)
	case stdjson.Number:
		return append(to, v...)
	case *big.Int:
		return v.Append(to, 10)
	}
	data, err := gojq.Marshal(value)
	if err != nil {
		return append(to, "null"...)
	}
	return append(to, data...)
}

func (o *nameOrder) quote(to []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(to, strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		return append(to, `""`...)
	}
	return quoted
}

// names returns the names of an object in their order.
func (o *nameOrder) names(members map[string]any) []string {
	known, ok := o.objects[reflect.ValueOf(members).Pointer()]
	if ok && len(known) == len(members) && !slices.ContainsFunc(known, func(name string) bool { _, there := members[name]; return !there }) {
		return known
	}
	names := slices.Sorted(maps.Keys(members))
	rank := func(name string) int {
		if n, known := o.first[name]; known {
			return n
		}
		return len(o.first)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}
