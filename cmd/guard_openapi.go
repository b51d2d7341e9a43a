package cmd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/openapi"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// guardDocumentFlags make a policy from an OpenAPI document.
type guardDocumentFlags struct {
	openapi     string
	printPolicy bool
}

func (d *guardDocumentFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&d.openapi, "openapi", "", "with --print-policy, read this OpenAPI document, a `FILE`")
	f.BoolVar(&d.printPolicy, "print-policy", false, "print a policy made from --openapi and exit")
}

// unknownIssuer and unknownAudience are placeholders in a policy for what the document does
// not say (RFC 2606).
const (
	unknownIssuer   = "https://auth.example.com"
	unknownAudience = "https://api.example.com"
)

// printPolicy prints a policy with a route for each operation of the document.
// What cannot be a route is a comment, so it is denied.
func (env *Env) printPolicy(d guardDocumentFlags) error {
	if d.openapi == "" {
		return &usageError{what: "--print-policy needs --openapi", hint: "oauthctl guard --openapi openapi.json --print-policy >policy.yaml"}
	}
	data, err := env.readInput(d.openapi, maxOpenAPI)
	if err != nil {
		return usage("--openapi: %w", err)
	}
	document, err := openapi.Load(data, d.openapi)
	if err != nil {
		return usage("--openapi: %w", err)
	}
	text := policyOf(document)
	if _, err := policyfile.Load([]byte(text), d.openapi); err != nil {
		return usage("--openapi: no policy can be made: %w", err)
	}
	_, err = fmt.Fprint(env.Stdout, text)
	return err
}

// policyOf writes the policy. Each route was tried, alone and with those before
// it.
func policyOf(d *openapi.Document) string {
	issuer, audience := d.Issuer, d.Server
	head := ""
	if issuer == "" {
		issuer = unknownIssuer
		head += "# The document does not say whose tokens the API accepts: write your issuer.\n"
	}
	head += "issuer: " + yamlText(issuer) + "\n"
	if audience == "" {
		audience = unknownAudience
		head += "# The document does not say what the API is called in tokens: write its audience.\n"
	}
	head += "audience: " + yamlText(audience) + "\nroutes:\n"
	var routes strings.Builder
	for i := range d.Operations {
		o := &d.Operations[i]
		pattern := o.Method + " " + d.BasePath + wildcards(o.Path)
		line := "  " + yamlText(pattern) + ": " + needOf(o.Security) + "\n"
		if o.Security.Other != "" {
			fmt.Fprintf(&routes, "  # %s needs %s, so it is not listed and denied\n", oneLine(pattern), oneLine(o.Security.Other))
			continue
		}
		if _, err := policyfile.Load([]byte(head+routes.String()+line), "policy"); err != nil {
			fmt.Fprintf(&routes, "  # %s cannot be a route, so it is not listed and denied: %s\n", oneLine(pattern), oneLine(err.Error()))
			continue
		}
		routes.WriteString(line)
	}
	return head + routes.String()
}

// needOf writes what a route needs; without scopes any valid token.
func needOf(s openapi.Security) string {
	switch {
	case s.Public || s.Optional:
		return "{public: true}"
	case len(s.Scopes) == 0:
		return "{}"
	}
	scopes := slices.Clone(s.Scopes)
	for i := range scopes {
		scopes[i] = yamlText(scopes[i])
	}
	return "{scopes: [" + strings.Join(scopes, ", ") + "]}"
}

var pathParameter = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\{([^{}/]*)\}`)
})

// wildcards gives path parameters names that a pattern can have.
func wildcards(path string) string {
	return pathParameter().ReplaceAllStringFunc(path, func(name string) string {
		return "{" + regexp.MustCompile(`[^A-Za-z0-9_]`).ReplaceAllString(strings.Trim(name, "{}"), "_") + "}"
	})
}

// yamlText writes a text in quotes unless it is a plain word.
func yamlText(text string) string {
	if regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*(:[A-Za-z0-9._/-]+)*$`).MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		return text
	}
	return fmt.Sprintf("%q", text)
}

// oneLine is text for a comment of one line.
func oneLine(text string) string { return strings.Join(strings.Fields(clean(text)), " ") }
