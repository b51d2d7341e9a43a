package guard

import (
	"errors"
	"net/url"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/dpop"
)

// ReplayStore stores which proofs were used. Several instances share one.
type ReplayStore = dpop.ReplayStore

// AcceptDPoP makes a guard accept tokens that are bound to a key, with a proof
// (RFC 9449). Proofs are compared with the URL in Resource and the path of the
// request. If store is nil, it is in memory.
func (c *Config) AcceptDPoP(replay ReplayStore) error {
	u, err := url.Parse(c.Resource)
	if err != nil || u.Host == "" {
		return errors.New("guard: DPoP needs the public URL of the API")
	}
	if replay == nil {
		replay = dpop.NewMemory(dpop.MemoryOptions{Now: c.Verifier.Now})
	}
	c.Bearer = append(c.Bearer, bearer.DPoP(&dpop.Verifier{Replay: replay, Now: c.Verifier.Now}, u.Scheme+"://"+u.Host))
	c.Metadata.DPoPSigningAlgValuesSupported = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"}
	return nil
}
