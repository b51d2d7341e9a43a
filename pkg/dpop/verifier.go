package dpop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Verifier verifies proofs. Replay is required; the zero value of the other
// fields is safe. A Verifier is safe for concurrent use if Replay and Nonce
// are, and must not be changed after its first use.
type Verifier struct {
	// Replay stores the proofs that were used.
	Replay ReplayStore
	// Algorithms lists the allowed algorithms. If nil, every asymmetric
	// algorithm is allowed.
	Algorithms []string
	// MaxAge is the maximum difference between iat and the current time. 0
	// means 60 seconds.
	MaxAge time.Duration
	// Nonce reports whether this server issued a nonce and still accepts it. It
	// is called with "" if the proof has no nonce. If Nonce is nil, no nonce is
	// required.
	Nonce func(nonce string) bool
	Now   func() time.Time
}

// ReplayStore stores which proofs were used. The instances of an API must share
// one store.
type ReplayStore interface {
	// Use stores id until the given time, and returns false if it is already
	// stored. It is atomic: of two concurrent calls, one returns false. The part
	// of id before the dot is the thumbprint of the key, so that a store can limit
	// the proofs of one client.
	Use(ctx context.Context, id string, until time.Time) (bool, error)
}

// Request holds the values that a proof must match.
type Request struct {
	Method string
	URL    string   // as sent by the client: behind a proxy, the public URL
	Proofs []string // the values of the DPoP header
	// AccessToken is the token that was sent with the proof, and Thumbprint the
	// jkt in its cnf claim, which is required with a token. At a token endpoint,
	// AccessToken is empty and Thumbprint is the jkt that a refresh token or a
	// code is bound to, or "".
	AccessToken secret.String
	Thumbprint  string
}

// Proof is a verified proof.
type Proof struct {
	Thumbprint string // of the key: the jkt to bind tokens to
	ID         string // jti
	IssuedAt   time.Time
	Nonce      string
}

const (
	defaultMaxAge = time.Minute
	maxProof      = 8 << 10
	maxID         = 512
)

// Verify verifies the proof of a request by all rules of RFC 9449, section 4.3,
// ending with the check that it was not used before. Errors are Diagnoses:
// DPOP_MISSING, DPOP_INVALID, DPOP_KEY, DPOP_NONCE, DPOP_REPLAYED, and
// REPLAY_UNKNOWN if the store fails.
func (v *Verifier) Verify(ctx context.Context, req Request) (*Proof, error) {
	p, err := v.verify(req)
	if err == nil {
		err = v.once(ctx, p)
	}
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	return p, nil
}

func (v *Verifier) verify(req Request) (*Proof, error) {
	switch {
	case len(req.Proofs) == 0:
		return nil, &diagnosis.Diagnosis{ID: diagnosis.DPoPMissing}
	case len(req.Proofs) > 1:
		return nil, invalid("one DPoP field", fmt.Sprint(len(req.Proofs)))
	case len(req.Proofs[0]) > maxProof:
		return nil, invalid(fmt.Sprintf("at most %d bytes", maxProof), "more")
	}
	t, err := token.Decode(req.Proofs[0])
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.DPoPInvalid, Err: err}
	}
	thumbprint, err := v.checkSignature(t)
	if err != nil {
		return nil, err
	}
	p := &Proof{Thumbprint: thumbprint, ID: t.ID(), IssuedAt: t.IssuedAt()}
	p.Nonce, _ = text(t, "nonce")
	for _, check := range []func() error{
		func() error { return checkRequest(t, req) },
		func() error { return v.checkTime(p) },
		func() error { return v.checkNonce(p.Nonce) },
		func() error { return checkBinding(t, req, thumbprint) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func invalid(expected, got string) error {
	return &diagnosis.Diagnosis{ID: diagnosis.DPoPInvalid, Expected: diagnosis.Text(expected), Got: diagnosis.Text(got)}
}

// signsProofs reports whether a proof may be signed with that algorithm (RFC
// 9449, section 4.2): neither none nor HMAC is allowed.
func signsProofs(alg string) bool {
	a, ok := jwks.LookupAlgorithm(alg)
	return ok && !a.Symmetric()
}

// checkSignature verifies the signature with the key in the header, and returns
// that key's thumbprint.
func (v *Verifier) checkSignature(t *token.Token) (string, error) {
	var header struct {
		Type string         `json:"typ"`
		Key  jsontext.Value `json:"jwk"`
	}
	if err := json.Unmarshal(t.HeaderJSON(), &header); err != nil {
		return "", invalid("a header with typ and jwk", "another")
	}
	alg := t.Algorithm()
	switch {
	case !strings.EqualFold(header.Type, proofType):
		return "", invalid("typ "+proofType, header.Type)
	case !signsProofs(alg) || v.Algorithms != nil && !slices.Contains(v.Algorithms, alg):
		return "", invalid("an asymmetric algorithm that is allowed", alg)
	}
	key, err := publicKey(header.Key)
	if err != nil {
		return "", err
	}
	if !key.Fits(alg) {
		return "", invalid("a key for "+alg, "another")
	}
	if t.VerifySignature(key) != nil {
		return "", invalid("a signature by the proof's own key", "another")
	}
	return key.Thumbprint(), nil
}

// publicKey parses the jwk header. A key with private members is refused,
// because it is no longer secret.
func publicKey(data jsontext.Value) (*jwks.Key, error) {
	var members map[string]jsontext.Value
	if len(data) == 0 || json.Unmarshal(data, &members) != nil {
		return nil, invalid("a jwk in the header", "none")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, there := members[private]; there {
			return nil, invalid("a public jwk", "one with private members")
		}
	}
	key, err := jwks.ParsePublic(data)
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.DPoPInvalid, Expected: diagnosis.Values{"a usable jwk"}, Got: diagnosis.Values{"another"}, Err: err}
	}
	return key, nil
}

func checkRequest(t *token.Token, req Request) error {
	if htm, ok := text(t, "htm"); !ok || htm != req.Method {
		return invalid("htm "+req.Method, htm)
	}
	htu, ok := text(t, "htu")
	if !ok || !samePlace(htu, req.URL) {
		return invalid(fmt.Sprintf("htu %s", diagnosis.Quote(withoutQuery(req.URL))), htu)
	}
	if t.ID() == "" || len(t.ID()) > maxID {
		return invalid("a jti", "none, or one that is too long")
	}
	return nil
}

func (v *Verifier) checkTime(p *Proof) error {
	if p.IssuedAt.IsZero() {
		return invalid("iat", "none")
	}
	if age := v.now().Sub(p.IssuedAt); age > v.maxAge() || age < -v.maxAge() {
		return invalid(fmt.Sprintf("iat within %s", v.maxAge()), p.IssuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

func (v *Verifier) checkNonce(nonce string) error {
	if v.Nonce == nil || v.Nonce(nonce) {
		return nil
	}
	return &diagnosis.Diagnosis{ID: diagnosis.DPoPNonce}
}

// checkBinding checks that proof, key and access token belong together. A token
// without a key is not bound, with any proof.
func checkBinding(t *token.Token, req Request, thumbprint string) error {
	if !req.AccessToken.IsZero() {
		ath, ok := text(t, "ath")
		if !ok || subtle.ConstantTimeCompare([]byte(ath), []byte(hash(req.AccessToken))) != 1 {
			return invalid("ath of the access token", "a different one or none")
		}
		if req.Thumbprint == "" {
			return &diagnosis.Diagnosis{ID: diagnosis.DPoPKey, Expected: diagnosis.Values{"a token bound to a key (cnf.jkt)"}, Got: diagnosis.Values{"one that is not"}}
		}
	}
	if req.Thumbprint != "" && subtle.ConstantTimeCompare([]byte(req.Thumbprint), []byte(thumbprint)) != 1 {
		return &diagnosis.Diagnosis{ID: diagnosis.DPoPKey, Expected: diagnosis.Values{fmt.Sprintf("jkt %s", diagnosis.Quote(req.Thumbprint))}, Got: diagnosis.Values{thumbprint}}
	}
	return nil
}

// once is the last check, so that only valid proofs are stored.
func (v *Verifier) once(ctx context.Context, p *Proof) error {
	if v.Replay == nil {
		return &diagnosis.Diagnosis{ID: diagnosis.ReplayUnknown, Err: errors.New("no replay store is configured")}
	}
	// The key is part of the id, because two clients may use the same jti.
	sum := sha256.Sum256([]byte(p.Thumbprint + "\x00" + p.ID))
	fresh, err := v.Replay.Use(ctx, p.Thumbprint+"."+encode(sum[:]), p.IssuedAt.Add(v.maxAge()+time.Second))
	switch {
	case err != nil:
		return &diagnosis.Diagnosis{ID: diagnosis.ReplayUnknown, Err: err}
	case !fresh:
		return &diagnosis.Diagnosis{ID: diagnosis.DPoPReplayed}
	}
	return nil
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

func (v *Verifier) maxAge() time.Duration {
	if v.MaxAge <= 0 {
		return defaultMaxAge
	}
	return v.MaxAge
}

func text(t *token.Token, name string) (string, bool) {
	value, _ := t.Claim(name)
	s, ok := value.(string)
	return s, ok
}

// samePlace compares two URLs without query and fragment (RFC 9449, section
// 4.3), after the normalization of RFC 3986, sections 6.2.2 and 6.2.3.
func samePlace(htu, rawURL string) bool {
	a, aErr := url.Parse(htu)
	b, bErr := url.Parse(rawURL)
	if aErr != nil || bErr != nil || a.Host == "" || a.User != nil {
		return false
	}
	return safehttp.Origin(a) == safehttp.Origin(b) && normal(a) == normal(b)
}

// normal returns the path with each byte encoded in one way. An encoded slash
// stays encoded.
func normal(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "\x00" + u.EscapedPath()
		}
		segments[i] = url.PathEscape(plain)
	}
	if path := strings.Join(segments, "/"); path != "" {
		return path
	}
	return "/"
}

func withoutQuery(rawURL string) string {
	place, _, _ := strings.Cut(rawURL, "?")
	return place
}
