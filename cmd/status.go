package cmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

func newStatus(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "status",
		Long: `Show who is logged in, with what, for how long, and where the session is stored.
An expired access token is refreshed first, as for a call. The exit code is 0
only if there is a usable access token, and otherwise that of the error.`,
		Example: `  # Show the session
  oauthctl status

  # Print when the access token expires
  oauthctl status --jq .expires_at`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), env) },
	}
}

// statusReport is what status --json and login --json show.
type statusReport struct {
	Profile          string       `json:"profile"`
	Usable           bool         `json:"usable"`
	Source           string       `json:"source"`
	Issuer           string       `json:"issuer,omitempty"`
	ClientID         string       `json:"client_id,omitempty"`
	API              string       `json:"api,omitempty"`
	Subject          string       `json:"subject,omitempty"`
	Name             string       `json:"name,omitempty"`
	Scope            []string     `json:"scope,omitempty"`
	ExpiresAt        string       `json:"expires_at,omitempty"`
	RefreshExpiresAt string       `json:"refresh_expires_at,omitempty"`
	Refreshable      bool         `json:"refreshable"`
	Store            *storeReport `json:"store,omitempty"`

	session *account.Session
	place   account.Place
	itself  bool // the client needs no user
}

// storeReport says where a session is stored.
type storeReport struct {
	Kind   string `json:"kind"`
	Path   string `json:"path,omitempty"`
	Sealed bool   `json:"sealed"`
}

// The values of statusReport.Source.
const (
	fromEnvironment = "environment"
	fromSession     = "session"
	fromClient      = "client"
	fromNowhere     = "none"
)

func runStatus(ctx context.Context, env *Env) error {
	a, err := env.currentAccount()
	if err != nil {
		return err
	}
	status, err := a.Status(ctx)
	if err != nil {
		return err
	}
	report := env.reportOf(a, status)
	if !env.global.wantsJSON() {
		showStatus(env.stdout(), report, env.Now())
		return status.Err
	}
	if err := env.printJSON(report); err != nil || status.Err == nil {
		return err
	}
	return printedError{status.Err}
}

func (env *Env) reportOf(a *account.Account, status account.Status) *statusReport {
	p := a.Profile()
	r := &statusReport{
		Profile: p.Name(), API: p.Get(profile.API), Issuer: p.Get(profile.Issuer), ClientID: p.Get(profile.ClientID),
		Usable: status.Err == nil, itself: a.ActsForItself(), session: status.Session,
	}
	s := status.Session
	switch {
	case status.Given:
		r.Source = fromEnvironment
		return r
	case s == nil && r.itself:
		r.Source = fromClient
	case s == nil:
		r.Source = fromNowhere
	default:
		r.Source = fromSession
	}
	place := a.Store().PlaceOf(p.Name())
	r.Store, r.place = &storeReport{string(place.Kind), place.Dir, place.Sealed}, place
	if s == nil {
		return r
	}
	r.Issuer, r.ClientID, r.Subject, r.Name, r.Scope = s.Issuer, s.ClientID, s.Subject, s.Name, s.Scope
	r.Refreshable = !s.RefreshToken.IsZero() || r.itself
	r.ExpiresAt, r.RefreshExpiresAt = timestamp(s.ExpiresAt), timestamp(s.RefreshExpiresAt)
	return r
}

// timestamp formats a time for a program, "" if there is none.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func showStatus(s *screen, r *statusReport, now time.Time) {
	usable := s.bad("no")
	if r.Usable {
		usable = s.good("yes")
	}
	who := r.Subject
	if r.Name != "" && r.Name != r.Subject {
		who = r.Name + " (" + r.Subject + ")"
	}
	source := map[string]string{
		fromEnvironment: "OAUTHCTL_TOKEN, which overrides the session",
		fromSession:     "session",
		fromClient:      "the client's own credentials",
		fromNowhere:     "nowhere: not logged in",
	}[r.Source]
	expires, kept := "", ""
	if r.session != nil {
		expires = expiryText(r.session, r.itself, now, clock)
	}
	if r.Store != nil {
		kept = placeText(r.place)
	}
	s.table([][2]string{
		{"profile", s.strong(r.Profile)},
		{"usable", usable},
		{"token from", source},
		{"user", clean(who)},
		{"issuer", clean(r.Issuer)},
		{"client", clean(r.ClientID)},
		{"API", clean(r.API)},
		{"scopes", clean(strings.Join(r.Scope, " "))},
		{"expires", expires},
		{"stored in", clean(kept)},
	})
}

// expiryText says when the access token expires, formatted with when, and what
// happens then.
func expiryText(s *account.Session, itself bool, now time.Time, when func(t, now time.Time) string) string {
	text := "not known"
	if !s.ExpiresAt.IsZero() {
		text = when(s.ExpiresAt, now)
	}
	switch {
	case s.Revoked:
		text = "revoked"
	case s.RefreshToken.IsZero() && !itself:
		return text + "; no refresh token, so you will have to log in again"
	}
	text += ", refreshed automatically"
	if !s.RefreshExpiresAt.IsZero() {
		text += "; log in again by " + when(s.RefreshExpiresAt, now)
	}
	return text
}
