package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/profile"
)

// addTopics adds the help topics: commands that only have a text.
func addTopics(root *cobra.Command) {
	for _, topic := range []struct {
		name, short string
		text        func() string
	}{
		{"exit-codes", "What the exit codes mean", exitCodesText},
		{"environment", "The variables that are read", environmentText},
		{"diagnosis", "The ids of everything that can be wrong", diagnosisText},
	} {
		cmd := &cobra.Command{Use: topic.name, Short: topic.short}
		cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), topic.text()) })
		root.AddCommand(cmd)
	}
}

func exitCodesText() string {
	var b strings.Builder
	b.WriteString("Exit codes, for scripts to rely on:\n\n")
	for _, e := range exitCodes() {
		text := e.means
		if e.advice != "" {
			text += " → " + e.advice
		}
		fmt.Fprintf(&b, "%5d  %s\n", e.code, strings.TrimLeft(wrap(text, "       "), " "))
	}
	return b.String()
}

// environmentVariables are those beside OAUTHCTL_<KEY> of the profile.
func environmentVariables() [][2]string {
	return [][2]string{
		{"OAUTHCTL_PROFILE", "the profile to use, as --profile"},
		{"OAUTHCTL_CONFIG", "the profile file, as --config"},
		{"OAUTHCTL_TOKEN", "an access token that wins over the stored session"},
		{variableRevocations, "where guard and guard deny keep what is revoked, as --revocations"},
		{"XDG_CONFIG_HOME", "where the profile file is: $XDG_CONFIG_HOME/oauthctl"},
		{"XDG_STATE_HOME", "where sessions are kept: $XDG_STATE_HOME/oauthctl"},
		{"HTTPS_PROXY, NO_PROXY", "the proxy for https; loopback is never proxied"},
		{"NO_COLOR", "set to anything: no colour"},
		{"BROWSER", "the browser that login opens"},
		{"CI", "set to anything but false: no browser is opened unasked"},
	}
}

func environmentText() string {
	rows := environmentVariables()
	for _, s := range profile.Settings() {
		help := s.Help
		if s.Key == profile.ClientSecret {
			help = "the client's secret itself"
		}
		rows = append(rows, [2]string{s.Key.Variable(), help})
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	var b strings.Builder
	b.WriteString("Variables, which win over the profile and lose against flags:\n\n")
	for _, r := range rows {
		indent := strings.Repeat(" ", width+4)
		fmt.Fprintf(&b, "  %-*s  %s\n", width, r[0], strings.TrimLeft(wrap(r[1], indent), " "))
	}
	return b.String()
}

func diagnosisText() string {
	var b strings.Builder
	b.WriteString("Everything that can be wrong has an id; `oauthctl explain ID` says more.\n\n")
	for _, e := range diagnosis.All() {
		fmt.Fprintf(&b, "  %s\n%s\n", e.ID, wrap(e.Summary, "      "))
	}
	return b.String()
}
