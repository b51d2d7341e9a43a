package oauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Userinfo is the userinfo endpoint's answer (OpenID Connect Core, section 5.3.2).
type Userinfo struct {
	Subject string
	Raw     jsontext.Value // the whole object as it came
}

// Userinfo asks who the access token is about. subject is the sub of the ID
// token of the same login; the answer must be about the same, or it could be
// somebody else's (OpenID Connect Core, section 5.3.2). Only where there was no
// ID token is subject "". A signed answer (application/jwt) is not supported.
//
// Errors are Diagnoses: SUBJECT_CHANGED, API_UNAUTHORIZED, API_FORBIDDEN,
// TOKEN_ENDPOINT_SHAPE, ENDPOINT_MISSING and those of safehttp.
func (c *Client) Userinfo(ctx context.Context, accessToken secret.String, subject string) (*Userinfo, error) {
	endpoint, err := c.endpoint("userinfo_endpoint", c.server().UserinfoEndpoint)
	if err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", err)
	}
	limit := max(requestTime, c.http().Timeout)
	whole, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(whole, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.doProved(req, accessToken)
	if err != nil {
		return nil, fmt.Errorf("oauth: userinfo: %w", timedOut(ctx, limit, err))
	}
	diagnose := func(d diagnosis.Diagnosis) error { return fmt.Errorf("oauth: userinfo: %w", &d) }
	body, ok := members(res.Body)
	switch {
	case res.Status == http.StatusUnauthorized:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.APIUnauthorized, Got: diagnosis.Values{"401 from the userinfo endpoint"}})
	case res.Status == http.StatusForbidden:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.APIForbidden, Got: diagnosis.Values{"403 from the userinfo endpoint"}})
	case res.Status >= 300 && res.Status < 400:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.RedirectRefused, Got: diagnosis.Values{fmt.Sprintf("status %d", res.Status)}})
	case !ok || res.Status != http.StatusOK || body["error"] != nil:
		return nil, failed(&reply{res, []param{{"access_token", accessToken}}}, body)
	}
	about, ok := text(body["sub"])
	switch {
	case !ok || about == "":
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.TokenEndpointShape, Expected: diagnosis.Values{"sub"}, Got: diagnosis.None})
	case subject != "" && about != subject:
		return nil, diagnose(diagnosis.Diagnosis{ID: diagnosis.SubjectChanged, Expected: diagnosis.Values{subject}, Got: diagnosis.Values{about}})
	}
	return &Userinfo{Subject: about, Raw: jsontext.Value(res.Body).Clone()}, nil
}

// doProved sends a request with the access token: as Bearer, or with a proof,
// once more if the server first wants a nonce in it (RFC 9449, section 9).
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
