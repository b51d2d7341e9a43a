package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// maxFile is the size limit of a profile file in bytes.
const maxFile = 1 << 20

// File is a profile file. Its YAML tree is retained, so that comments and order
// survive a change.
type File struct {
	path     string
	tree     *yaml.Node // the top mapping
	current  string
	profiles map[string]Values
}

// Load reads a profile file. If it does not exist, or path is "", the result is
// empty. A file that other users can change is refused, because it decides
// where secrets are sent and which commands are run. Errors are Diagnoses:
// CONFIG_INVALID or CONFIG_INSECURE.
func Load(path string) (*File, error) {
	empty := &File{path: path, tree: newMapping(), profiles: map[string]Values{}}
	if path == "" {
		return empty, nil
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return empty, nil
	case err != nil:
		return nil, invalid(path, bare(err))
	}
	defer f.Close()
	if err := checkOwner(f, path); err != nil {
		return nil, err
	}
	data, err := readAtMost(f, path, maxFile)
	if err != nil {
		return nil, invalid(path, bare(err))
	}
	parsed, err := Parse(data)
	if err != nil {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Err: fmt.Errorf("%s:%w", path, err)}
	}
	parsed.path = path
	return parsed, nil
}

// ReadCredential reads a file with a secret, a key or a token to which a setting
// refers. A file that other users own or can change is refused, because they could
// put in a credential of their own: CONFIG_INSECURE. Who can write its directory is
// not checked: a file that such a user puts there is refused, but not a link to a
// file that you or root own.
func ReadCredential(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkFile(f, path); err != nil {
		return nil, err
	}
	return readAtMost(f, path, limit)
}

func readAtMost(r io.Reader, path string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, err
}

// bare returns an error without its path, which is already part of the message.
func bare(err error) string {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Err.Error()
	}
	return err.Error()
}

// Parse parses a profile file. Errors begin with line:column.
func Parse(data []byte) (*File, error) {
	c := &File{tree: newMapping(), profiles: map[string]Values{}}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, fmt.Errorf(" %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("1:1: expected the keys current and profiles")
	}
	c.tree = document.Content[0]
	if err := unique(c.tree); err != nil {
		return nil, err
	}
	for key, value := range pairs(c.tree) {
		switch key.Value {
		case "current":
			c.current = value.Value
		case "profiles":
			for name, body := range pairs(value) {
				values, err := parseProfile(body)
				if err != nil {
					return nil, err
				}
				if err := CheckName(name.Value); err != nil {
					return nil, at(name, "%w", err)
				}
				c.profiles[name.Value] = values
			}
		default:
			return nil, at(key, "unknown key %q, expected current or profiles", key.Value)
		}
	}
	return c, nil
}

func parseProfile(body *yaml.Node) (Values, error) {
	values := Values{}
	if body.Kind != yaml.MappingNode && body.Tag != "!!null" {
		return nil, at(body, "expected the profile's keys")
	}
	if body.Kind != yaml.MappingNode {
		*body = *newMapping()
	}
	for key, value := range pairs(body) {
		s, ok := Lookup(Key(key.Value))
		if !ok {
			return nil, at(key, "unknown key %q, expected one of %s", key.Value, strings.Join(Keys(), ", "))
		}
		text, err := scalar(s, value)
		if err != nil {
			return nil, err
		}
		if !s.Holds(text) {
			return nil, at(value, "%s: expected %s, never the secret itself", s.Key, s.Form())
		}
		values[s.Key] = text
	}
	return values, nil
}

// scalar reads the value of a setting: a string, or a sequence of strings for a
// setting with several values.
func scalar(s Setting, value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode:
		return value.Value, nil
	case value.Kind != yaml.SequenceNode || !s.List:
		return "", at(value, "%s: expected a string", s.Key)
	}
	var list []string
	for _, item := range value.Content {
		if item.Kind != yaml.ScalarNode {
			return "", at(item, "%s: expected a string", s.Key)
		}
		list = append(list, item.Value)
	}
	return JoinList(list), nil
}

// Names returns the names of the profiles, in order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.profiles))
	for name := range f.profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Current returns the profile that commands use unless another one is selected,
// or "" for the profile "default".
func (f *File) Current() string { return f.current }

// Values returns the values of a profile in the file, and whether the profile
// exists. The caller must not change the map.
func (f *File) Values(name string) (Values, bool) {
	values, ok := f.profiles[name]
	return values, ok
}

// Query selects a profile and the values that override it.
type Query struct {
	Name   string              // from a flag, or ""
	Getenv func(string) string // nil means an empty environment
	Flags  Values
}

// Resolve returns the effective profile. Its name is from the query, the
// variable OAUTHCTL_PROFILE, or the file's current profile; otherwise it is
// "default". Each value is from a flag, its variable or the file. A profile
// that does not exist is empty, see [Profile.Exists].
func (f *File) Resolve(q Query) (*Profile, error) {
	getenv := q.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	p := &Profile{path: f.path, name: "default"}
	for _, candidate := range []struct {
		name string
		from Origin
	}{{q.Name, Flag}, {getenv(NameVariable), Environment}, {f.current, Saved}} {
		if candidate.name != "" {
			p.name, p.nameFrom = candidate.name, candidate.from
			break
		}
	}
	if err := CheckName(p.name); err != nil {
		return nil, invalid("profile", err.Error())
	}
	var saved Values
	saved, p.exists = f.profiles[p.name]
	environment, err := variables(getenv)
	if err != nil {
		return nil, err
	}
	return p.With(Saved, saved).With(Environment, environment).With(Flag, q.Flags), nil
}

// variables returns the settings from the environment. A secret is not read;
// its setting only refers to the variable.
func variables(getenv func(string) string) (Values, error) {
	values := Values{}
	for _, s := range Settings() {
		text := getenv(s.Key.Variable())
		switch {
		case text == "":
			continue
		case s.Key == ClientSecret:
			text = "env:" + s.Key.Variable()
		case !s.Holds(text):
			return nil, invalid(s.Key.Variable(), "expected "+s.Form())
		}
		values[s.Key] = text
	}
	return values, nil
}

// Set changes settings of a profile; an empty value removes a setting. If the
// profile does not exist, it is created. If the changes select another server,
// credentials of the previous server are removed unless they are set too; Set
// returns the removed ones.
func (f *File) Set(name string, changes Values) (dropped []Key) {
	body := child(child(f.tree, "profiles"), name)
	values := maps.Clone(f.profiles[name])
	if values == nil {
		values = Values{}
	}
	changes, dropped = withoutMisplaced(values, changes)
	for _, s := range Settings() {
		value, changed := changes[s.Key]
		switch {
		case !changed:
		case value == "":
			remove(body, string(s.Key))
			delete(values, s.Key)
		default:
			setScalar(body, string(s.Key), value)
			values[s.Key] = value
		}
	}
	f.profiles[name] = values
	return dropped
}

// withoutMisplaced adds to changes the removal of credentials that belong to the
// previous server.
func withoutMisplaced(before, changes Values) (Values, []Key) {
	after := maps.Clone(before)
	maps.Copy(after, changes)
	if serverOf(before) == "" || serverOf(before) == serverOf(after) {
		return changes, nil
	}
	changes = maps.Clone(changes)
	var dropped []Key
	for _, s := range Settings() {
		_, named := changes[s.Key]
		if s.Credential && !named && before[s.Key] != "" {
			changes[s.Key] = ""
			dropped = append(dropped, s.Key)
		}
	}
	return changes, dropped
}

// Delete removes a profile. If it was the current one, there is no current
// profile.
func (f *File) Delete(name string) {
	remove(child(f.tree, "profiles"), name)
	delete(f.profiles, name)
	if f.current == name {
		f.Use("")
	}
}

// Use makes a profile the current one, or none if name is "".
func (f *File) Use(name string) {
	f.current = name
	if name == "" {
		remove(f.tree, "current")
	} else {
		setScalar(f.tree, "current", name)
	}
}

// text returns the text to write. Some YAML is not the same after it is written;
// then text returns an error.
func (f *File) text() ([]byte, error) {
	data, err := yaml.Dump(f.tree, yaml.WithIndent(2))
	if err != nil {
		return nil, invalid(f.path, err.Error())
	}
	if again, err := Parse(data); err != nil || len(again.profiles) != len(f.profiles) {
		return nil, &diagnosis.Diagnosis{ID: diagnosis.ConfigInvalid, Expected: diagnosis.Values{"plain keys and values, without anchors and tags"}, Got: diagnosis.Values{f.path + " holds YAML that cannot be changed safely"}}
	}
	return data, nil
}
