package audit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

func part(text string) (map[string]any, []byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, nil, false
	}
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, nil, false
	}
	return m, raw, true
}

func (p *planted) verify(ctx context.Context, raw string) (map[string]any, bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, false
	}
	header, _, ok := part(parts[0])
	if !ok {
		return nil, false
	}
	claims, text, ok := part(parts[1])
	if !ok {
		return nil, false
	}
	id, _ := claims["jti"].(string)
	subject := fmt.Sprint(claims["sub"], claims["scope"])
	if known, ok := p.recall("caches-by-id", id); ok {
		return known, true
	}
	if known, ok := p.recall("caches-by-subject", subject); ok {
		return known, true
	}
	if known, ok := p.recall("caches-by-payload", parts[1]); ok {
		return known, true
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !p.signed(ctx, header, parts[0]+"."+parts[1], signature) {
		return nil, false
	}
	if typ, _ := header["typ"].(string); typ != "at+jwt" && !p.has("id-token") {
		return nil, false
	}
	if _, ok := header["crit"]; ok && !p.has("crit") {
		return nil, false
	}
	if strings.Count(string(text), `"aud"`) > 1 {
		if !p.has("duplicate") {
			return nil, false
		}
		claims["aud"] = p.audience // the first one is used
	}
	if _, ok := claims["SCOPE"]; ok && !p.has("member-case") {
		return nil, false
	}
	if _, ok := claims["cnf"]; ok && !p.has("cnf") {
		return nil, false
	}
	if !p.rightIssuer(claims) || !p.rightAudience(claims) || !p.rightTimes(claims) {
		return nil, false
	}
	p.remember("caches-by-id", id, claims)
	p.remember("caches-by-subject", subject, claims)
	p.remember("caches-by-payload", parts[1], claims)
	return claims, true
}

func (p *planted) rightIssuer(claims map[string]any) bool {
	iss, has := claims["iss"].(string)
	switch {
	case iss == p.issuer, p.has("any-issuer"), p.has("issuer-optional") && !has:
		return true
	case p.has("issuer-prefix") && strings.HasPrefix(iss, p.issuer) && strings.HasSuffix(iss, ".example"):
		return true
	case p.has("issuer-host") && strings.HasPrefix(iss, p.issuer+"/") && iss != p.issuer+"/":
		return true
	}
	return p.has("issuer-slash") && iss == p.issuer+"/"
}

func (p *planted) rightAudience(claims map[string]any) bool {
	list, isList := claims["aud"].([]any)
	if one, ok := claims["aud"].(string); ok {
		list = []any{one}
	}
	if isList && p.has("audience-text-only") {
		return false
	}
	if claims["aud"] == nil {
		return p.has("audience-optional")
	}
	for _, one := range list {
		aud, _ := one.(string)
		switch {
		case aud == p.audience, p.has("any-audience"), p.has("id-token") && aud == "oauthctl-audit":
			return true
		case p.has("audience-ends") && strings.HasSuffix(aud, p.audience):
			return true
		case p.has("audience-prefix") && strings.HasPrefix(aud, p.audience):
			return true
		case p.has("audience-inside") && strings.Contains(aud, p.audience) && !strings.HasPrefix(aud, p.audience):
			return true
		}
	}
	return false
}

func (p *planted) rightTimes(claims map[string]any) bool {
	now, leeway := float64(time.Now().Unix()), 0.0
	for bug, seconds := range map[string]float64{"leeway": 3600, "leeway-10m": 600, "leeway-5m": 300} {
		if p.has(bug) {
			leeway = seconds
		}
	}
	exp, isNumber := claims["exp"].(float64)
	_, isText := claims["exp"].(string)
	switch {
	case claims["exp"] == nil:
		if !p.has("expiry-optional") {
			return false
		}
	case isText:
		if !p.has("expiry-text") {
			return false
		}
	case !isNumber, exp+leeway < now && !p.has("no-expiry-check"):
		return false
	}
	nbf, ok := claims["nbf"].(float64)
	return !ok || nbf <= now || p.has("no-nbf-check")
}

// signed reports whether the signature is correct, or is accepted because of a
// bug.
func (p *planted) signed(ctx context.Context, header map[string]any, input string, signature []byte) bool {
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	switch {
	case p.has("no-signature-check") && alg == "ES256" && len(signature) > 0:
		return true
	case p.has("stripped") && len(signature) == 0 && alg == "ES256":
		return true
	case p.has("alg-none") && alg == "none", p.has("alg-none-case") && alg == "nOnE":
		return true
	case alg == "HS256":
		return p.confused(ctx, kid, input, signature)
	case alg != "ES256":
		return false
	}
	if key, ok := p.offered(ctx, header); ok {
		return verifies(key, input, signature)
	}
	key, ok := p.key(ctx, kid)
	if !ok {
		return p.has("unknown-kid")
	}
	// This bug checks only the length of the signature.
	return verifies(key, input, signature) || p.has("form-of-signature") && len(signature) == 64
}

// offered returns the key in the header itself, for the bugs that trust it.
func (p *planted) offered(ctx context.Context, header map[string]any) (ecdsa.PublicKey, bool) {
	if key, ok := header["jwk"]; ok && p.has("jwk-header") {
		text, _ := json.Marshal(key)
		return parseKey(text)
	}
	if url, ok := header["jku"].(string); ok && (p.has("jku-header") || p.has("jku-fetch")) {
		keys, _ := p.fetch(ctx, url)
		for _, key := range keys {
			return key, p.has("jku-header")
		}
	}
	if list, ok := header["x5c"].([]any); ok && p.has("x5c-header") {
		der, _ := base64.StdEncoding.DecodeString(list[0].(string))
		certificate, err := x509.ParseCertificate(der)
		if err == nil {
			return *certificate.PublicKey.(*ecdsa.PublicKey), true
		}
	}
	return ecdsa.PublicKey{}, false
}

// confused verifies an HMAC with a secret that a faulty program would use.
func (p *planted) confused(ctx context.Context, kid, input string, signature []byte) bool {
	var secrets [][]byte
	if p.has("kid-path") && strings.HasSuffix(kid, "/dev/null") {
		secrets = append(secrets, nil)
	}
	if p.has("kid-sql") && strings.Contains(kid, "SELECT 'oauthctl'") {
		secrets = append(secrets, []byte("oauthctl"))
	}
	if key, ok := p.key(ctx, kid); ok {
		der, _ := x509.MarshalPKIXPublicKey(&key)
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		p.mu.Lock()
		jwk := p.jwks[kid]
		p.mu.Unlock()
		for bug, secret := range map[string][]byte{"confusion": text, "confusion-trimmed": text[:len(text)-1], "confusion-der": der, "confusion-jwk": jwk} {
			if p.has(bug) {
				secrets = append(secrets, secret)
			}
		}
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}

func verifies(key ecdsa.PublicKey, input string, signature []byte) bool {
	if len(signature) != 64 || key.Curve == nil {
		return false
	}
	sum := sha256.Sum256([]byte(input))
	return ecdsa.Verify(&key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// key returns a key of the issuer. It fetches the set again for an unknown kid.
func (p *planted) key(ctx context.Context, kid string) (ecdsa.PublicKey, bool) {
	p.mu.Lock()
	key, ok := p.known[kid]
	isFirst := p.known == nil
	p.mu.Unlock()
	if ok && (p.has("caches-forever") || p.has("reads-once")) || p.has("reads-once") && !isFirst {
		return key, ok
	}
	keys, texts := p.fetch(ctx, p.keySet)
	if keys == nil && !p.has("keys-needed") {
		return key, ok // the set is unavailable
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || !p.has("caches-forever") {
		p.known, p.jwks = map[string]ecdsa.PublicKey{}, map[string][]byte{}
	}
	for id := range keys {
		p.known[id], p.jwks[id] = keys[id], texts[id]
	}
	key, ok = p.known[kid]
	return key, ok
}

func (p *planted) fetch(ctx context.Context, url string) (map[string]ecdsa.PublicKey, map[string][]byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, nil
	}
	defer res.Body.Close()
	var set struct{ Keys []json.RawMessage }
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&set) != nil {
		return nil, nil
	}
	keys, texts := map[string]ecdsa.PublicKey{}, map[string][]byte{}
	for _, text := range set.Keys {
		var named struct{ Kid string }
		if key, ok := parseKey(text); ok && json.Unmarshal(text, &named) == nil {
			keys[named.Kid], texts[named.Kid] = key, text
		}
	}
	return keys, texts
}

func parseKey(text []byte) (ecdsa.PublicKey, bool) {
	key, err := jwks.ParsePublic(text)
	if err != nil {
		return ecdsa.PublicKey{}, false
	}
	pemText, err := key.MarshalPEM()
	if err != nil {
		return ecdsa.PublicKey{}, false
	}
	block, _ := pem.Decode(pemText)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return ecdsa.PublicKey{}, false
	}
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return ecdsa.PublicKey{}, false
	}
	return *ec, true
}
