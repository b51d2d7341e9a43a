package cmd

import (
	"net/url"

	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// guardLogoutFlags say where logout tokens are received.
type guardLogoutFlags struct {
	path      string
	clientIDs []string
}

func (l *guardLogoutFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&l.path, "backchannel-logout", "", "accept the issuer's logout tokens at this `PATH`, and revoke the session's\ntokens (OpenID Connect Back-Channel Logout); needs --revocations")
	f.StringArrayVar(&l.clientIDs, "backchannel-client-id", nil, "a client `ID` to which the issuer sends logout tokens (repeatable)")
}

func (l guardLogoutFlags) fill(c *guard.Config, store *redis.Store) error {
	switch {
	case l.path == "" && l.clientIDs == nil:
		return nil
	case l.path == "":
		return &usageError{what: "--backchannel-client-id needs --backchannel-logout", hint: "--backchannel-logout /backchannel-logout"}
	case policy.CheckPath(&url.URL{Path: l.path}) != nil || (&url.URL{Path: l.path}).EscapedPath() != l.path:
		return usage("--backchannel-logout: expected a path such as /backchannel-logout, got %q", l.path)
	case len(l.clientIDs) == 0:
		return &usageError{what: "--backchannel-logout needs the client of the logout tokens", hint: "--backchannel-client-id ID, the client that users log in with"}
	case store == nil:
		return &usageError{what: "--backchannel-logout needs --revocations, where every instance finds what is revoked", hint: "--revocations redis://127.0.0.1:6379/0"}
	}
	c.Logout = &guard.Logout{Path: l.path, ClientIDs: l.clientIDs, Store: store}
	return nil
}
