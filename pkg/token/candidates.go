package token

import (
	"fmt"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// signers describes the keys that were tried without success.
func signers(c *jwks.Candidates, h *header) string {
	n := len(c.Keys)
	switch {
	case n == 1 && c.By != "" && c.By != "kid":
		return keyName(c.Keys[0]) + ", chosen by " + c.By
	case n == 1:
		return keyName(c.Keys[0])
	case c.Fit > n:
		return fmt.Sprintf("one of the %d keys that were tried, of %d that fit%s", n, c.Fit, whyThese(c, h))
	}
	return fmt.Sprintf("one of the %d keys that fit%s", n, whyThese(c, h))
}

// chosenKey describes which key is used and why: the kid of the token, or another
// header parameter that selected the key.
func chosenKey(c *jwks.Candidates, h *header, tried int) string {
	n, fit := len(c.Keys), max(len(c.Keys), c.Fit)
	switch {
	case n == 1 && c.By == "kid":
		return h.query.KeyID
	case n == 1 && c.By != "":
		return keyName(c.Keys[0]) + ", chosen by " + c.By
	case n == 1 && h.query.KeyID != "":
		return "the only key that fits; it has no kid"
	case n == 1:
		return keyName(c.Keys[0]) + ", the only one that fits" + whyThese(c, h)
	case tried == 0:
		return fmt.Sprintf("%d of %d keys that fit%s", n, fit, whyThese(c, h))
	}
	return fmt.Sprintf("%s, number %d of %d keys that fit%s", keyName(c.Keys[tried-1]), tried, fit, whyThese(c, h))
}

// whyThese returns why there are several candidates.
func whyThese(c *jwks.Candidates, h *header) string {
	q := &h.query
	switch {
	case c.By == "kid":
		return "; they have the same kid"
	case c.By != "":
		return ", chosen by " + c.By
	case q.KeyID != "":
		return "; they have no kid"
	case q.X5T != "" || q.X5TS256 != "":
		return "; the token has no kid, and the keys have no certificate"
	}
	return "; the token has no kid"
}

func keyName(k *jwks.Key) string {
	if k.ID() == "" {
		return "the key"
	}
	return "key " + diagnosis.Quote(k.ID())
}
