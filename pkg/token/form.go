package token

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// compact describes the expected form of a JWT.
var compact = diagnosis.Values{"three parts joined by dots"}

// opaqueForms lists prefixes of tokens that are not JWTs, even if they contain
// dots.
var opaqueForms = []struct {
	prefix string
	id     diagnosis.ID
	name   string
}{
	{"ya29.", diagnosis.OpaqueGoogle, "a Google access token"},
	{"gho_", diagnosis.OpaqueGitHub, "a GitHub OAuth token"},
	{"ghu_", diagnosis.OpaqueGitHub, "a GitHub App user token"},
	{"ghs_", diagnosis.OpaqueGitHub, "a GitHub App installation token"},
	{"ghp_", diagnosis.OpaqueGitHub, "a GitHub personal access token"},
	{"github_pat_", diagnosis.OpaqueGitHub, "a GitHub personal access token"},
	{"ory_at_", diagnosis.OpaqueToken, "an Ory Hydra access token"},
	{"ory_rt_", diagnosis.OpaqueToken, "an Ory Hydra refresh token"},
	{"ory_ac_", diagnosis.OpaqueToken, "an Ory Hydra authorization code"},
	{"glpat-", diagnosis.OpaqueToken, "a GitLab personal access token"},
	{"gloas-", diagnosis.OpaqueToken, "a GitLab OAuth application secret"},
	{"gldt-", diagnosis.OpaqueToken, "a GitLab deploy token"},
	{"xoxb-", diagnosis.OpaqueToken, "a Slack bot token"},
	{"xoxp-", diagnosis.OpaqueToken, "a Slack user token"},
	{"xapp-", diagnosis.OpaqueToken, "a Slack app token"},
	{"xoxe.", diagnosis.OpaqueToken, "a Slack token"},
	{"SG.", diagnosis.OpaqueToken, "a SendGrid API key"},
	{"v1.local.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v1.public.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v2.local.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v2.public.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v3.local.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v3.public.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v4.local.", diagnosis.FormatUnsupported, "a PASETO"},
	{"v4.public.", diagnosis.FormatUnsupported, "a PASETO"},
}

// hasOtherForm reports whether a string of three parts is not a JWT, or has a
// prefix. A JWT begins with e, the first character of an encoded {.
func hasOtherForm(raw string) bool { return opaqueForm(raw) != nil || pastedForm(raw) != "" }

// pastedForm describes text around a token that was copied with it, or returns
// "".
func pastedForm(raw string) string {
	switch c, _ := utf8.DecodeRuneInString(raw); {
	case len(raw) > 7 && strings.EqualFold(raw[:7], "Bearer "), len(raw) > 5 && strings.EqualFold(raw[:5], "DPoP "):
		return "the name of a scheme before the token"
	case c == '"', c == '\'', c == '`', c == '“':
		return "a token in quotes"
	case c == 0xFEFF:
		return "U+FEFF byte order mark before the token"
	case unicode.IsSpace(c), c == 0x200B:
		return characterName(c, raw) + " before the token"
	case c == '{':
		return "a JSON object"
	case strings.Contains(raw, "=ey"):
		return "a name before the token, as in a form or cookie; pass only the value"
	}
	return ""
}

// opaqueForm returns the kind of an opaque token by its prefix, or nil if it has
// none of the known prefixes.
func opaqueForm(raw string) *diagnosis.Diagnosis {
	for i := range opaqueForms {
		if f := &opaqueForms[i]; strings.HasPrefix(raw, f.prefix) {
			return &diagnosis.Diagnosis{ID: f.id, Expected: compact, Got: diagnosis.Values{f.name}}
		}
	}
	return nil
}

// notJWT describes a string that is not three parts joined by dots.
func notJWT(raw string) error {
	if d := opaqueForm(raw); d != nil {
		return d
	}
	malformed := func(what string) error {
		return &diagnosis.Diagnosis{ID: diagnosis.Malformed, Expected: compact, Got: diagnosis.Values{what}}
	}
	unsupported := func(what string) error {
		return &diagnosis.Diagnosis{ID: diagnosis.FormatUnsupported, Expected: compact, Got: diagnosis.Values{what}}
	}
	trimmed := strings.TrimSpace(raw)
	n := strings.Count(raw, ".") + 1
	switch {
	case strings.HasSuffix(trimmed, "…"), strings.HasSuffix(trimmed, "..."):
		return malformed("a token that was cut short (…)")
	case strings.HasPrefix(trimmed, "{"):
		return notCompact(trimmed, malformed, unsupported)
	case strings.Contains(raw, "~"):
		return unsupported("an SD-JWT (RFC 9901)")
	case strings.Contains(raw, "access_token=") || strings.Contains(raw, "id_token="):
		return malformed("a token response as a form; pass only the value of access_token")
	case pastedForm(raw) != "":
		return malformed(pastedForm(raw))
	case len(strings.Fields(raw)) > 1 && strings.Count(raw, "eyJ") > 2:
		return malformed("several tokens")
	case n == 1 && len(strings.Fields(raw)) == 1:
		return &diagnosis.Diagnosis{ID: diagnosis.OpaqueToken, Expected: compact, Got: diagnosis.Values{"one part"}}
	case strings.ContainsAny(trimmed, " \t\r\n"):
		return malformed("text with white space")
	case n == 2 && raw[0] == 'e':
		return malformed("two parts: the signature is missing")
	case n == 5:
		return fiveParts(raw)
	case n > 5 && strings.Count(raw, "eyJ") > 2:
		return malformed("several tokens joined")
	}
	return malformed(strconv.Itoa(n))
}

// fiveParts is an encrypted token if its header names an encryption (RFC 7516,
// section 4.1.2).
func fiveParts(raw string) error {
	encoded, _, _ := strings.Cut(raw, ".")
	header := map[string]any{}
	if data, err := base64.RawURLEncoding.DecodeString(encoded); err == nil {
		_ = json.Unmarshal(data, &header)
	}
	if _, ok := header["enc"].(string); !ok {
		what := "five"
		if strings.Count(raw, "eyJ") > 2 {
			what = "two tokens joined"
		}
		return &diagnosis.Diagnosis{ID: diagnosis.Malformed, Expected: compact, Got: diagnosis.Values{what}}
	}
	issuer, _ := header["iss"].(string)
	if strings.HasSuffix(strings.TrimSuffix(issuer, "/"), ".auth0.com") {
		return &diagnosis.Diagnosis{ID: diagnosis.OpaqueAuth0}
	}
	return &diagnosis.Diagnosis{ID: diagnosis.TokenEncrypted, Expected: compact, Got: diagnosis.Values{"five"}}
}

// paddedForm recognises the tokens of AWS load balancers, whose parts are padded.
func paddedForm(header string) error {
	data, err := base64.URLEncoding.DecodeString(header)
	if err != nil || !strings.Contains(string(data), `"arn:aws:elasticloadbalancing:`) {
		return nil
	}
	return &diagnosis.Diagnosis{
		ID: diagnosis.FormatUnsupported, Expected: diagnosis.Values{"base64url without padding"},
		Got: diagnosis.Values{"a token of an AWS load balancer, whose parts are padded"},
	}
}

// notCompact describes a JSON document that is not a JWT in compact form.
func notCompact(text string, malformed, unsupported func(string) error) error {
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return malformed("text that begins like a JSON object")
	}
	has := func(name string) bool { _, ok := document[name]; return ok }
	switch {
	case has("access_token"), has("id_token"):
		return malformed("a token response; pass only the value of access_token")
	case has("ciphertext"):
		return unsupported("a JWE in JSON form (RFC 7516, section 7.2)")
	case has("payload") && (has("signatures") || has("signature")):
		return unsupported("a JWS in JSON form (RFC 7515, section 7.2)")
	case has("keys"), has("kty"):
		return malformed("a key or key set")
	case has("iss"), has("sub"), has("exp"):
		return malformed("a set of claims that no one signed")
	}
	return malformed("a JSON object")
}
