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

// maxFile bounds a profile file, in bytes.
const maxFile = 1 << 20

// File is the profile file as it was read. Its YAML tree is kept, so that
// comments and order survive a change.
type File struct {
	path     string
	tree     *yaml.Node // the top mapping
	current  string
	profiles map[string]Values
}

// Load reads a profile file; one that does not exist is empty, and so is the
// path "". A file that others can change is refused, since it decides where
// secrets go and which commands are run. Errors are Diagnoses, CONFIG_INVALID
// and CONFIG_INSECURE.
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
	data, err := readAtMost(f, path)
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

// readAtMost reads a file of at most 1 MiB.
func readAtMost(r io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return data, err
}

// bare is an error without the path, which the message has already.
func bare(err error) string {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Err.Error()
	}
	return err.Error()
}

// Parse reads the text of a profile file. Errors begin with line:column.
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
			return nil, at(value, "%s: expected %s, never the secret itself", s.Key, strings.Join(s.Forms, "… or ")+"…")
		}
		values[s.Key] = text
	}
	return values, nil
}

// scalar reads the value of a setting: text or, for a setting that holds
// several values, a sequence of texts.
func scalar(s Setting, value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode:
		return value.Value, nil
	case value.Kind != yaml.SequenceNode || !s.List:
		return "", at(value, "%s: expected text", s.Key)
	}
	var list []string
	for _, item := range value.Content {
		if item.Kind != yaml.ScalarNode {
			return "", at(item, "%s: expected text", s.Key)
		}
		list = append(list, item.Value)
	}
	return JoinList(list), nil
}

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Names returns the names of the profiles, in order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.profiles))
	for name := range f.profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Current is the profile that commands use unless another one is named, "" for
// the profile "default".
func (f *File) Current() string { return f.current }

// Values returns what the file says of a profile, and whether it holds it. The
// map must not be changed.
func (f *File) Values(name string) (Values, bool) {
	values, ok := f.profiles[name]
	return values, ok
}

// Query says which profile is wanted and what is laid over it.
type Query struct {
	Name   string              // by a flag, "" if none was named
	Getenv func(string) string // nil means an empty environment
	Flags  Values
}

// Resolve returns the profile in force. Its name comes from the query, the
// variable OAUTHCTL_PROFILE, the file's current profile, or is "default"; each
// value from a flag, its variable or the file. A profile that does not exist is
// empty; see [Profile.Exists].
func (f *File) Resolve(q Query) (*Profile, error) {
	getenv := q.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	p := &Profile{path: f.path, name: "default"}
	for _, candidate := range []struct {
		name string
		from Origin
	}{{q.Name, Flag}, {getenv("OAUTHCTL_PROFILE"), Environment}, {f.current, Saved}} {
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

// variables reads the settings that the environment holds. The secret itself
// stays there: the setting only says where it is.
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
			return nil, invalid(s.Key.Variable(), "expected "+strings.Join(s.Forms, "… or ")+"…")
		}
		values[s.Key] = text
	}
	return values, nil
}

// Set changes settings of a profile and leaves its others as they are; an empty
// value removes one. A profile that does not exist is made. Where the changes
// name another server, the credentials that they do not name are removed, since
// they were configured for the server before; Set returns these.
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

// withoutMisplaced adds to changes the removal of the credentials that belong to
// the server before them.
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

// Delete removes a profile, and makes no profile current if it was.
func (f *File) Delete(name string) {
	remove(child(f.tree, "profiles"), name)
	delete(f.profiles, name)
	if f.current == name {
		f.Use("")
	}
}

// Use makes a profile the current one; "" makes none.
func (f *File) Use(name string) {
	f.current = name
	if name == "" {
		remove(f.tree, "current")
	} else {
		setScalar(f.tree, "current", name)
	}
}

// text returns the file as it would be written. YAML can hold things that do not
// survive being written; then the file stays as it is.
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
