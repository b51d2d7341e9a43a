package policyfile_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

const schemaFile = "../../../docs/reference/policy.schema.json"

func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON returns a YAML document in the form that a schema checks.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// The schema and Load accept and refuse the same policies.
func TestSchema(t *testing.T) {
	schema := schemaOf(t)
	const head = "issuer: https://as.example\naudience: https://api.example\n"
	route := func(need string) string { return head + "routes:\n  \"GET /x\": " + need + "\n" }
	for name, tt := range map[string]struct {
		text string
		good bool
	}{
		"smallest":          {route("{}"), true},
		"all keys":          {head + "algorithms: [RS256, ES256]\nscope_claims: [permissions]\naccept: [id_token]\njwks: keys.json\ntypes: [at+jwt]\nrfc9068: true\nscopes_supported: [a]\nroutes:\n  \"GET,POST /x/{id}\": {scopes: [a], any_scopes: [b, c], claims: {tenant: acme, level: 3, role: [a, b], email: {matches: \"^a\"}}, acr: [gold], max_age: 15m, encoded_slash: true}\n", true},
		"several issuers":   {"issuers:\n- {issuer: a, audience: b}\n- {issuer: c, audience: [d], jwks: k}\nroutes: {\"GET /x\": {}}\n", true},
		"one and several":   {head + "issuers: [{issuer: a, audience: b}]\nroutes: {\"GET /x\": {}}\n", false},
		"audience list":     {"issuer: a\naudience: [b, c]\nroutes: {\"GET /x\": {}}\n", true},
		"details":           {route("{authorization_details: [{type: payment, actions: [initiate], limit: 5, to: {iban: x}}, {type: account}]}"), true},
		"one detail":        {route("{authorization_details: {type: payment}}"), true},
		"untyped detail":    {route("{authorization_details: [{actions: [read]}]}"), false},
		"detail of null":    {route("{authorization_details: {type: payment, actions: ~}}"), false},
		"details as text":   {route("{authorization_details: payment}"), false},
		"no details":        {route("{authorization_details: []}"), false},
		"public, details":   {route("{public: true, authorization_details: {type: a}}"), false},
		"public":            {route("{public: true}"), true},
		"optional":          {route("{optional: true}"), true},
		"seconds":           {route("{max_age: 300}"), true},
		"no issuer":         {"audience: b\nroutes: {\"GET /x\": {}}\n", false},
		"no audience":       {"issuer: a\nroutes: {\"GET /x\": {}}\n", false},
		"no routes":         {head, false},
		"empty routes":      {head + "routes: {}\n", false},
		"unknown key":       {head + "audiences: [a]\nroutes: {\"GET /x\": {}}\n", false},
		"unknown route key": {route("{scope: [a]}"), false},
		"no method":         {head + "routes: {\"/x\": {}}\n", false},
		"no path":           {head + "routes: {\"GET x\": {}}\n", false},
		"public and scopes": {route("{public: true, scopes: [a]}"), false},
		"optional, scopes":  {route("{optional: true, scopes: [a]}"), false},
		"both":              {route("{optional: true, public: true}"), false},
		"empty scopes":      {route("{scopes: []}"), false},
		"scope with space":  {route("{scopes: \"a b\"}"), false},
		"unanchored":        {route("{claims: {role: {matches: admin}}}"), false},
		"claim of nothing":  {route("{claims: {}}"), false},
		"no time":           {route("{max_age: soon}"), false},
		"zero":              {route("{max_age: 0}"), false},
		"not a boolean":     {route("{public: maybe}"), false},
		"algorithm":         {head + "algorithms: [none]\nroutes: {\"GET /x\": {}}\n", false},
		"null":              {route("~"), false},
	} {
		_, err := policyfile.Load([]byte(tt.text), "p.yaml")
		bySchema := schema.Validate(asJSON(t, tt.text))
		if (err == nil) != tt.good || (bySchema == nil) != tt.good {
			t.Errorf("%s: Load: %v; schema: %v; want valid %v", name, err, bySchema, tt.good)
		}
	}
}

// The schema has the same keys as Load.
func TestSchemaKeys(t *testing.T) {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
		Defs       struct {
			Route struct {
				Properties map[string]any `json:"properties"`
			} `json:"route"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	for text, properties := range map[string]map[string]any{
		"nonsense: x\n": schema.Properties,
		"issuer: a\naudience: b\nroutes: {\"GET /x\": {nonsense: x}}\n": schema.Defs.Route.Properties,
	} {
		_, err := policyfile.Load([]byte(text), "p.yaml")
		m := regexp.MustCompile(`expected one of (.+)$`).FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatal(err)
		}
		known := strings.Split(m[1], ", ")
		var inSchema []string
		for name := range properties {
			inSchema = append(inSchema, name)
		}
		slices.Sort(known)
		slices.Sort(inSchema)
		if !slices.Equal(known, inSchema) {
			t.Errorf("Load knows %v, the schema %v", known, inSchema)
		}
	}
}

// The examples of the documentation are valid policies.
func TestPageExamples(t *testing.T) {
	page, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(t)
	n := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		text := m[1]
		switch {
		case strings.HasPrefix(text, "#"):
			continue
		case strings.HasPrefix(text, "claims:"):
			text = "issuer: a\naudience: b\nroutes:\n  \"GET /x\":\n    " + strings.ReplaceAll(text, "\n", "\n    ")
		case strings.HasPrefix(text, "  "):
			text = "issuer: a\naudience: b\nroutes:\n" + text
		}
		n++
		source, err := policyfile.Open(files(t, "svc/page.yaml", text, "shared/policy.yaml", "issuer: a\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Policy(func(name string) string { return name }); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if err := schema.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if n < 3 {
		t.Errorf("%d examples", n)
	}
}

// The schema and Open agree on variables and includes.
func TestSchemaOfFiles(t *testing.T) {
	schema := schemaOf(t)
	const tail = "audience: b\nroutes: {\"GET /x\": {}}\n"
	for text, good := range map[string]bool{
		"issuer: ${ISSUER}\n" + tail:            true,
		"issuer: a\nalgorithms: ES256\n" + tail: true,
		"include: other.yaml\naudience: b\n":    true,
		"include: [other.yaml]\n":               true,
		"include: []\n" + tail:                  false,
		"issuer: a\naudience: b\nroutes: {\"GET /x\": {claims: {a: {matches: \"^${API}$\"}}}}\n":                 false,
		"issuer: a\naudience: b\nroutes: {\"GET /x\": {claims: {a: \"${API}\"}, scopes: [\"${PERMISSION}\"]}}\n": true,
		"issuer: a\naudience: b\nroutes: {\"GET /x\": {public: \"${API}\"}}\n":                                   false,
	} {
		other := "routes: {\"GET /y\": {}}\nissuer: a\naudience: b\n"
		if strings.Contains(text, "audience") {
			other = "routes: {\"GET /y\": {}}\nissuer: a\n"
		}
		source, err := policyfile.Open(files(t, "p.yaml", text, "other.yaml", other))
		if err != nil {
			t.Fatal(err)
		}
		_, err = source.Policy(getenv)
		bySchema := schema.Validate(asJSON(t, text))
		if (err == nil) != good || (bySchema == nil) != good {
			t.Errorf("%s: Policy: %v; schema: %v; want valid %v", text, err, bySchema, good)
		}
	}
}
