package cmd

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/oauthctl/oauthctl/pkg/account"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/discovery"
	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// hintContext is what a hint depends on: the fault, and how this run was called,
// so that a command in a hint acts on the same profile.
type hintContext struct {
	*diagnosis.Diagnosis
	profile string         // to pass with -p, "" if a command needs no -p
	config  string         // what --config said
	nowhere bool           // the profile has neither an API nor a server
	ci      bool           // this is a CI job
	keys    string         // what the keys are from, "" for the profile's issuer
	named   *namedCommands // collects the commands that the hint names; nil does not
}

// namedCommands are the commands that a hint names.
type namedCommands struct {
	args [][]string
	text []string // as they are in the hint
}

// hintContext returns what a hint to d depends on. The profile is named unless a
// later command would choose it without being asked.
func (env *Env) hintContext(d *diagnosis.Diagnosis) hintContext {
	c := hintContext{Diagnosis: d, profile: env.global.profile, config: env.global.config, ci: env.inCI(), keys: env.keys, named: new(namedCommands)}
	c.nowhere = env.resolved != nil && env.resolved.Server() == "" && env.resolved.Get(profile.API) == ""
	if p := env.resolved; p != nil && c.profile == "" && p.NameOrigin() == profile.Environment {
		c.profile = p.Name()
	}
	return c
}

// command returns a command of oauthctl for a hint, with the profile of this run.
func (env *Env) command(args ...string) string { return env.hintContext(nil).run(args...) }

// run returns a command of oauthctl, quoted for a shell, with the profile and
// the configuration of this run. A login without a URL gets one if the profile
// does not say where to log in.
func (c hintContext) run(args ...string) string {
	named := args
	if c.nowhere && args[0] == "login" && (len(args) == 1 || strings.HasPrefix(args[1], "-")) {
		args = slices.Insert(slices.Clone(args), 1, "URL")
	}
	if c.profile != "" {
		args = append(args, "-p", c.profile)
	}
	if c.config != "" {
		args = append(args, "--config", c.config)
	}
	command := "oauthctl"
	for _, arg := range args {
		command += " " + shellQuote(arg)
	}
	if c.named != nil {
		c.named.args, c.named.text = append(c.named.args, named), append(c.named.text, command)
	}
	return command
}

// showKeys is the command that shows the keys of this run.
func (c hintContext) showKeys() string {
	if c.keys == "" {
		return c.run("jwks", "show")
	}
	return c.run("jwks", "show", c.keys)
}

// first returns the first of the values, or otherwise if there is none, as in
// the documentation of an id.
func first(values diagnosis.Values, otherwise string) string {
	if len(values) == 0 {
		return otherwise
	}
	return values[0]
}

// hintFor returns the hint for d, and the commands in it: the hint of the
// table, or otherwise the catalogue's fix. A hint must not be the command that
// just failed, if that only shows things and would fail again.
func (env *Env) hintFor(d *diagnosis.Diagnosis) (hint string, commands []string) {
	c := env.hintContext(d)
	hint = commandHint(c)
	if hint == "" || env.failed != nil && env.failed.Annotations[onlyShows] != "" && slices.ContainsFunc(c.named.args, env.isFailed) {
		entry, _ := diagnosis.Lookup(d.ID)
		return entry.Fix, nil
	}
	return hint, c.named.text
}

// isFailed reports whether args run the command that has failed, with nothing
// that could change the result.
func (env *Env) isFailed(args []string) bool {
	return env.failed != nil && slices.Equal(args, strings.Fields(env.failed.CommandPath())[1:])
}

// onlyShows is the annotation of a command that changes nothing, so that it
// fails again with the same input.
const onlyShows = "only shows"

// commandHint returns which command to run or which flag to change for a fault,
// or "" if neither helps. A new hint is one row here. The texts of the
// catalogue are for every reader and contain no commands.
func commandHint(c hintContext) string {
	for _, part := range []func(hintContext) string{
		refusalHint, hintContext.tokenHint, hintContext.accessHint, hintContext.loginHint, hintContext.serverHint, hintContext.storeHint,
	} {
		if hint := part(c); hint != "" {
			return hint
		}
	}
	return ""
}

// tokenHint is the part of the table for faults of a token.
func (c hintContext) tokenHint() string {
	switch c.ID {
	case diagnosis.TokenMissing:
		return "check the command that produced the token; `oauthctl token` prints nothing to stdout if it fails, and the reason to stderr"
	case diagnosis.OpaqueToken:
		return "ask the server that issued it: " + c.run("introspect", "-")
	case diagnosis.OpaqueAuth0:
		return "log in with the API identifier: " + c.run("login", "--audience", "API-IDENTIFIER")
	case diagnosis.Malformed, diagnosis.FormatUnsupported, diagnosis.HeaderInvalid, diagnosis.DuplicateMember, diagnosis.MemberCase, diagnosis.CritUnsupported:
		return "see what can be read, and each reason why it is refused: " + c.run("decode", "-")
	case diagnosis.PayloadInvalid:
		return "if the payload is not a set of claims, verify it with --jws"
	case diagnosis.AlgNotAllowed:
		return "if the algorithm is meant to be used, add it with --alg or in the policy's algorithms"
	case diagnosis.TypRefused:
		return "to accept such tokens on purpose, give their typ with --typ or their kind with --accept"
	case diagnosis.IDTokenAsAccess:
		return "send the access token of the same response; for an issuer whose access tokens look like this, --accept id_token"
	case diagnosis.AlgMismatch, diagnosis.KidUnknown:
		return "compare the token's iss, alg and kid with the keys: " + c.showKeys()
	case diagnosis.HSTokenNoSecret:
		return "give the secret with --secret-file, or let the issuer sign with RS256, ES256 or EdDSA"
	case diagnosis.KeySetEmpty:
		return "see why each key was skipped: " + c.showKeys()
	case diagnosis.Expired:
		return "get a new token: " + c.run("token", "--refresh")
	case diagnosis.NotYetValid, diagnosis.ClockSkew:
		return "compare the clocks of this machine and of the issuer; --leeway allows for a difference"
	case diagnosis.IssSlash:
		return "use the issuer as its metadata writes it, if that is the server you mean: " + c.run("discover", first(c.Got, "URL"))
	case diagnosis.AudMissing, diagnosis.AudMismatch:
		return "log in for this API with --audience or --resource, or expect the audience that the issuer uses"
	case diagnosis.EntraAudForm:
		return "expect both forms: repeat --audience, or list both in the policy"
	case diagnosis.ClaimMissing:
		return "have the issuer add the claim, or do not require it with --require"
	case diagnosis.Revoked, diagnosis.LoginRequired, diagnosis.GrantInvalid:
		return c.run("login")
	case diagnosis.NotChecked:
		return "say what is expected, for instance with --audience"
	case diagnosis.DPoPMissing:
		return "`oauthctl call` sends a proof for a session of `oauthctl login --dpop`"
	case diagnosis.TypUnknown:
		return "configure the expected type with --typ if it has to be exact"
	case diagnosis.TrustUnknown:
		if len(c.Got) == 1 {
			return "if you trust the issuer that the token claims: " + c.run("verify", "--issuer", c.Got[0])
		}
		return "pass --issuer URL, --jwks, --key or --secret-file"
	}
	return ""
}

// accessHint is the part of the table for what a token allows.
func (c hintContext) accessHint() string {
	switch c.ID {
	case diagnosis.APIUnauthorized:
		return "verify the same token, and compare issuer and audience with what the API expects: " + c.run("verify")
	case diagnosis.CredentialsMissing:
		return "`oauthctl call` sends the session's token"
	case diagnosis.ScopeMissing:
		if c.Diagnosis != nil && len(c.Expected) == 0 && len(c.Got) > 0 {
			return "the API does not say which scope is missing; its documentation does"
		}
		args := []string{"login"}
		for _, scope := range strings.Fields(first(c.Expected, "SCOPE")) {
			args = append(args, "--add-scope", scope)
		}
		return c.run(args...)
	case diagnosis.ScopeClaimName:
		claim := first(c.Got, "CLAIM")
		return "if that claim is meant: --scope-claim " + shellQuote(claim) + ", or in the policy scope_claims: [" + yamlText(claim) + "]"
	case diagnosis.DetailsMissing:
		return c.run("login", "--param", "authorization_details=["+first(c.Expected, "DETAIL")+"]")
	case diagnosis.StepUpRequired:
		return "log in again as the challenge asks, with --acr-values or --max-age"
	case diagnosis.APIForbidden:
		return "ask the API's owner which permission is missing; `oauthctl decode` shows what the token contains"
	case diagnosis.APIError:
		return "read the body; -v shows the complete exchange"
	}
	return ""
}

// loginHint is the part of the table for faults of a login and its session.
func (c hintContext) loginHint() string {
	switch c.ID {
	case diagnosis.ServerUnknown:
		return "give the URL of the API or of the issuer: " + c.run("login", "URL") + "; to try it, start `oauthctl dev`"
	case diagnosis.ConfigInsecure:
		if errors.Is(c.Diagnosis, profile.ErrOtherOwner) {
			return "make a copy of your own and use it: the owner of " + shellQuote(first(c.Got, "FILE")) + " can change it at any time"
		}
		return "chmod go-w " + shellQuote(first(c.Got, "FILE"))
	case diagnosis.ConfigUnwritable:
		return "set HOME or XDG_CONFIG_HOME, or use another file with --config FILE"
	case diagnosis.CredentialElsewhere:
		return "configure it for this server (`oauthctl profile set`), or unset the variable that is for another one"
	case diagnosis.SessionElsewhere:
		return c.run("login") + ", or unset the variable or flag that differs"
	case diagnosis.NoRefreshToken:
		return c.run("login") + "; some servers give a refresh token only with --scope offline_access, --prompt consent or --param access_type=offline"
	case diagnosis.RefreshRefused, diagnosis.ClientForgotten:
		return c.run("login")
	case diagnosis.NotRevoked:
		return "end the session on the server's account page if that matters; -v shows what the server answered"
	case diagnosis.RedirectUnusable:
		return "--redirect-uri http://127.0.0.1:0/callback uses a free port"
	case diagnosis.LoginTimeout:
		return "log in again, with more time if needed: " + c.run("login", "--login-timeout", "10m")
	case diagnosis.RedirectMismatch:
		return "register the redirect URI exactly as printed, or log in with the registered one: " + c.run("login", "--redirect-uri", "URI")
	case diagnosis.NoBrowser:
		if c.ci {
			return "a CI job logs in without a user: " + c.run("login", "URL", "--grant-type", "client_credentials", "--client-id", "ID", "--client-secret-file", "FILE")
		}
		return "use " + c.run("login", "--device") + ", or run the login in a terminal and paste the redirect URL, " +
			"or use --no-browser with `ssh -L PORT:127.0.0.1:PORT`"
	case diagnosis.RefreshReused:
		return "run the command again; if it fails again: " + c.run("login")
	}
	return ""
}

// serverHint is the part of the table for faults of servers and of the way to
// them.
func (c hintContext) serverHint() string {
	switch c.ID {
	case diagnosis.Unreachable:
		return c.unreachableHint()
	case diagnosis.ProxyRefused:
		return "check HTTPS_PROXY and the proxy's user name and password, or list the host in NO_PROXY"
	case diagnosis.TLSMissing:
		return c.plainHint()
	case diagnosis.Timeout:
		return "try again, with a longer --timeout if the server is known to be slow"
	case diagnosis.TLSUntrusted:
		return "if a private CA issued the certificate, trust that CA with --ca-cert FILE"
	case diagnosis.KeySetInvalid:
		return "use the jwks_uri that the issuer publishes: " + c.run("discover", "ISSUER")
	case diagnosis.KeysUnavailable:
		return "try again later; -v shows what the server answers"
	case diagnosis.StateMismatch, diagnosis.NonceMismatch:
		return "log in again and finish in the browser window that opens: " + c.run("login")
	case diagnosis.IssParam, diagnosis.MetadataInvalid:
		return "see each check of the metadata: " + c.run("discover")
	case diagnosis.IDTokenMissing:
		return "leave openid out of --scope, or fix the server's client registration"
	case diagnosis.SubjectChanged:
		return c.run("logout") + ", then " + c.run("login")
	case diagnosis.DCRInvalid, diagnosis.NoRegistrationPath, diagnosis.DCRRefused:
		return "create a native or desktop client in the server's console, then " + c.run("login", "--client-id", "ID")
	case diagnosis.EndpointMoved:
		return "if the move is known to be right, begin a new session: " + c.run("login")
	case diagnosis.DPoPDowngrade:
		return "log in without --dpop if a Bearer token is enough; otherwise the server's operator has to enable DPoP for this client"
	case diagnosis.MetadataNotFound:
		if at := (*discovery.ServerAtOrigin)(nil); errors.As(c.Diagnosis, &at) {
			return "if that server is the API's: " + c.run("login", at.Issuer, "--api", at.API)
		}
		return "use the issuer's or the API's exact URL; `oauthctl discover URL` shows each place that was tried"
	case diagnosis.IssDiscoveryMismatch:
		return "if the metadata is that of the issuer you mean: " + c.run("profile", "set", "issuer="+first(c.Got, "ISSUER"), "metadata_url=URL") + ", then " + c.run("login")
	case diagnosis.ClientRefused:
		return "check --client-id, the secret and --auth-method against the server's registration"
	case diagnosis.ScopeRefused:
		return "request only scopes that the server offers: " + c.run("discover")
	case diagnosis.ResourceRefused:
		return "correct --resource, or leave it out with --no-resource"
	case diagnosis.OriginRefused:
		return "use a path of the API, or --allow-origin URL if that origin may have the token; --no-token sends none"
	case diagnosis.ClientIncomplete:
		for _, grant := range account.GrantTypes() {
			if key, ok := account.Presents(grant); ok && first(c.Expected, "") == string(key) {
				flag := "--" + strings.ReplaceAll(string(key), "_", "-")
				return "say where it is: " + c.run("login", "--grant-type", grant, flag, "@FILE") + ", or set " + key.Variable()
			}
		}
		return "pass --client-id, and --client-secret-file or --signing-key as the --auth-method needs"
	case diagnosis.EndpointMissing:
		endpoint := first(c.Expected, "token_endpoint")
		if _, ok := profile.Lookup(profile.Key(endpoint)); ok {
			return "if the server has one that its metadata lacks: " + c.run("profile", "set", endpoint+"=URL")
		}
		return "see what the server offers: " + c.run("discover")
	}
	return ""
}

// unreachableHint is for a server that did not accept a connection; on this
// machine it usually does not run.
func (c hintContext) unreachableHint() string {
	u, err := url.Parse(first(c.Got, ""))
	if err != nil || !safehttp.IsLoopback(u.Hostname()) || !errors.Is(c.Diagnosis, syscall.ECONNREFUSED) {
		return ""
	}
	return "is the server running? `oauthctl dev` starts the development server"
}

// plainHint is for a server that speaks no TLS.
func (c hintContext) plainHint() string {
	rest, https := strings.CutPrefix(first(c.Got, ""), "https://")
	if !https {
		return ""
	}
	return "if the server has no TLS, write http://" + rest
}
