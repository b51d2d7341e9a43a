package cmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/session"
)

func newStatus(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "status",
		Long: `Show who is logged in, with what, for how long, and where it is kept. The exit
code is 0 only if an API could be called now.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), env) },
	}
}

// statusReport is what status --json shows.
type statusReport struct {
	Profile     string   `json:"profile"`
	Usable      bool     `json:"usable"`
	Source      string   `json:"source"`
	Issuer      string   `json:"issuer,omitempty"`
	ClientID    string   `json:"client_id,omitempty"`
	API         string   `json:"api,omitempty"`
	Subject     string   `json:"subject,omitempty"`
	Name        string   `json:"name,omitempty"`
	Scope       []string `json:"scope,omitempty"`
	ExpiresAt   string   `json:"expires_at,omitempty"`
	Refreshable bool     `json:"refreshable"`
	Store       string   `json:"store"`

	expires time.Time
}

func runStatus(_ context.Context, env *Env) error {
	r, err := env.resolve()
	if err != nil {
		return err
	}
	report, err := env.status(r)
	if err != nil {
		return err
	}
	if env.global.wantsJSON() {
		if err := env.printJSON(report); err != nil {
			return err
		}
	} else {
		showStatus(env.stdout(), report, env.Now())
	}
	if !report.Usable {
		unusable := loginRequired(r)
		if env.global.wantsJSON() {
			return told{unusable}
		}
		return unusable
	}
	return nil
}

func (env *Env) status(r *resolved) (*statusReport, error) {
	report := &statusReport{Profile: r.name, API: r.API, Issuer: r.Issuer, ClientID: r.ClientID}
	if !env.environmentToken().IsZero() {
		report.Usable, report.Source, report.Store = true, "OAUTHCTL_TOKEN, which wins over the session", "none"
		return report, nil
	}
	store, err := env.store(r.Store)
	if err != nil {
		return nil, err
	}
	report.Store, report.Source = placeText(store.PlaceOf(r.name)), "session"
	s, err := store.Load(r.name)
	switch {
	case errors.Is(err, session.ErrNotFound):
		report.Source = "no session"
		if r.actsForItself(nil) {
			report.Usable, report.Source = true, "the client's own credentials"
		}
		return report, nil
	case err != nil:
		return nil, err
	}
	report.Issuer, report.ClientID, report.Subject, report.Name, report.Scope = s.Issuer, s.ClientID, s.Subject, s.Name, s.Scope
	report.Refreshable, report.expires = !s.RefreshToken.IsZero(), s.ExpiresAt
	report.Usable = report.Refreshable || s.Lives(env.Now(), 0) || r.actsForItself(s)
	if !s.ExpiresAt.IsZero() {
		report.ExpiresAt = s.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return report, nil
}

func showStatus(s *screen, r *statusReport, now time.Time) {
	usable := s.bad("no")
	if r.Usable {
		usable = s.good("yes")
	}
	expires := ""
	if !r.expires.IsZero() {
		expires = clock(r.expires, now)
		if r.Refreshable {
			expires += ", renewed by itself"
		}
	}
	who := r.Subject
	if r.Name != "" && r.Name != r.Subject {
		who = r.Name + " (" + r.Subject + ")"
	}
	s.table([][2]string{
		{"profile", s.strong(r.Profile)},
		{"usable", usable},
		{"token from", r.Source},
		{"user", clean(who)},
		{"issuer", clean(r.Issuer)},
		{"client", clean(r.ClientID)},
		{"API", clean(r.API)},
		{"scopes", clean(strings.Join(r.Scope, " "))},
		{"expires", expires},
		{"kept in", clean(r.Store)},
	})
}
