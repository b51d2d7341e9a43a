package token_test

import (
	"encoding/base64"
	"os"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// vector is a token printed in an RFC.
type vector struct {
	ID             string         `json:"id"`
	Kind           string         `json:"kind"` // jws, jws-must-reject or dpop
	Token          string         `json:"token"`
	Key            jsontext.Value `json:"key"`
	ClaimsExpired  bool           `json:"claims_expired"`   // exp is 1300819380
	PayloadNotJSON bool           `json:"payload_not_json"` // good as a JWS alone
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// keys returns the vector's key; a secret is made with SecretKey, since a JWK
// with a secret is refused.
func (v vector) keys(t *testing.T) *jwks.Set {
	t.Helper()
	var symmetric struct {
		K string `json:"k"`
	}
	if err := json.Unmarshal(v.Key, &symmetric); err != nil {
		t.Fatal(err)
	}
	key, err := jwks.ParsePublic(v.Key)
	if symmetric.K != "" {
		secret, bad := base64.RawURLEncoding.DecodeString(symmetric.K)
		if bad != nil {
			t.Fatal(bad)
		}
		key, err = jwks.SecretKey(secret)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jwks.NewSet(key)
}

// expected returns the expected result before and after the vector's exp, or at
// any time if it has none.
func (v vector) expected(t *testing.T) (before, after diagnosis.ID) {
	t.Helper()
	switch {
	case v.Kind == "jws-must-reject":
		return diagnosis.AlgNone, diagnosis.AlgNone
	case v.PayloadNotJSON:
		return diagnosis.PayloadInvalid, diagnosis.PayloadInvalid
	case v.Kind == "dpop":
		// A proof has iat instead of exp; pkg/dpop verifies it as a proof.
		return diagnosis.ExpMissing, diagnosis.ExpMissing
	case v.ClaimsExpired:
		return "", diagnosis.Expired
	}
	t.Fatalf("nothing is known of %s", v.ID)
	return "", ""
}

func TestVectors(t *testing.T) {
	const exp = 1300819380 // of RFC 7515, appendix A
	vectors := readVectors(t)
	if len(vectors) < 7 {
		t.Errorf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			before, after := v.expected(t)
			for at, want := range map[int64]diagnosis.ID{exp - 1: before, exp: after} {
				o := token.Options{Now: func() time.Time { return time.Unix(at, 0) }}
				if v.Kind == "dpop" {
					o.Types = []string{"dpop+jwt"}
					// Its iat is from a later year.
					o.Now = func() time.Time { return time.Unix(1562262700, 0) }
				}
				report := v.report(t, v.Token, o)
				if idOf(report.Err()) != want || report.Valid != (want == "") {
					t.Errorf("at %d: %v, want %q", at, report.Err(), want)
				}
				if good := v.Kind != "jws-must-reject"; (statusOf(report, "signature") == token.Passed) != good {
					t.Errorf("the signature: %s", statusOf(report, "signature"))
				}
			}
			tampered := []byte(v.Token)
			tampered[len(tampered)-20] ^= 1 // another letter of the alphabet, or none
			if statusOf(v.report(t, string(tampered), token.Options{}), "signature") == token.Passed {
				t.Error("a tampered vector has a good signature")
			}
		})
	}
}

// A proof is not an access token, although its signature is valid.
func TestVectorsOfProofsAreRefused(t *testing.T) {
	for _, v := range readVectors(t) {
		if report := v.report(t, v.Token, token.Options{}); v.Kind == "dpop" && idOf(report.Err()) != diagnosis.TypRefused {
			t.Errorf("%s: %v", v.ID, report.Err())
		}
	}
}

// A payload that is not a claims set is valid as a JWS if the caller asks for a
// JWS.
func TestVectorsAsJWS(t *testing.T) {
	for _, v := range readVectors(t) {
		report := v.report(t, v.Token, token.Options{OpaquePayload: true})
		if want := v.Kind != "jws-must-reject"; report.Valid != want {
			t.Errorf("%s: %v", v.ID, report.Err())
		}
	}
}

// report uses an inspector, since the vectors have neither an issuer nor an
// audience that could be expected.
func (v vector) report(t *testing.T, raw string, o token.Options) *token.Report {
	t.Helper()
	i, err := token.NewInspector("", nil, v.keys(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return i.Report(t.Context(), raw)
}

func statusOf(r *token.Report, check string) token.Status {
	for _, c := range r.Checks {
		if c.Check == check {
			return c.Status
		}
	}
	return ""
}
