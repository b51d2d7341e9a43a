package jwks

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Exposed returns the keys that an issuer must not publish like this, each with a
// Diagnosis KEY_REFUSED: a private or secret member (RFC 7517, section 9.2), the kid
// of another key of the same type (RFC 7517, section 4.5), or an RSA key below 2048
// bits (RFC 7518, section 3.3). It does not return keys of unsupported types. It
// returns nil for a set that is not from [Parse].
func (s *Set) Exposed() []Skipped { return slices.Clone(s.exposed) }

// secretMembers are the private members of a JWK (RFC 7518, sections 6.2.2,
// 6.3.2 and 6.4).
var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// exposed checks the members of each key, even if the key cannot be parsed.
func exposed(keys []jsontext.Value) []Skipped {
	type name struct{ kid, kty string }
	var (
		all  []Skipped
		seen = map[name]int{}
	)
	for i, key := range keys {
		members, _ := splitObject(key)
		text := map[string]string{}
		for _, m := range members {
			if value, err := jsontext.AppendUnquote(nil, m.value); err == nil {
				text[m.name] = string(value)
			}
			if slices.Contains(secretMembers, m.name) {
				all = append(all, Skipped{i, kidOf(key), refused("public members only", "the member "+m.name)})
				break
			}
		}
		if n, err := base64.RawURLEncoding.DecodeString(text["n"]); err == nil && text["kty"] == "RSA" && number(n).BitLen() < minRSABits {
			all = append(all, Skipped{i, text["kid"], refused(fmt.Sprintf("an RSA key of at least %d bits", minRSABits), fmt.Sprintf("%d bits", number(n).BitLen()))})
		}
		if text["kid"] == "" {
			continue
		}
		as := name{text["kid"], text["kty"]}
		if before, twice := seen[as]; twice {
			all = append(all, Skipped{i, as.kid, &diagnosis.Diagnosis{
				ID: diagnosis.KeyRefused, Expected: diagnosis.Values{"each kid once"}, Got: diagnosis.Values{fmt.Sprintf("the kid of key %d again", before+1)},
			}})
		}
		seen[as] = i
	}
	return all
}
