package devserver

import (
	"errors"
	"net/http"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/dpop"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// proofs returns the verifier of DPoP proofs (RFC 9449). It requires this
// server's nonce if the fault dpop-nonce is active.
func (s *Server) proofs(demanding bool) *dpop.Verifier {
	v := &dpop.Verifier{Replay: s.used, Now: s.now}
	if demanding {
		v.Nonce = func(nonce string) bool { return nonce == s.nonce }
	}
	return v
}

// proof returns the thumbprint of the key in a token request's proof, or ""
// without a proof (RFC 9449, section 5).
func (s *Server) proof(w http.ResponseWriter, r *http.Request, faults faultSet) (string, *oauthError) {
	fields := r.Header.Values("DPoP")
	if len(fields) == 0 {
		return "", nil
	}
	proof, err := s.proofs(faults.has(FaultDPoPNonce)).Verify(r.Context(), dpop.Request{Method: r.Method, URL: s.base + r.URL.Path, Proofs: fields})
	if err != nil {
		return "", s.unproven(w, err)
	}
	return proof.Thumbprint, nil
}

// possession refuses a bound token whose request has no proof of its key (RFC
// 9449, section 7).
func (s *Server) possession(w http.ResponseWriter, r *http.Request, t *accessToken, raw string) *oauthError {
	if t.jkt == "" {
		return nil
	}
	_, err := s.proofs(faultsOf(r).has(FaultDPoPNonce)).Verify(r.Context(), dpop.Request{
		Method: r.Method, URL: s.base + r.URL.Path, Proofs: r.Header.Values("DPoP"), AccessToken: secret.New(raw), Thumbprint: t.jkt,
	})
	if err != nil {
		refused := s.unproven(w, err)
		refused.status = http.StatusUnauthorized
		return refused
	}
	return nil
}

func (s *Server) unproven(w http.ResponseWriter, err error) *oauthError {
	if errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.DPoPNonce}) {
		w.Header().Set("DPoP-Nonce", s.nonce)
		return refuse("use_dpop_nonce", "the proof needs the nonce of this response")
	}
	return refuse("invalid_dpop_proof", "the proof does not fit this request: "+reason(err))
}
