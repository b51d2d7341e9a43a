package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oauthctl/oauthctl/pkg/challenge"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// session checks the stored session: whether it is for this API and issuer, and
// whether its token is valid. It does not refresh the token.
func (e *examination) session(ctx context.Context) finding {
	a := e.config.Account
	switch {
	case e.config.Recording != nil:
		return finding{} // a recording contains no tokens
	case a == nil:
		return skipped("not logged in")
	}
	t, err := a.Stored()
	var d *diagnosis.Diagnosis
	switch {
	case errors.As(err, &d) && d.ID == diagnosis.LoginRequired:
		return skipped("not logged in")
	case err != nil:
		return failedWith(err, nil)
	}
	var issuer, api string
	if s, err := a.Session(); err == nil && !t.Given {
		issuer, api = s.Issuer, s.API
		if s.Revoked || s.AccessToken.IsZero() {
			return e.ended(diagnosis.Revoked, "the session's access token was revoked", !s.RefreshToken.IsZero())
		}
		if !s.Lives(e.now(), 0) {
			return e.ended(diagnosis.Expired, "the access token expired at "+s.ExpiresAt.UTC().Format(time.RFC3339), !s.RefreshToken.IsZero() || a.ActsForItself())
		}
	}
	api = cmp.Or(api, a.Profile().Get(profile.API))
	switch {
	case e.kind == Issuer && issuer != e.config.URL && issuer != "":
		return skipped("the session of profile " + a.Profile().Name() + " is from another issuer")
	case e.kind != Issuer && originOf(api) != originOf(e.config.URL):
		return skipped("the session of profile " + a.Profile().Name() + " is for another API")
	case e.server != nil && issuer != "" && issuer != e.server.Issuer && e.issuerListed:
		f := failed(diagnosis.SessionElsewhere, "the session is from another issuer than the API's", nil)
		f.expected, f.got = diagnosis.Values{e.server.Issuer}, diagnosis.Values{issuer}
		return f
	}
	e.token = t
	return e.verify(ctx, t.Value.Reveal())
}

// ended returns the result for a session whose access token has expired or was
// revoked.
func (e *examination) ended(id diagnosis.ID, text string, refreshable bool) finding {
	if refreshable {
		f := noted(text + "; the next call refreshes it")
		f.id = id
		e.token = nil
		return f
	}
	f := failed(diagnosis.LoginRequired, text+" and cannot be refreshed", nil)
	f.expected, f.got = diagnosis.Values{"a valid access token"}, diagnosis.Values{text}
	return f
}

// verify verifies a JWT with the keys of the issuer, then its audience and scopes. An
// API may expect another audience than its metadata says, so a different audience is
// only a note, unless the API refuses the token: see blameAudience.
func (e *examination) verify(ctx context.Context, raw string) finding {
	if _, err := token.Decode(raw); err != nil || e.keys == nil || e.server == nil {
		return passed("there is an access token; only its issuer can verify it")
	}
	inspector, err := token.NewInspector(e.server.Issuer, nil, e.keys, token.Options{Now: e.config.Now})
	if err != nil {
		return failedWith(err, nil)
	}
	report := inspector.Report(ctx, raw)
	if err := report.Err(); err != nil {
		return failedWith(err, nil)
	}
	return e.intended(ctx, raw)
}

// intended compares the audience and the scopes of a valid token with what the API
// publishes about itself.
func (e *examination) intended(ctx context.Context, raw string) finding {
	t, err := token.Decode(raw)
	if err != nil || e.resource == nil {
		return passed("the access token is valid")
	}
	inspector, err := token.NewInspector(e.server.Issuer, []string{e.resource.Resource}, e.keys, token.Options{Now: e.config.Now})
	if err != nil {
		return failedWith(err, nil)
	}
	if err := inspector.Check(ctx, raw); err != nil {
		e.intent = failedWith(err, nil).fixedBy("request a token for the resource " + e.resource.Resource)
		f := e.intent
		f.status, f.text = Note, "valid, but not issued for the API's resource"
		return f
	}
	lacks := func(scope string) bool { return !t.HasScope(scope) }
	if asked := e.resource.ChallengeScope; len(t.Scopes()) > 0 && slices.ContainsFunc(asked, lacks) {
		f := noted("valid, but without scopes that the API's challenge requests")
		f.id, f.expected, f.got = diagnosis.ScopeMissing, asked, t.Scopes()
		return f
	}
	return passed("the access token is valid")
}

// call sends the session's token to its own API.
func (e *examination) call(ctx context.Context) finding {
	if e.config.Recording != nil {
		return e.recalled(ctx)
	}
	switch {
	case e.config.NoToken:
		return skipped("the token must not be sent")
	case e.token == nil:
		return skipped("no valid access token")
	}
	r := &Request{Method: http.MethodGet, URL: e.config.URL, Header: acceptAnything(), HasToken: true}
	access := e.token.ForAPI()
	a, _, err := e.send(ctx, r, access.Authorize)
	if err == nil && access.Prover != nil && access.Prover.Learn(r.URL, a.header) && a.status == http.StatusUnauthorized {
		a, _, err = e.send(ctx, r, access.Authorize) // with the server's nonce (RFC 9449, section 9)
	}
	return e.accepted(a, r, err)
}

// recalled is like call, with the recorded request that had a token, if there is one.
func (e *examination) recalled(ctx context.Context) finding {
	r, ok := e.config.Recording.called(e.config.URL)
	if !ok {
		return finding{}
	}
	a, _, err := e.send(ctx, r, func(req *http.Request) error {
		req.Header.Set("Authorization", "recorded")
		return nil
	})
	return e.accepted(a, r, err)
}

// accepted returns what the response to a request with a token shows.
func (e *examination) accepted(a *answer, r *Request, err error) finding {
	if err != nil {
		return failedWith(err, r)
	}
	all, _ := challenge.Parse(a.header.Values("WWW-Authenticate"))
	reason := ""
	for _, c := range all {
		reason = cmp.Or(reason, c.Get("error_description"), c.Get("error"))
	}
	switch a.status {
	case http.StatusUnauthorized:
		f := failed(diagnosis.APIUnauthorized, "the API does not accept the session's token", r)
		f.expected, f.got = diagnosis.Values{"neither 401 nor 403"}, diagnosis.Values{strings.TrimSpace("401 " + diagnosis.Shorten(reason, 200))}
		if e.refused = true; e.intent.status == Failed {
			f.text += "; it was not issued for the API's resource"
			return f.by(You).fixedBy(e.intent.fix)
		}
		return f
	case http.StatusForbidden:
		f := failed(diagnosis.ScopeMissing, "the session's token does not allow this request", r).by(You)
		f.got = diagnosis.Values{strings.TrimSpace("403 " + diagnosis.Shorten(reason, 200))}
		for _, c := range all {
			if scope := c.Get("scope"); scope != "" {
				f.expected = diagnosis.Values{scope}
			}
		}
		return f
	}
	return passed(fmt.Sprintf("%s with the session's token", statusText(a.status)))
}

// blameAudience turns the note that the token was not issued for the API's resource
// (RFC 8707) into a failure, if the API has refused the token.
func (e *examination) blameAudience(report *Report) {
	i := slices.IndexFunc(report.Results, func(r Result) bool { return r.Name == Session })
	if i >= 0 && e.intent.status == Failed && e.refused {
		row := slices.IndexFunc(rungs(), func(r rung) bool { return r.name == Session })
		report.Results[i] = e.result(rungs()[row], e.intent)
	}
}
