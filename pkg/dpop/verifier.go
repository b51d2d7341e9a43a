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

// Verifier checks proofs. Replay is needed; the zero value of the rest is the
// safe choice. It is safe for concurrent use if Replay and Nonce are, and must
// not be changed after its first use.
type Verifier struct {
	// Replay remembers the proofs that were used.
	Replay ReplayStore
	// Algorithms are the ones allowed; nil means every asymmetric one.
	Algorithms []string
	// MaxAge is how far iat may lie back or ahead; 0 means 60 seconds.
	MaxAge time.Duration
	// Nonce tells whether a nonce is one that this server handed out and still
	// takes; it is asked with "" where the proof has none. nil demands none.
	Nonce func(nonce string) bool
	Now   func() time.Time
}

// ReplayStore remembers which proofs were used. Many instances of an API need
// one that they share.
type ReplayStore interface {
	// Use notes id until then, and reports false if it was noted already. Both
	// are one step: of two calls at the same time one gets false. The part of id
	// before its dot is the thumbprint of the key, by which a store can bound what
	// one client takes up.
	Use(ctx context.Context, id string, until time.Time) (bool, error)
}

// Request is what a proof is checked against.
type Request struct {
	Method string
	URL    string   // as the client sees it: behind a proxy, the public one
	Proofs []string // the DPoP header fields as they came
	// AccessToken is what came with the proof, empty at a token endpoint, and
	// Thumbprint the jkt of its cnf claim, which must be there where a token is.
	// At a token endpoint Thumbprint is the jkt that a refresh token or a code
	// is bound to, or "".
	AccessToken secret.String
	Thumbprint  string
}

// Proof is one that was found good.
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

// Verify checks the one proof of a request by every rule of RFC 9449, section
// 4.3; the last is that it was not used before. Errors are Diagnoses:
// DPOP_MISSING, DPOP_INVALID, DPOP_KEY, DPOP_NONCE, DPOP_REPLAYED, and
// REPLAY_UNKNOWN where the store cannot tell.
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
// 9449, section 4.2): with a private key, so neither none nor HMAC.
func signsProofs(alg string) bool {
	a, ok := jwks.LookupAlgorithm(alg)
	return ok && !a.Symmetric()
}

// checkSignature checks the header and the signature by the key within it, and
// returns that key's thumbprint.
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

// publicKey reads the header's jwk. One with private members has been given
// away.
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
		return invalid("a jti", "none, or an endless one")
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

// checkBinding ties proof, key and access token together. A token that names no
// key is no bound token, whatever proof comes with it.
func checkBinding(t *token.Token, req Request, thumbprint string) error {
	if !req.AccessToken.IsZero() {
		ath, ok := text(t, "ath")
		if !ok || subtle.ConstantTimeCompare([]byte(ath), []byte(hash(req.AccessToken))) != 1 {
			return invalid("ath of the access token", "another or none")
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

// once is the last check, so that only good proofs take room in the store.
func (v *Verifier) once(ctx context.Context, p *Proof) error {
	if v.Replay == nil {
		return &diagnosis.Diagnosis{ID: diagnosis.ReplayUnknown, Err: errors.New("no store is set")}
	}
	// The key is part of the name: two clients may draw the same jti.
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

// samePlace compares two URLs without query and fragment, as RFC 9449, section
// 4.3, has it: after the normalisation of RFC 3986, sections 6.2.2 and 6.2.3.
func samePlace(htu, rawURL string) bool {
	a, aErr := url.Parse(htu)
	b, bErr := url.Parse(rawURL)
	if aErr != nil || bErr != nil || a.Host == "" || a.User != nil {
		return false
	}
	return safehttp.Origin(a) == safehttp.Origin(b) && normal(a) == normal(b)
}

// normal is the path with each octet encoded in one way. An encoded slash is not
// a slash, so it is kept apart.
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
