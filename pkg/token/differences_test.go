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

// whyRefused are the reasons to refuse what golang-jwt or go-jose accepts. What
// is refused for anything else, both refuse as well: a disagreement without a
// reason here fails the tests.
var whyRefused = map[diagnosis.ID]string{
	diagnosis.AlgMismatch:          "a JWK that names an alg is for that algorithm only (RFC 7517, section 4.4)",
	diagnosis.CritUnsupported:      "crit is a demand that is not understood here, and a malformed crit is one that nobody understands; b64=false signs another text (RFC 7515, section 4.1.11; RFC 7797)",
	diagnosis.DuplicateMember:      "of a name that is there twice one reader takes the first value and another the last (RFC 7515, section 4; RFC 8725, section 2.4)",
	diagnosis.Expired:              "the second that exp names is past it (RFC 7519, section 4.1.4: on or after), with a leeway as without",
	diagnosis.HeaderInvalid:        "the header is UTF-8 JSON of at most 32 levels, and kid and typ are strings (RFC 7515, sections 4.1.4 and 4.1.9)",
	diagnosis.HSTokenNoSecret:      "a shared secret has no place in a key set: who can read the set could sign with it",
	diagnosis.KeyRefused:           "the key is too weak, is not for signatures by its use or key_ops, or names an alg that it cannot have",
	diagnosis.Malformed:            "line breaks and stray bits make one token into many strings, past every list of revoked or seen ones (RFC 7515, section 2)",
	diagnosis.MemberCase:           "a reader that ignores case, as encoding/json does, takes ISS for iss; another takes it for nothing",
	diagnosis.PayloadInvalid:       "the payload is UTF-8 JSON of at most 32 levels (RFC 7519, section 7.2); what is no UTF-8 reads differently in each library",
	diagnosis.SignatureInvalid:     "a PSS salt is as long as the hash (RFC 7518, section 3.5)",
	diagnosis.TimeInvalid:          "a time is a number of seconds above zero; null, zero and negative times are mistakes that would pass for no limit",
	diagnosis.IDTokenAsAccess:      "an ID token is for a client, whatever its audience (RFC 8725, section 3.12)",
	diagnosis.TimeInMilliseconds:   "a time in milliseconds is 50,000 years ahead: the token would never expire",
	diagnosis.TokenTooLarge:        "a header beyond 8 KiB is no header, and costs before anything is known of its sender",
	diagnosis.RefreshTokenAsAccess: "a refresh token is for the authorization server, and lives longer than an access token (RFC 6749, section 1.5)",
	diagnosis.TypeRefused:          "a logout token or a proof of possession is not an access token though the same issuer signed it (RFC 8725, section 3.11)",
}

// whyAccepted are the corpus's tokens that are accepted although golang-jwt or
// go-jose refuses them.
var whyAccepted = map[string]string{
	"algorithm/Ed25519 with a JWK of Ed25519": nameOfEd25519, "algorithm/Ed25519 with a JWK of EdDSA": nameOfEd25519, "vendors/Ed25519": nameOfEd25519,
	"choice/an empty kid in the token": noKid, "choice/no kid in the token": noKid, "choice/no kid in the set": noKid, "choice/no kid anywhere": noKid, "algorithm/RS256 with a JWK of RS256, no kid": noKid,
	"choice/duplicate kid of two types": sameKid, "choice/duplicate kid, the second key": sameKid, "choice/the fourth key is tried": sameKid,
	"choice/unknown and malformed keys next to a good one": "one bad key does not make the others useless: it is skipped and reported",
	"times/iat +60 s": clocks, "times/nbf +60 s": clocks,
	"times/exp half a second ahead":                                   "exp may have a fraction, and counts with it (RFC 7519, section 2)",
	"payload/numbers beyond float64 in a claim that nobody asked for": "a claim that nobody asked for is not read",
	"trust/x5c ignored in a good token":                               "certificates in a token are not read at all, so it does not matter what they hold",
}

const (
	nameOfEd25519 = "RFC 9864 names the algorithm Ed25519; issuers use both names"
	noKid         = "kid is optional on both sides (RFC 7515, section 4.1.4): the keys that fit are tried, at most 4"
	sameKid       = "a kid need not be unique while keys change: each key of it that fits is tried, at most 4"
	clocks        = "clocks differ: iat and nbf may lie 60 s ahead by default, where the others have one leeway for all times"
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

// trialOf is a case as the others can be asked about it; false where they know
// nothing like its options.
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
	b.WriteString(`# Where this verifier and others disagree

Written by ` + "`go test ./pkg/token -run TestDifferences -update`" + ` from the corpus in pkg/token/testdata/corpus, and held by
the same test. Each token was put to this toolkit, to golang-jwt v5 with all its strictness switched on (valid methods,
issuer, audience, expiry required, issued-at, strict decoding) and to go-jose v4. golang-jwt has no key sets and was given
the keys that this toolkit would choose. The fuzz target FuzzVerify looks for disagreements without a reason in these
tables.

## Refused here, accepted there

The numbers count tokens of the corpus.

| id | golang-jwt accepts | go-jose accepts | why it is refused here | an example |
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
	b.WriteString("\n## Accepted here, refused there\n\n| token of the corpus | refused by | why it is accepted here |\n|---|---|---|\n")
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
