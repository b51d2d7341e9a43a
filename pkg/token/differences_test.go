package token_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// differencesFile is written by TestDifferences -update.
const differencesFile = "../../docs/differences.md"

// whyRefused has, for each id, why tokens are refused that golang-jwt or
// go-jose accepts. For any other id, both libraries must refuse the token too.
var whyRefused = map[diagnosis.ID]string{
	diagnosis.AlgMismatch:          "a JWK with an alg can be used with this algorithm only (RFC 7517, section 4.4)",
	diagnosis.CritUnsupported:      "crit lists extensions that a verifier must support, and this one supports none; with b64=false the signature is over different bytes (RFC 7515, section 4.1.11; RFC 7797)",
	diagnosis.DuplicateMember:      "parsers disagree on duplicate names: some use the first value, some the last (RFC 7515, section 4; RFC 8725, section 2.4)",
	diagnosis.Expired:              "a token is not valid on or after exp (RFC 7519, section 4.1.4); go-jose accepts it at exactly that time",
	diagnosis.HeaderInvalid:        "the header must be UTF-8 JSON with at most 32 levels, and kid and typ must be strings (RFC 7515, sections 4.1.4 and 4.1.9)",
	diagnosis.HSTokenNoSecret:      "a key set must not contain a shared secret: everyone who can read the set could sign with it",
	diagnosis.KeyRefused:           "the key is too weak, its use or key_ops is not for signatures, or its alg does not fit its type",
	diagnosis.Malformed:            "line breaks and unused bits allow many spellings of one token, and each one bypasses a list of revoked or used tokens (RFC 7515, section 2)",
	diagnosis.MemberCase:           "parsers that ignore letter case, such as encoding/json, read ISS as iss; other parsers ignore it",
	diagnosis.PayloadInvalid:       "the payload must be UTF-8 JSON with at most 32 levels (RFC 7519, section 7.2); libraries read invalid UTF-8 differently",
	diagnosis.SignatureInvalid:     "the salt of PSS must be as long as the hash (RFC 7518, section 3.5)",
	diagnosis.TimeInvalid:          "a time must be a positive number of seconds; null, zero and negative times are mistakes, and would be treated as no limit",
	diagnosis.IDTokenAsAccess:      "an ID token is for a client, even if its audience is the API (RFC 8725, section 3.12)",
	diagnosis.TimeInMS:             "a time in milliseconds is 50,000 years in the future, so the token would never expire",
	diagnosis.TokenTooLarge:        "no real token has a header of more than 8 KiB, and parsing it takes time before the signature is checked",
	diagnosis.RefreshTokenAsAccess: "a refresh token is for the authorization server, and is valid for longer than an access token (RFC 6749, section 1.5)",
	diagnosis.TypRefused:           "a logout token or a proof of possession is not an access token, even if the same issuer signed it (RFC 8725, section 3.11)",
}

// whyAccepted has, for tokens of the corpus that golang-jwt or go-jose refuses,
// why they are accepted.
var whyAccepted = map[string]string{
	"algorithm/Ed25519 with a JWK of Ed25519": nameOfEd25519, "algorithm/Ed25519 with a JWK of EdDSA": nameOfEd25519, "vendors/Ed25519": nameOfEd25519,
	"choice/an empty kid in the token": noKid, "choice/no kid in the token": noKid, "choice/no kid in the set": noKid, "choice/no kid anywhere": noKid, "algorithm/RS256 with a JWK of RS256, no kid": noKid,
	"choice/duplicate kid of two types": sameKid, "choice/duplicate kid, the second key": sameKid, "choice/the fourth key is tried": sameKid,
	"choice/unknown and malformed keys next to a good one": "an invalid key is skipped and reported; the other keys can still be used",
	"times/iat +60 s": clocks, "times/nbf +60 s": clocks,
	"times/exp half a second ahead":                                   "exp can have a fraction, which is not rounded (RFC 7519, section 2)",
	"payload/numbers beyond float64 in a claim that is not requested": "claims that are not checked are not parsed",
	"trust/x5c ignored in a good token":                               "certificates in a token are ignored, so their content does not matter",
}

const (
	nameOfEd25519 = "RFC 9864 calls the algorithm Ed25519; issuers use both names"
	noKid         = "kid is optional in the token and in the key (RFC 7515, section 4.1.4): all keys that fit are tried, at most 4"
	sameKid       = "two keys can have the same kid while keys change: all keys that fit are tried, at most 4"
	clocks        = "clocks differ: by default, iat and nbf can be 60 s in the future; the other libraries have one leeway for all times"
)

// disagreements counts the tokens of one id.
type disagreements struct {
	golangJWT, goJose, of int
	examples              []string
}

func TestDifferences(t *testing.T) {
	refused, accepted := map[diagnosis.ID]*disagreements{}, map[string][]string{}
	for file, f := range readCorpus(t) {
		for _, c := range f.Cases {
			x, ok := trialOf(f, c)
			if !ok {
				continue
			}
			one, two, name := x.golangJWT(), x.goJose(), strings.TrimSuffix(file, ".json")+"/"+c.Name
			if c.Result == "valid" {
				if one != nil {
					accepted[name] = append(accepted[name], "golang-jwt: "+one.Error())
				}
				if two != nil {
					accepted[name] = append(accepted[name], "go-jose: "+two.Error())
				}
				continue
			}
			d := refused[c.ID]
			if d == nil {
				d = &disagreements{}
				refused[c.ID] = d
			}
			d.of++
			if one == nil {
				d.golangJWT++
			}
			if two == nil {
				d.goJose++
			}
			if one == nil || two == nil {
				d.examples = append(d.examples, name)
			}
		}
	}
	for id, d := range refused {
		if (d.golangJWT+d.goJose > 0) != (whyRefused[id] != "") {
			t.Errorf("%s: golang-jwt accepts %d, go-jose %d of %d; the reason is %q\n%q", id, d.golangJWT, d.goJose, d.of, whyRefused[id], d.examples)
		}
	}
	for name, theirs := range accepted {
		if whyAccepted[name] == "" {
			t.Errorf("%s is accepted without a reason although %q", name, theirs)
		}
	}
	for name := range whyAccepted {
		if accepted[name] == nil {
			t.Errorf("%s: all agree, no reason is needed", name)
		}
	}
	want := differencesText(refused, accepted)
	if *update {
		if err := os.WriteFile(differencesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(differencesFile)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%s is out of date (%v): go test -run %s -update\n%s", differencesFile, err, t.Name(), diff)
	}
}

// trialOf returns a case in a form that the other libraries can verify. It
// returns false for options that they do not have.
func trialOf(f corpusFile, c corpusCase) (trial, bool) {
	o := c.Options
	if o.Types != nil || o.Require != nil || o.ClientIDs != nil || o.RFC9068 || o.SkipAudience {
		return trial{}, false
	}
	keys, err := corpusKeys(c.Keys)
	if err != nil {
		return trial{}, false
	}
	issuer, audience, options := corpusExpectation(f, c)
	return trial{c.raw(), issuer, audience, o.Algorithms, options.Leeway, f.Now, keys, joseKeys(c.Keys)}, true
}

func differencesText(refused map[diagnosis.ID]*disagreements, accepted map[string][]string) string {
	var b strings.Builder
	b.WriteString(`# Differences from other verifiers

Compare how oauthctl and two Go libraries, golang-jwt v5 and go-jose v4, verify the same tokens. All tokens are in
pkg/token/testdata/corpus. golang-jwt is used with all its checks: methods, issuer, audience, required expiry, issued-at, and
strict decoding. It has no key sets, so it gets the keys that oauthctl would choose.

A test generates this page (` + "`go test ./pkg/token -run TestDifferences -update`" + `). It fails if there is a difference without a
reason in these tables. The fuzz target FuzzVerify searches for more.

## Refused by oauthctl

The second and third columns show how many of the tokens with this id the library accepts.

| id | golang-jwt accepts | go-jose accepts | why oauthctl refuses it | an example |
|---|---|---|---|---|
`)
	for _, id := range slices.Sorted(maps.Keys(whyRefused)) {
		d := refused[id]
		if d == nil {
			continue
		}
		slices.Sort(d.examples)
		fmt.Fprintf(&b, "| %s | %d of %d | %d of %d | %s | %s |\n", id, d.golangJWT, d.of, d.goJose, d.of, whyRefused[id], slices.Concat(d.examples, []string{""})[0])
	}
	b.WriteString("\n## Accepted by oauthctl\n\n| token of the corpus | refused by | why oauthctl accepts it |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(accepted)) {
		var by []string
		for _, theirs := range accepted[name] {
			who, _, _ := strings.Cut(theirs, ":")
			by = append(by, who)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, strings.Join(by, ", "), whyAccepted[name])
	}
	return b.String()
}
