package policyfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// A variable may contain a secret. An error of a policy contains the variable's
// name and position, and never its value.
func TestErrorsHoldNoValueOfAVariable(t *testing.T) {
	const canary = "s3cr3t-canary"
	values := map[string]string{
		"a word": canary, "two words": canary + " b", "quotes": `"` + canary + `\`, "lines": canary + "\n\"GET /admin\": {public: true}", "letters of others": canary + "é",
	}
	const routes = "routes:\n  \"GET /x\": {}\n"
	head := "issuer: a\naudience: b\n"
	// Each place in which a text can have a variable, and whether some values
	// are refused there.
	places := map[string]struct {
		text    string
		refuses bool
	}{
		"issuer":               {"issuer: ${SECRET}/x\naudience: b\n" + routes, false},
		"audience":             {"issuer: a\naudience: [b, \"${SECRET}\"]\n" + routes, false},
		"jwks":                 {head + "jwks: ${SECRET}\n" + routes, false},
		"algorithm":            {head + "algorithms: [ES256, \"${SECRET}\"]\n" + routes, true},
		"one algorithm":        {head + "algorithms: ${SECRET}\n" + routes, true},
		"part of an algorithm": {head + "algorithms: RS${SECRET}\n" + routes, true},
		"accept":               {head + "accept: ${SECRET}\n" + routes, true},
		"types":                {head + "types: [\"${SECRET}\"]\n" + routes, false},
		"scope_claims":         {head + "scope_claims: ${SECRET}\n" + routes, false},
		"scopes_supported":     {head + "scopes_supported: [\"x:${SECRET}\"]\n" + routes, true},
		"scopes":               {head + "routes:\n  \"GET /x\": {scopes: [a, \"${SECRET}\"]}\n", true},
		"any_scopes":           {head + "routes:\n  \"GET /x\": {any_scopes: \"${SECRET}\"}\n", true},
		"two variables":        {head + "routes:\n  \"GET /x\": {scopes: \"${OTHER}:${SECRET}\"}\n", true},
		"claims":               {head + "routes:\n  \"GET /x\": {claims: {tenant: \"${SECRET}\"}}\n", false},
		"acr":                  {head + "routes:\n  \"GET /x\": {acr: [\"${SECRET}\"]}\n", false},
		"details":              {head + "routes:\n  \"GET /x\": {authorization_details: {type: \"${SECRET}\", a: [\"${SECRET}\"]}}\n", false},
		"an expression":        {head + "routes:\n  \"GET /x\": {claims: {tenant: {matches: \"^${SECRET}$\"}}}\n", true},
		"a time":               {head + "routes:\n  \"GET /x\": {max_age: \"${SECRET}\"}\n", true},
		"public":               {head + "routes:\n  \"GET /x\": {public: \"${SECRET}\"}\n", true},
		"a pattern":            {head + "routes:\n  \"GET /${SECRET}\": {}\n", true},
		"an issuer twice":      {"issuers: [{issuer: \"${SECRET}\", audience: b}, {issuer: \"${SECRET}\", audience: c}]\n" + routes, true},
		"accept of the second": {"issuers: [{issuer: a, audience: b}, {issuer: \"${SECRET}\", audience: b, accept: \"${SECRET}\"}]\n" + routes, true},
		"audience none":        {"issuer: ${SECRET}\naudience: none\nroutes:\n  \"GET /x\": {claims: {tenant: \"${SECRET}\"}}\n", true},
		"no audience":          {"issuer: ${SECRET}\n" + routes, true},
		"a key after it":       {"issuer: ${SECRET}\naudience: b\nrouts: {}\n", true},
		"a key twice":          {"issuer: ${SECRET}\nissuer: ${SECRET}\n", true},
		"public with a claim":  {head + "routes:\n  \"GET /x\": {public: true, claims: {tenant: \"${SECRET}\"}}\n", true},
		"conflicting routes":   {head + "routes:\n  \"GET /x\": {acr: \"${SECRET}\"}\n  \"GET /X\": {acr: \"${SECRET}\"}\n", true},
		"a detail's type":      {head + "routes:\n  \"GET /x\": {authorization_details: {a: \"${SECRET}\"}}\n", true},
		"a file to include":    {"include: ${SECRET}\n" + head + routes, true},
	}
	for place, tt := range places {
		refused := false
		for kind, value := range values {
			file := files(t, "p.yaml", tt.text)
			source, err := policyfile.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = source.Policy(func(name string) string { return map[string]string{"SECRET": value, "OTHER": canary}[name] })
			if err == nil {
				continue
			}
			refused = true
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %q", e, e, e); strings.Contains(text, canary) {
					t.Errorf("%s, %s: the error has the value: %v", place, kind, e)
				}
			}
			if !strings.HasPrefix(err.Error(), file+":") {
				t.Errorf("%s, %s: the error has no position: %v", place, kind, err)
			}
		}
		if refused != tt.refuses {
			t.Errorf("%s: refused %v, want %v", place, refused, tt.refuses)
		}
	}
}
