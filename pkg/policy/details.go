package policy

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Detail holds the members that one element of the claim authorization_details
// must have (RFC 9396, section 2): the type, and others with their values. The
// element may have more members. If a value is a list, the element must have all
// its values, in any order; objects are compared member by member. Values are
// strings, numbers, booleans, []any and map[string]any, and are compared as a
// [ClaimRule] compares them.
type Detail map[string]any

const claimDetails = "authorization_details"

// Type returns the type of the detail, or "" if it has none.
func (d Detail) Type() string {
	text, _ := d["type"].(string)
	return text
}

// String returns the detail as JSON.
func (d Detail) String() string {
	text, _ := json.Marshal(map[string]any(d), json.Deterministic(true))
	return string(text)
}

func (d Detail) check() error {
	if d.Type() == "" {
		return errors.New("each of authorization_details needs a type")
	}
	if _, err := json.Marshal(map[string]any(d)); err != nil {
		return errors.New("authorization_details have texts, numbers, booleans, lists and objects")
	}
	return nil
}

// DetailTypes returns the types of authorization_details that the routes require,
// in alphabetical order. They are the authorization_details_types_supported of the
// API's metadata (RFC 9728, section 2).
func (p *Policy) DetailTypes() []string {
	var all []string
	for _, r := range p.routes {
		for _, need := range r.need.Details {
			all = append(all, need.Type())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// missingDetail returns the first required detail that the token's
// authorization_details do not have, or nil. All members of a detail must be in
// one element, because the members of an element limit each other.
func (r Requirement) missingDetail(t *token.Token) Detail {
	if len(r.Details) == 0 {
		return nil
	}
	text, _ := t.ClaimJSON(claimDetails)
	var granted []jsontext.Value
	if text != "" && json.Unmarshal([]byte(text), &granted) != nil {
		granted = nil
	}
	for _, need := range r.Details {
		has := func(one jsontext.Value) bool { return holdsValue(one, jsonOf(map[string]any(need))) }
		if !slices.ContainsFunc(granted, has) {
			return need
		}
	}
	return nil
}

// holdsValue reports whether the JSON value granted contains everything in need.
func holdsValue(granted, need jsontext.Value) bool {
	if len(granted) == 0 || len(need) == 0 {
		return false
	}
	switch need[0] {
	case '{':
		var has, wants map[string]jsontext.Value
		if json.Unmarshal(granted, &has) != nil || json.Unmarshal(need, &wants) != nil {
			return false
		}
		for name, value := range wants {
			if !holdsValue(has[name], value) {
				return false
			}
		}
		return true
	case '[':
		var wants []jsontext.Value
		if json.Unmarshal(need, &wants) != nil {
			return false
		}
		return !slices.ContainsFunc(wants, func(one jsontext.Value) bool { return !holdsValue(granted, one) })
	}
	var list []jsontext.Value
	if granted[0] != '[' {
		list = []jsontext.Value{granted}
	} else if json.Unmarshal(granted, &list) != nil {
		return false
	}
	want, ok := ClaimText(string(need))
	return ok && slices.ContainsFunc(list, func(one jsontext.Value) bool {
		text, ok := ClaimText(string(one))
		return ok && text == want
	})
}

func jsonOf(value any) jsontext.Value {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return nil
	}
	return text
}

// deniedDetail returns the diagnosis for a token that lacks a detail.
func deniedDetail(t *token.Token, need Detail) *diagnosis.Diagnosis {
	text, _ := t.ClaimJSON(claimDetails)
	return &diagnosis.Diagnosis{ID: diagnosis.DetailsMissing, Expected: diagnosis.Values{need.String()}, Got: diagnosis.FromJSON(text)}
}

// coversDetails reports whether every token with the details of r also has those
// of other.
func (r Requirement) coversDetails(other Requirement) bool {
	for _, need := range other.Details {
		has := func(mine Detail) bool {
			return holdsValue(jsonOf(map[string]any(mine)), jsonOf(map[string]any(need)))
		}
		if !slices.ContainsFunc(r.Details, has) {
			return false
		}
	}
	return true
}
