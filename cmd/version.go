package cmd

import (
	"cmp"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

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
		Use: "version",
		Example: `  # Print the version and the commit
  oauthctl version

  # Print the version number only
  oauthctl version --jq .version`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runVersion(env) },
	}
}

// build says which source a program was built from.
type build struct {
	Version  string `json:"version"` // "devel" where the source is not a release
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`    // of the commit
	Modified bool   `json:"modified,omitzero"` // the source differed from the commit
}

// thisBuild is the build of this program.
func thisBuild() build {
	if version != "" {
		return build{Version: version, Commit: commit, Date: date}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "devel"}
	}
	return buildFrom(info)
}

// buildFrom reads what go recorded: `go install module@version` the version of
// the module, `go build` in a checkout the commit.
func buildFrom(info *debug.BuildInfo) build {
	b := build{Version: "devel"}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Date = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	name, dirty := strings.CutSuffix(info.Main.Version, "+dirty")
	b.Modified = b.Modified || dirty
	// A pseudo-version of go (https://go.dev/ref/mod#pseudo-versions) is that of a
	// commit that has no tag: its time in UTC, and the first twelve digits.
	switch of := pseudoVersion().FindStringSubmatch(name); {
	case of != nil:
		if at, err := time.Parse("20060102150405", of[1]); err == nil {
			b.Date = cmp.Or(b.Date, at.Format(time.RFC3339))
		}
		b.Commit = cmp.Or(b.Commit, of[2])
	case name != "" && name != "(devel)":
		b.Version = name
	}
	return b
}

func pseudoVersion() *regexp.Regexp {
	return regexp.MustCompile(`^v[0-9].*[-.]([0-9]{14})-([0-9a-f]{12})(?:\+incompatible)?$`)
}

// versionText is the version of this build.
func versionText() string { return thisBuild().Version }

func runVersion(env *Env) error {
	v := struct {
		build
		Go     string `json:"go"`
		System string `json:"system"`
	}{thisBuild(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if env.global.wantsJSON() {
		return env.printJSON(v)
	}
	from := v.Commit
	if v.Modified {
		from = cmp.Or(from, "unknown") + ", with local changes"
	}
	s := env.stdout()
	s.line("oauthctl %s", v.Version)
	s.table([][2]string{{"commit", from}, {"date", v.Date}, {"go", v.Go}, {"system", v.System}})
	return nil
}
