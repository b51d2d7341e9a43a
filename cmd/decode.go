package cmd

import (
	"bytes"
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

type decodeOptions struct{ explain bool }

func newDecode(env *Env) *cobra.Command {
	var o decodeOptions
	cmd := &cobra.Command{
		Use:         "decode [TOKEN]",
		Annotations: map[string]string{onlyShows: "yes"},
		Long: `Show the contents of a token: header, claims, times in words, the kind of token,
and what is unusual about it. Nothing is verified and no server is contacted:
anyone can write such a token.

A token may be pasted with the word Bearer, in quotes, with line breaks, in
UTF-16, truncated, or inside a token response. Everything that can be read is
shown, with a warning for each reason for which verify refuses the text. The
claims of an SD-JWT, a JWS in JSON form or a PASETO are shown, and the header of
a JWE.` + "\n\n" + longTokenArg,
		Example: `  # Show the profile's access token
  oauthctl decode

  # Show a token from a file, with an explanation of each claim
  oauthctl decode @token.txt --explain

  # Print one claim
  cat token.txt | oauthctl decode - --jq .claims.sub`,
		Args: upTo(1),
	}
	cmd.RunE = env.withToken(func(ctx context.Context, env *Env, raw secret.String) error { return runDecode(ctx, env, raw, o) })
	cmd.Flags().BoolVar(&o.explain, "explain", false, "add a line on the meaning of each header and claim")
	return cmd
}

// decoded is a token as decode --json shows it.
type decoded struct {
	Format      token.Format      `json:"format"`
	Kind        string            `json:"kind"`
	Header      jsontext.Value    `json:"header"`
	Claims      jsontext.Value    `json:"claims"`
	Payload     string            `json:"payload,omitempty"`
	Signature   string            `json:"signature"`
	Disclosures []jsontext.Value  `json:"disclosures,omitempty"`
	Nested      *decoded          `json:"nested,omitempty"`
	Meanings    map[string]string `json:"meanings,omitempty"`
	Warnings    []warning         `json:"warnings"`
}

type warning struct {
	ID      diagnosis.ID `json:"id"`
	Message string       `json:"message"`
}

// runDecode fails only if there is nothing to show.
func runDecode(_ context.Context, env *Env, raw secret.String, o decodeOptions) error {
	r := token.Read(raw.Reveal())
	if r.Header == nil && r.Claims == nil && r.Payload == nil {
		return nothingToShow(r.Oddities[0])
	}
	if env.global.wantsJSON() {
		return env.printJSON(decodedOf(r, o, env.Now()))
	}
	env.printReading(r, o)
	return nil
}

// nothingToShow returns why nothing can be shown. The usual hint of some ids is to
// decode the token.
func nothingToShow(d *diagnosis.Diagnosis) error {
	if d.ID == diagnosis.Malformed || d.ID == diagnosis.FormatUnsupported {
		return withHint(d, "pass the token alone, as the authorization server gave it")
	}
	return d
}

// warningsOf returns the reasons to refuse the text, and warnings about the
// claims.
func warningsOf(r *token.Reading, now time.Time) []warning {
	found := r.Oddities
	if r.Claims != nil && (r.Format == token.FormatJWT || r.Format == token.FormatSDJWT || r.Format == token.FormatJWSJSON) {
		found = append(found[:len(found):len(found)], r.Token.Warnings(now)...)
	}
	warnings := []warning{}
	for _, w := range found {
		warnings = append(warnings, warning{w.ID, w.Error()})
	}
	return warnings
}

// kindOfReading names the purpose of the token, or otherwise its format.
func kindOfReading(r *token.Reading) string {
	if r.Format == token.FormatJWT {
		return r.Token.Kind().String()
	}
	return string(r.Format)
}

func decodedOf(r *token.Reading, o decodeOptions, now time.Time) *decoded {
	d := &decoded{
		Format: r.Format, Kind: kindOfReading(r), Header: shownJSON(r.Header), Claims: shownJSON(r.Claims), Signature: r.Signature,
		Warnings: warningsOf(r, now),
	}
	for _, disclosure := range r.Disclosures {
		d.Disclosures = append(d.Disclosures, shownJSON(disclosure))
	}
	d.Payload, _ = r.PayloadText()
	if r.Nested != nil {
		d.Nested = decodedOf(r.Nested, o, now)
	}
	if o.explain {
		d.Meanings = map[string]string{}
		known := meanings()
		for _, v := range []jsontext.Value{r.Header, r.Claims} {
			for _, name := range memberNames(v) {
				d.Meanings[name] = meaningOf(name, known)
			}
		}
	}
	return d
}

// shownJSON returns JSON from a token as valid JSON: of duplicate names it has
// the last value, and a replacement for bytes that are not UTF-8. A missing
// value is null.
func shownJSON(v jsontext.Value) jsontext.Value {
	if v == nil || v.IsValid() {
		return v
	}
	return lastOfEach(v)
}

func (env *Env) printReading(r *token.Reading, o decodeOptions) {
	s := env.stdout()
	s.line("%s, decoded only: nothing is verified", s.strong(kindOfReading(r)))
	env.printPart("Header", r.Header)
	env.printPart("Claims", r.Claims)
	if text, ok := r.PayloadText(); ok && r.Nested == nil {
		s.line("")
		s.line("%s", s.name("Payload"))
		s.line("%s", clean(text))
	}
	for i, disclosure := range r.Disclosures {
		if i == 0 {
			s.line("")
			s.line("%s", s.name("Disclosures"))
		}
		s.line("%s", s.json(escapeJSON(string(disclosure))))
	}
	if bound := boundTo(r); bound != "" {
		s.line("")
		s.line("valid only together with %s (cnf)", bound)
	}
	if o.explain {
		env.printMeanings(r)
	}
	if rows := times(r.Token, env.Now()); len(rows) > 0 {
		s.line("")
		s.line("%s", s.name("Times"))
		s.table(rows)
	}
	if warnings := warningsOf(r, env.Now()); len(warnings) > 0 {
		s.line("")
		s.line("%s", s.name("Warnings"))
		for _, w := range warnings {
			s.line("%s %s %s", s.warn("!"), clean(w.Message), s.faint(string(w.ID)))
		}
	}
	if r.Nested != nil {
		s.line("")
		s.line("%s", s.name("The token in the payload"))
		env.printReading(r.Nested, o)
	}
}

// boundTo returns what must be presented with the token, or "" if nothing (RFC
// 7800, RFC 9449, RFC 8705).
func boundTo(r *token.Reading) string {
	confirmation, _ := r.Token.Claim("cnf")
	members, _ := confirmation.(map[string]any)
	switch {
	case members == nil:
		return ""
	case members["jkt"] != nil:
		return "a DPoP proof of its key"
	case members["x5t#S256"] != nil:
		return "its client certificate (mutual TLS)"
	}
	return "a proof of its key"
}

func (env *Env) printPart(name string, v jsontext.Value) {
	if v == nil {
		return
	}
	s := env.stdout()
	s.line("")
	s.line("%s", s.name(name))
	s.line("%s", s.json(prettyJSON(v)))
}

// times describes the token's times.
func times(t *token.Token, now time.Time) [][2]string {
	var rows [][2]string
	for _, row := range []struct {
		name string
		at   time.Time
	}{{"issued", t.IssuedAt()}, {"not before", t.NotBefore()}, {"expires", t.Expiry()}} {
		if !row.at.IsZero() {
			rows = append(rows, [2]string{row.name, clock(row.at, now)})
		}
	}
	return rows
}

// prettyJSON indents JSON from a token and makes it safe to show.
func prettyJSON(data []byte) string { return indented(data, "") }

// indented is prettyJSON with a prefix before each line but the first.
func indented(data []byte, prefix string) string {
	v := jsontext.Value(bytes.Clone(data))
	if v.Indent(jsontext.WithIndent("  "), jsontext.WithIndentPrefix(prefix), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true)) != nil {
		return clean(string(data))
	}
	return escapeJSON(string(v))
}
