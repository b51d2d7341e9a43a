package oauth

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// Userinfo is the response of the userinfo endpoint (OpenID Connect Core, section
// 5.3.2).
type Userinfo struct {
	Subject string         // the member sub, or ""
	Raw     jsontext.Value // the complete object, unchanged
}

// Userinfo returns information about the user of an access token. Subject is the sub
// of the ID token from the same login. The response must have the same sub, because
// it could be about another user otherwise (OpenID Connect Core, section 5.3.2). If
// the login returned no ID token, pass "": then the response may lack sub, because
// servers without OpenID Connect do not send it. A signed response (application/jwt)
// is verified with the server's keys.
//
// Errors are Diagnoses: SUBJECT_CHANGED, API_UNAUTHORIZED, API_FORBIDDEN,
// ANSWER_INVALID, ID_TOKEN_INVALID for a signature, ENDPOINT_MISSING and those
// of safehttp.
func (c *Client) Userinfo(ctx context.Context, accessToken secret.String, subject string) (*Userinfo, error) {
	endpoint, err := c.endpoint("userinfo_endpoint")
	if err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", err)
	}
	limit := max(requestTime, c.http().Timeout)
	whole, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := c.askUserinfo(whole, http.MethodGet, endpoint, accessToken)
	if err == nil && res.Status == http.StatusMethodNotAllowed {
		res, err = c.askUserinfo(whole, http.MethodPost, endpoint, accessToken)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", timedOut(ctx, limit, err))
	}
	if res, err = c.openUserinfo(whole, res); err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", err)
	}
	return c.readUserinfo(c.newReply(res, Request{Endpoint: UserinfoEndpoint}, nil, http.Header{"Authorization": {"Bearer " + accessToken.Reveal()}}), subject)
}

func (c *Client) askUserinfo(ctx context.Context, method, endpoint string, accessToken secret.String) (*safehttp.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, endpoint, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	return c.doProved(req, accessToken)
}

// openUserinfo replaces a signed response with its claims.
func (c *Client) openUserinfo(ctx context.Context, res *safehttp.Response) (*safehttp.Response, error) {
	if kind := (&reply{Response: res}).contentType(); res.Status != http.StatusOK || kind != "application/jwt" {
		return res, nil
	}
	raw := strings.TrimSpace(string(res.Body))
	decoded, err := token.Decode(raw)
	if err != nil {
		return nil, invalidIDToken("", "", err)
	}
	_, keys, err := c.idTokenKeys(ctx, decoded.Algorithm())
	if err != nil {
		return nil, err
	}
	inspector, err := token.NewInspector("", nil, keys, token.Options{Now: c.Now, OpaquePayload: true})
	if err != nil {
		return nil, invalidIDToken("", "", err)
	}
	if err := inspector.Report(ctx, raw).Err(); err != nil {
		return nil, invalidIDToken("", "", err)
	}
	if iss := decoded.Issuer(); iss != "" && iss != c.server().Issuer {
		return nil, invalidIDToken("iss "+diagnosis.Quote(c.server().Issuer), iss, nil)
	}
	if aud := decoded.Audience(); aud != nil && !slices.Contains(aud, c.ID) {
		return nil, invalidIDToken("aud with "+diagnosis.Quote(c.ID), spaced(aud), nil)
	}
	return &safehttp.Response{Status: res.Status, Header: http.Header{}, Body: decoded.ClaimsJSON(), URL: res.URL}, nil
}

func (c *Client) readUserinfo(r *reply, subject string) (*Userinfo, error) {
	diagnose := func(d diagnosis.Diagnosis) error { return fmt.Errorf("oauth: userinfo: %w", &d) }
	res := r.object()
	switch {
	case res.Status == http.StatusUnauthorized:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: diagnosis.Values{"401 from the userinfo endpoint"}})
	case res.Status == http.StatusForbidden:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.APIForbidden, Got: diagnosis.Values{"403 from the userinfo endpoint"}})
	case res.Status >= 300 && res.Status < 400:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Got: diagnosis.Values{fmt.Sprintf("status %d", res.Status)}})
	case !res.isGood(http.StatusOK):
		return nil, res.failed()
	}
	about, err := res.text("sub")
	absent := err == nil && about == "" && len(res.members["sub"]) == 0
	switch {
	case absent && subject == "":
	case err != nil || about == "":
		return nil, res.unusable("sub, a string,", res.what("sub"))
	case subject != "" && about != subject:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.SubjectChanged, Expected: diagnosis.Values{subject}, Got: diagnosis.Values{about}})
	}
	return &Userinfo{Subject: about, Raw: jsontext.Value(bytes.TrimPrefix(res.Body, byteOrderMark)).Clone()}, nil
}

// doProved sends a request with the access token, as Bearer or with a DPoP proof. If
// the server requires a nonce in the proof, the request is sent again with it (RFC
// 9449, section 9).
func (c *Client) doProved(req *http.Request, accessToken secret.String) (*safehttp.Response, error) {
	if c.DPoP == nil {
		req.Header.Set("Authorization", "Bearer "+accessToken.Reveal())
		return c.http().Do(req, responseLimit)
	}
	req.Header.Set("Authorization", "DPoP "+accessToken.Reveal())
	for again := true; ; again = false {
		proof, err := c.DPoP.Proof(req.Method, req.URL.String(), accessToken)
		if err != nil {
			return nil, err
		}
		req.Header.Set("DPoP", proof)
		res, err := c.http().Do(req, responseLimit)
		if err != nil {
			return nil, err
		}
		if fresh := c.DPoP.Learn(req.URL.String(), res.Header); !again || !fresh || res.Status != http.StatusUnauthorized {
			return res, nil
		}
	}
}
