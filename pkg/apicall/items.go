package apicall

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Items is what request items say: parts of a request, written one by one.
type Items struct {
	Query  url.Values
	Header http.Header
	fields map[string]any
}

// ParseItems reads request items:
//
//	name=value    a text field of the JSON body
//	name:=json    a field with any JSON value
//	name==value   a query parameter
//	Name:value    a header field
//
// The sign that comes first decides; of two at one place the longer. Errors name
// the item at fault.
func ParseItems(items []string) (Items, error) {
	all := Items{Query: url.Values{}, Header: http.Header{}, fields: map[string]any{}}
	for _, item := range items {
		if err := all.add(item); err != nil {
			return Items{}, fmt.Errorf("apicall: the item %q: %w", item, err)
		}
	}
	return all, nil
}

func (all *Items) add(item string) error {
	i := strings.IndexAny(item, "=:")
	if i < 1 {
		return fmt.Errorf("expected name=value, name:=json, name==value or Name:value")
	}
	name, rest := item[:i], item[i:]
	switch {
	case strings.HasPrefix(rest, "=="):
		all.Query.Add(name, rest[2:])
	case strings.HasPrefix(rest, ":="):
		var value any
		if err := json.Unmarshal([]byte(rest[2:]), &value); err != nil {
			return fmt.Errorf("expected JSON behind :=, got %q", rest[2:])
		}
		return all.field(name, jsontext.Value(rest[2:]))
	case strings.HasPrefix(rest, "="):
		return all.field(name, rest[1:])
	default:
		value := strings.TrimSpace(rest[1:])
		if err := checkHeader(http.Header{name: {value}}, false); err != nil {
			return err
		}
		all.Header.Add(name, value)
	}
	return nil
}

func (all *Items) field(name string, value any) error {
	if _, there := all.fields[name]; there {
		return fmt.Errorf("the field %q stands twice", name)
	}
	all.fields[name] = value
	return nil
}

// Body returns the JSON body that the fields make, nil if there are none.
func (all Items) Body() ([]byte, error) {
	if len(all.fields) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(all.fields, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("apicall: %w", err)
	}
	return body, nil
}
