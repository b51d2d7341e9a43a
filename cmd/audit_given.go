package cmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// givenFlag is a flag of the command line that decides what is sent.
type givenFlag struct {
	args []string
	// onlyState is set if the flag only affects the cases of the issuer's state.
	onlyState bool
}

// givenFlags returns the flags that are needed to send a case again: all except
// those that select cases and those about the output. A header's value is omitted,
// because it may be a secret.
func givenFlags(cmd *cobra.Command) []givenFlag {
	var all []givenFlag
	ofOutput := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(auditOptions).addResultFlags(ofOutput)
	new(globalFlags).addOutputFlags(ofOutput)
	selecting := []string{"operation", "case", "quick"}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if ofOutput.Lookup(f.Name) != nil || slices.Contains(selecting, f.Name) {
			return
		}
		given := givenFlag{onlyState: f.Name == "revocation" || f.Name == "rotation"}
		for _, value := range valuesOf(f) {
			switch {
			case f.Value.Type() == "bool":
				given.args = append(given.args, strings.TrimSuffix("--"+f.Name+"="+value, "=true"))
			case f.Name == "header":
				name, _, _ := strings.Cut(value, ":")
				given.args = append(given.args, "--header", name+":…")
			default:
				given.args = append(given.args, "--"+f.Name, value)
			}
		}
		all = append(all, given)
	})
	return all
}

func valuesOf(f *pflag.Flag) []string {
	value := f.Value
	if strict, ok := value.(*strictValue); ok {
		value = strict.Value
	}
	if list, ok := value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{value.String()}
}
