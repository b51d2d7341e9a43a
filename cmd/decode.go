package cmd

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func newDecode(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "decode [TOKEN]",
		Long: `Show what a token holds: header, claims, times in words, what kind of token it
looks like, and what is odd about it. Nothing is verified and nothing is
contacted: anybody can write such a token.

` + longTokenArg,
		Example: `  oauthctl decode
  oauthctl decode @token.txt
  pbpaste | oauthctl decode - --json --jq .claims.sub`,
		Args: upTo(1),
		RunE: env.withToken(runDecode),
	}
}

// decoded is a token as decode --json shows it.
type decoded struct {
	Header    jsontext.Value `json:"header"`
	Claims    jsontext.Value `json:"claims"`
	Signature string         `json:"signature"`
	Kind      string         `json:"kind"`
	Warnings  []warning      `json:"warnings"`
}

type warning struct {
	ID      diagnosis.ID `json:"id"`
	Message string       `json:"message"`
}

func runDecode(_ context.Context, env *Env, raw secret.String) error {
	t, err := token.Decode(raw.Reveal())
	if err != nil {
		return err
	}
	warnings := []warning{}
	for _, w := range t.Warnings(env.Now()) {
		warnings = append(warnings, warning{w.ID, w.Error()})
	}
	if env.global.wantsJSON() {
		signature := raw.Reveal()[strings.LastIndexByte(raw.Reveal(), '.')+1:]
		return env.printJSON(decoded{t.HeaderJSON(), t.ClaimsJSON(), signature, t.Kind().String(), warnings})
	}
	s := env.stdout()
	s.line("%s, decoded only: nothing is verified", s.strong(t.Kind().String()))
	s.line("")
	s.line("%s", s.name("Header"))
	s.line("%s", prettyJSON(t.HeaderJSON()))
	s.line("")
	s.line("%s", s.name("Claims"))
	s.line("%s", prettyJSON(t.ClaimsJSON()))
	rows := times(t, env.Now())
	if len(rows) > 0 {
		s.line("")
		s.line("%s", s.name("Times"))
		s.table(rows)
	}
	if len(warnings) > 0 {
		s.line("")
		s.line("%s", s.name("Warnings"))
		for _, w := range warnings {
			s.line("%s %s %s", s.warn("!"), clean(w.Message), s.faint(string(w.ID)))
		}
	}
	return nil
}

// times tells the token's times in words.
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
