package token_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func encoded(parts ...string) string {
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(parts, ".")
}

// Everything readable in a pasted text is read, and each reason to refuse it
// has the id that the strict reader gives.
func TestRead(t *testing.T) {
	const header, claims = `{"alg":"ES256","kid":"k","typ":"JWT"}`, `{"iss":"i","sub":"alice","scope":"r"}`
	good := encoded(header, claims, "signature")
	lines := good[:30] + "\r\n" + good[30:50] + "\n  " + good[50:] + "\n"
	utf16le := func(text string) string {
		data := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(text)) {
			data = append(data, byte(unit), byte(unit>>8))
		}
		return string(data)
	}
	padded := base64.URLEncoding.EncodeToString([]byte(header)) + "." + base64.URLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	const whole, none, one = "hc", "", "h"
	for name, tt := range map[string]struct {
		text   string
		format token.Format
		shown  string         // h for a header, c for claims, p for another payload
		odd    []diagnosis.ID // in order, without repetition
	}{
		"as it is":             {good, token.FormatJWT, whole, nil},
		"a line break after":   {good + "\r\n", token.FormatJWT, whole, nil},
		"white space around":   {"  " + good + " \t", token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"Bearer":               {"Bearer " + good, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"the header field":     {"authorization: bearer " + good, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"quotes":               {`'` + good + `'`, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"quoted with Bearer":   {`"Bearer ` + good + `",`, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"a variable":           {`export TOKEN="` + good + `"`, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"wrapped":              {lines, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"byte order mark":      {"\ufeff" + good, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"zero-width space":     {good[:9] + "\u200b" + good[9:], token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"UTF-16":               {utf16le(good + "\r\n"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"padding":              {padded, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"no signature":         {good[:strings.LastIndex(good, ".")], token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"empty signature":      {good[:strings.LastIndex(good, ".")+1], token.FormatJWT, whole, []diagnosis.ID{diagnosis.SignatureInvalid}},
		"alg none":             {encoded(`{"alg":"none"}`, claims) + ".", token.FormatJWT, whole, nil},
		"claims cut off":       {good[:strings.Index(good, ".")+20], token.FormatJWT, "hp", []diagnosis.ID{diagnosis.Malformed, diagnosis.PayloadInvalid}},
		"header alone":         {encoded(header), token.FormatJWT, one, []diagnosis.ID{diagnosis.Malformed}},
		"header cut off":       {encoded(header)[:21] + "." + encoded(claims) + ".AA", token.FormatJWT, "c", []diagnosis.ID{diagnosis.Malformed, diagnosis.HeaderInvalid}},
		"shortened":            {good[:20] + "…" + good[len(good)-9:], token.FormatJWT, none, nil},
		"twice":                {good + good, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"two lines":            {good + "\n" + good + "\n", token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"form":                 {"token_type=Bearer&access_token=" + good + "&id_token=x", token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"fragment":             {"http://127.0.0.1/cb#id_token=" + good, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"token response":       {`{"token_type":"Bearer","access_token":"` + good + `"}`, token.FormatJWT, whole, []diagnosis.ID{diagnosis.Malformed}},
		"numeric kid":          {encoded(`{"alg":"ES256","kid":7}`, claims, "s"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.HeaderInvalid}},
		"no alg":               {encoded(`{"kid":"a"}`, claims, "s"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.HeaderInvalid}},
		"crit and Alg":         {encoded(`{"alg":"ES256","crit":["x"],"Typ":"JWT"}`, claims, "s"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.CritUnsupported, diagnosis.MemberCase}},
		"exp and Exp":          {encoded(header, `{"exp":1,"Exp":2}`, "s"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.MemberCase}},
		"a claim twice":        {encoded(header, `{"sub":"a","sub":"b"}`, "s"), token.FormatJWT, whole, []diagnosis.ID{diagnosis.DuplicateMember}},
		"payload of text":      {encoded(header, `hello`, "s"), token.FormatJWT, "hp", []diagnosis.ID{diagnosis.PayloadInvalid}},
		"nested":               {encoded(header, good, "s"), token.FormatJWT, "hp", []diagnosis.ID{diagnosis.PayloadInvalid}},
		"JWE":                  {encoded(`{"alg":"dir","enc":"A256GCM"}`, "", "iv", "text", "tag"), token.FormatJWE, one, []diagnosis.ID{diagnosis.TokenEncrypted}},
		"JWE in JSON":          {`{"protected":"` + encoded(`{"alg":"dir","enc":"A256GCM"}`) + `","ciphertext":"AA"}`, token.FormatJWE, one, []diagnosis.ID{diagnosis.FormatUnsupported}},
		"JWS in JSON":          {`{"payload":"` + encoded(claims) + `","signatures":[{"protected":"` + encoded(header) + `","signature":"c2ln"}]}`, token.FormatJWSJSON, whole, []diagnosis.ID{diagnosis.FormatUnsupported}},
		"JWS in JSON, flat":    {`{"payload":"` + encoded(claims) + `","protected":"` + encoded(header) + `","signature":"c2ln"}`, token.FormatJWSJSON, whole, []diagnosis.ID{diagnosis.FormatUnsupported}},
		"SD-JWT":               {good + "~" + encoded(`["salt","name","Alice"]`) + "~", token.FormatSDJWT, whole, []diagnosis.ID{diagnosis.FormatUnsupported}},
		"PASETO, public":       {"v4.public." + encoded(`{"sub":"a"}`+strings.Repeat("s", 64)), token.FormatPASETO, "c", []diagnosis.ID{diagnosis.FormatUnsupported}},
		"PASETO, local":        {"v4.local." + encoded("something"), token.FormatPASETO, none, []diagnosis.ID{diagnosis.FormatUnsupported}},
		"GitHub":               {"ghp_abc", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueGitHub}},
		"Google":               {"ya29.a0", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueGoogle}},
		"Hydra":                {"ory_at_abc.def", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueToken}},
		"GitLab":               {"glpat-abc.01.def", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueToken}},
		"opaque":               {"9f2c0b7e", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueToken}},
		"opaque with dots":     {"a.b.c", token.FormatOpaque, none, []diagnosis.ID{diagnosis.OpaqueToken}},
		"nothing":              {"\n", token.FormatUnknown, none, []diagnosis.ID{diagnosis.TokenMissing}},
		"JSON without a token": {`{"error":"x"}`, token.FormatUnknown, none, []diagnosis.ID{diagnosis.Malformed}},
		"too large":            {strings.Repeat("a", 2<<20), token.FormatUnknown, none, []diagnosis.ID{diagnosis.TokenTooLarge}},
	} {
		t.Run(name, func(t *testing.T) {
			r := token.Read(tt.text)
			shown := ""
			if r.Header != nil {
				shown += "h"
			}
			if r.Claims != nil {
				shown += "c"
			}
			if r.Payload != nil {
				shown += "p"
			}
			if name == "shortened" { // what is left depends on where
				if r.Header == nil && r.Payload == nil && len(r.Oddities) == 0 {
					t.Error("nothing is said")
				}
				return
			}
			var ids []diagnosis.ID
			for _, d := range r.Oddities {
				if !slices.Contains(ids, d.ID) {
					ids = append(ids, d.ID)
				}
				if len(d.Got) == 1 && d.Got[0] == "" {
					t.Errorf("an oddity says nothing: %v", d)
				}
			}
			if r.Format != tt.format || shown != tt.shown || !slices.Equal(ids, tt.odd) {
				t.Errorf("%s, %q, %v, want %s, %q, %v", r.Format, shown, r.Oddities, tt.format, tt.shown, tt.odd)
			}
			if strict, err := token.Decode(tt.text); err == nil && (isOdd(r) || strict.Kind() != r.Token.Kind() || strict.Subject() != r.Token.Subject()) {
				t.Errorf("a token that is accepted is odd: %v", r.Oddities)
			}
			if shown == whole && r.Token.Subject() == "" && !strings.Contains(string(r.Claims), "xp") {
				t.Errorf("the claims are shown and not read: %s", r.Claims)
			}
		})
	}
}

// isOdd reports whether there is another reason than a missing signature, which
// only a verifier reports.
func isOdd(r *token.Reading) bool {
	return slices.ContainsFunc(r.Oddities, func(d *diagnosis.Diagnosis) bool { return d.ID != diagnosis.SignatureInvalid })
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{encoded(`{"alg":"ES256"}`, `{"a":1}`, "s"), "Bearer a.b.c", `{"payload":"","signatures":[{}]}`, "v4.public.AA", "a~b", "\xff\xfea\x00", `access_token=e30.e30.&`, encoded(`{"alg":"\ud800","alg":1}`, `{"":"`+"\xff"+`"}`, "")} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := token.Read(text)
		if _, err := token.Decode(text); err == nil && isOdd(r) {
			t.Errorf("a token that is accepted is odd: %v", r.Oddities)
		}
		if r.Header == nil && r.Claims == nil && r.Payload == nil && len(r.Oddities) == 0 {
			t.Error("nothing is shown, and no reason given")
		}
		r.Token.Warnings(now)
		r.Token.Kind()
		r.Token.Audience()
		r.PayloadText()
	})
}
