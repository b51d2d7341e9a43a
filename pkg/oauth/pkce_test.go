package oauth

import "testing"

// The example of RFC 7636, appendix B.
func TestS256(t *testing.T) {
	const verifier, want = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := s256(verifier); got != want {
		t.Errorf("s256 = %s, want %s", got, want)
	}
}
