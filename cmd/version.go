package cmd

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// The release sets these through the linker.
var (
	version = ""
	commit  = ""
	date    = ""
	// clientDocument is the URL at which docs/client.json is published; "" in a
	// build whose client has no such document.
	clientDocument = ""
)

func newVersion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:  "version",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runVersion(env) },
	}
}

// versionText is the version of this build.
func versionText() string {
	if version != "" {
		return version
	}
	// `go install module@version` knows the version without the linker.
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func runVersion(env *Env) error {
	v := struct {
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		Date    string `json:"date,omitempty"`
		Go      string `json:"go"`
		System  string `json:"system"`
	}{versionText(), commit, date, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if env.global.wantsJSON() {
		return env.printJSON(v)
	}
	s := env.stdout()
	s.line("oauthctl %s", v.Version)
	s.table([][2]string{{"commit", v.Commit}, {"date", v.Date}, {"go", v.Go}, {"system", v.System}})
	return nil
}
