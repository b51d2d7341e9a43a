package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// Every command refuses an empty value, which is often an unset variable in a
// script, the next flag as a value, which is often an unset variable without
// quotes, and a second value for a flag that can have only one. Otherwise a check
// could be omitted unnoticed.
var (
	errFlagEmpty = errors.New("the value is empty")
	errFlagNext  = errors.New("the value is the name of a flag")
	errFlagTwice = errors.New("given twice, and it can have only one value")
)

// emptyAllowed is the annotation of a flag whose empty value has a meaning.
const emptyAllowed = "empty allowed"

// allowEmpty allows an empty value for a flag.
func allowEmpty(f *pflag.Flag) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[emptyAllowed] = nil
}

// strictValue refuses empty and repeated values of a flag that is not a switch.
type strictValue struct {
	pflag.Value
	isFlag                        func(text string) bool
	repeatable, mayBeEmpty, given bool
}

// Set implements [pflag.Value].
func (v *strictValue) Set(text string) error {
	switch {
	case strings.TrimSpace(text) == "" && !v.mayBeEmpty:
		return errFlagEmpty
	case v.isFlag(text):
		return errFlagNext
	case v.given && !v.repeatable:
		return errFlagTwice
	}
	v.given = true
	return v.Value.Set(text)
}

// choice is the value of a flag that accepts only certain values. Completion offers
// them.
type choice struct {
	value  *string
	values []string
}

// oneOf defines a flag that accepts only the given values. The default is *p.
func oneOf(f *pflag.FlagSet, p *string, name string, values []string, usage string) {
	f.Var(choice{p, values}, name, usage)
}

// Set implements [pflag.Value].
func (c choice) Set(text string) error {
	if !slices.Contains(c.values, text) {
		return fmt.Errorf("expected %s, got %s", choices(c.values), diagnosis.Quote(text))
	}
	*c.value = text
	return nil
}

// String implements [pflag.Value].
func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type implements [pflag.Value].
func (c choice) Type() string { return "string" }

// makeStrict applies strictValue to the flags of a command and its subcommands.
func makeStrict(cmd *cobra.Command) {
	isFlag := func(text string) bool {
		name, ok := strings.CutPrefix(text, "--")
		return ok && name != "" && cmd.Flag(name) != nil
	}
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if _, done := f.Value.(*strictValue); done || f.Value.Type() == "bool" || f.Value.Type() == "count" {
				return
			}
			_, several := f.Value.(pflag.SliceValue)
			_, isEmptyAllowed := f.Annotations[emptyAllowed]
			f.Value = &strictValue{Value: f.Value, isFlag: isFlag, repeatable: several, mayBeEmpty: isEmptyAllowed}
			if f.DefValue == "[]" || f.DefValue == "0s" {
				f.DefValue = "" // help would show it as a default
			}
		})
	}
	for _, below := range cmd.Commands() {
		makeStrict(below)
	}
}

// strictError returns the usage error for a refused value of a flag, or nil if err
// is another error.
func strictError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return nil
	}
	flag := "--" + invalid.GetFlag().Name
	switch {
	case errors.Is(err, errFlagEmpty):
		return &usageError{what: flag + " is empty", hint: "set the variable that it was made of, or leave out the flag"}
	case errors.Is(err, errFlagNext):
		return &usageError{what: flag + " needs a value, got " + invalid.GetValue(), hint: "give " + flag + " a value, or leave it out"}
	case errors.Is(err, errFlagTwice):
		return &usageError{what: flag + " was given twice, and it can have only one value"}
	}
	return &usageError{what: flag + ": " + wrongValue(invalid)}
}

// wrongValue describes a value that was refused. For common types it has its own
// texts, because those of the flag library and of Go's parsers contain Go types.
func wrongValue(invalid *pflag.InvalidValueError) string {
	expected := map[string]string{
		"duration": "a duration such as 30s or 5m", "bool": "true or false",
		"int": "a whole number", "int64": "a whole number", "uint64": "a whole number", "float64": "a number",
	}[invalid.GetFlag().Value.Type()]
	if expected == "" {
		return invalid.Unwrap().Error()
	}
	return "expected " + expected + ", got " + diagnosis.Quote(invalid.GetValue())
}
