package cmd

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What `oauthctl version` prints for a build that is not a release.
func TestBuildFrom(t *testing.T) {
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "-trimpath", Value: "true"},
			{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
			{Key: "vcs.time", Value: "2026-11-24T08:30:00Z"},
			{Key: "vcs.modified", Value: modified},
		}
	}
	full := "0123456789abcdef0123456789abcdef01234567"
	for name, x := range map[string]struct {
		version  string
		settings []debug.BuildSetting
		want     build
	}{
		"go install of a release":        {"v1.4.2", nil, build{Version: "v1.4.2"}},
		"go install of a prerelease":     {"v1.4.2-rc.1", nil, build{Version: "v1.4.2-rc.1"}},
		"go install of a commit":         {"v0.0.0-20261124083000-0123456789ab", nil, build{Version: "devel", Commit: "0123456789ab", Date: "2026-11-24T08:30:00Z"}},
		"of one after a release":         {"v1.4.3-0.20261124083000-0123456789ab", nil, build{Version: "devel", Commit: "0123456789ab", Date: "2026-11-24T08:30:00Z"}},
		"of one after a prerelease":      {"v1.4.2-rc.1.0.20261124083000-0123456789ab", nil, build{Version: "devel", Commit: "0123456789ab", Date: "2026-11-24T08:30:00Z"}},
		"go build in a checkout":         {"v0.0.0-20261124083000-0123456789ab", vcs("false"), build{Version: "devel", Commit: full, Date: "2026-11-24T08:30:00Z"}},
		"with changes":                   {"v0.0.0-20261124083000-0123456789ab+dirty", vcs("true"), build{Version: "devel", Commit: full, Date: "2026-11-24T08:30:00Z", Modified: true}},
		"in a checkout of a release":     {"v1.4.2", vcs("false"), build{Version: "v1.4.2", Commit: full, Date: "2026-11-24T08:30:00Z"}},
		"of a release, with changes":     {"v1.4.2+dirty", vcs("true"), build{Version: "v1.4.2", Commit: full, Date: "2026-11-24T08:30:00Z", Modified: true}},
		"without version control":        {"(devel)", nil, build{Version: "devel"}},
		"a test binary":                  {"", nil, build{Version: "devel"}},
		"a commit with no time to parse": {"v0.0.0-20269924083000-0123456789ab", nil, build{Version: "devel", Commit: "0123456789ab"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := buildFrom(&debug.BuildInfo{Main: debug.Module{Version: x.version}, Settings: x.settings})
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
