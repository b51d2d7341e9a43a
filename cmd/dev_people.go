package cmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/devserver"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// devPeople are the users and clients of a development server.
type devPeople struct {
	users, clients           []string
	userClaims, clientClaims []string
}

func (o *devPeople) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.users, "user", nil, "add the user `NAME[:PASSWORD]` (repeatable; @FILE has one per line, @FILE.yaml a list with claims)")
	f.StringArrayVar(&o.userClaims, "user-claim", nil, "add a claim to a user's tokens: `NAME:KEY=VALUE` or NAME:KEY:=JSON (repeatable)")
	f.StringArrayVar(&o.clients, "client", nil, "register the client `ID[:SECRET][,REDIRECT_URI...]` (repeatable; @FILE has one per line, @FILE.yaml a list with claims)")
	f.StringArrayVar(&o.clientClaims, "client-claim", nil, "add a claim to a client's tokens: `ID:KEY=VALUE` or ID:KEY:=JSON (repeatable)")
}

// people returns the users and clients of the flags, with their claims.
func (o *devPeople) people() (users []devserver.User, clients []devserver.Client, err error) {
	for _, value := range o.users {
		more, err := readUsers(value)
		if err != nil {
			return nil, nil, usage("--user: %w", err)
		}
		users = append(users, more...)
	}
	for _, value := range o.clients {
		more, err := readClients(value)
		if err != nil {
			return nil, nil, usage("--client: %w", err)
		}
		clients = append(clients, more...)
	}
	err = addClaimsTo("--user-claim", o.userClaims, func(name string) (*map[string]any, error) {
		i := slices.IndexFunc(users, func(u devserver.User) bool { return u.Name == name })
		if i < 0 {
			known := devserver.DefaultUsers()
			j := slices.IndexFunc(known, func(u devserver.User) bool { return u.Name == name })
			if j < 0 {
				return nil, fmt.Errorf("unknown user %q; add --user %s", name, name)
			}
			users = append(users, known[j])
			i = len(users) - 1
		}
		return &users[i].Claims, nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = addClaimsTo("--client-claim", o.clientClaims, func(id string) (*map[string]any, error) {
		i := slices.IndexFunc(clients, func(c devserver.Client) bool { return c.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("unknown client; add --client %s", id)
		}
		return &clients[i].Claims, nil
	})
	return users, clients, err
}

// addClaimsTo parses values of the form OWNER:KEY=VALUE, and adds each claim to the
// map that find returns for its owner.
func addClaimsTo(flag string, values []string, find func(owner string) (*map[string]any, error)) error {
	for _, text := range values {
		owner, claim, ok := strings.Cut(text, ":")
		if !ok || owner == "" || !strings.Contains(claim, "=") {
			return usage("%s: expected NAME:KEY=VALUE or NAME:KEY:=JSON, got %q", flag, text)
		}
		claims, err := find(owner)
		if err != nil {
			return usage("%s: %w", flag, err)
		}
		if *claims == nil {
			*claims = map[string]any{}
		}
		if err := addMember(*claims, claim); err != nil {
			return usage("%s: expected NAME:KEY=VALUE or NAME:KEY:=JSON, got %q", flag, text)
		}
	}
	return nil
}

// userEntry is a user in a YAML or JSON file.
type userEntry struct {
	Name     string         `yaml:"name"`
	Password string         `yaml:"password"`
	FullName string         `yaml:"full_name"`
	Email    string         `yaml:"email"`
	Claims   map[string]any `yaml:"claims"`
}

func readUsers(value string) ([]devserver.User, error) {
	var entries []userEntry
	if isList, err := readList(value, &entries); isList || err != nil {
		var users []devserver.User
		for _, e := range entries {
			users = append(users, devserver.User{Name: e.Name, Password: e.Password, FullName: e.FullName, Email: e.Email, Claims: e.Claims})
		}
		return withNames(users), err
	}
	lines, err := listed(value)
	if err != nil {
		return nil, err
	}
	var users []devserver.User
	for _, line := range lines {
		name, password, _ := strings.Cut(line, ":")
		if name == "" {
			return nil, errors.New("expected NAME[:PASSWORD], got an empty name")
		}
		users = append(users, devserver.User{Name: name, Password: password})
	}
	return withNames(users), nil
}

// withNames sets missing full names and email addresses, for the claims of the scopes
// profile and email.
func withNames(users []devserver.User) []devserver.User {
	for i, u := range users {
		if u.FullName == "" {
			users[i].FullName = u.Name
		}
		if u.Email == "" {
			users[i].Email = u.Name + "@example.com"
		}
	}
	return users
}

// clientEntry is a client in a YAML or JSON file.
type clientEntry struct {
	ID                     string         `yaml:"id"`
	Secret                 string         `yaml:"secret"`
	RedirectURIs           []string       `yaml:"redirect_uris"`
	PostLogoutRedirectURIs []string       `yaml:"post_logout_redirect_uris"`
	Claims                 map[string]any `yaml:"claims"`
}

func readClients(value string) ([]devserver.Client, error) {
	var entries []clientEntry
	if isList, err := readList(value, &entries); isList || err != nil {
		var clients []devserver.Client
		for _, e := range entries {
			clients = append(clients, devserver.Client(e))
		}
		return clients, err
	}
	lines, err := listed(value)
	if err != nil {
		return nil, err
	}
	var clients []devserver.Client
	for _, line := range lines {
		parts := strings.Split(line, ",")
		id, password, _ := strings.Cut(parts[0], ":")
		clients = append(clients, devserver.Client{ID: id, Secret: password, RedirectURIs: slices.Clip(parts[1:])})
	}
	return clients, nil
}

const devFileLimit = 1 << 20 // bytes

// readList reads a list of entries if the value is @FILE.yaml or @FILE.json. It
// reports whether it is.
func readList(value string, entries any) (bool, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile || !slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))) {
		return false, nil
	}
	data, err := readFile(path, devFileLimit)
	if err != nil {
		return true, err
	}
	if err := yaml.Load(data, entries, yaml.WithKnownFields()); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// listed returns the value, or for @FILE the lines of the file except empty ones
// and those that begin with #.
func listed(value string) ([]string, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return []string{value}, nil
	}
	data, err := readFile(path, devFileLimit)
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all, nil
}

// readTrust parses the values of --trust: ISSUER=URL, or ISSUER=FILE with a key set
// or a public key.
func readTrust(values []string) ([]devserver.TrustedIssuer, error) {
	var all []devserver.TrustedIssuer
	for _, value := range values {
		issuer, keys, ok := strings.Cut(value, "=")
		if !ok || issuer == "" || keys == "" {
			return nil, usage("--trust: expected ISSUER=KEYS with a URL or a file, got %q", value)
		}
		one := devserver.TrustedIssuer{Issuer: issuer}
		if strings.HasPrefix(keys, "http://") || strings.HasPrefix(keys, "https://") {
			one.JWKSURI = keys
			all = append(all, one)
			continue
		}
		data, err := readFile(keys, devFileLimit)
		if err != nil {
			return nil, usage("--trust: %w", err)
		}
		if one.Keys, err = jwks.Parse(data); err != nil {
			key, keyErr := jwks.ParsePublic(data)
			if keyErr != nil {
				return nil, usage("--trust: %s is neither a key set nor a public key", keys)
			}
			one.Keys = jwks.NewSet(key)
		}
		all = append(all, one)
	}
	return all, nil
}
