package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// A command gets the token in its environment, and other programs in the format that they read.
func TestTokenConsumers(t *testing.T) {
	need(t, "curl", missingProgram("curl"))
	w := newWorld(t, devserver.Config{})
	home := t.TempDir()
	run := func(code int, args ...string) processOutcome {
		t.Helper()
		got, err := runProcess(t, home, args...)
		if err != nil || got.code != code {
			t.Fatalf("%v: %v, %+v", args, err, got)
		}
		return got
	}
	run(0, "login", w.api, "--browser")
	raw := strings.TrimSpace(run(0, "token").stdout)

	shell := func(script string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "/bin/sh", "-ec", script)
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_STATE_HOME=" + filepath.Join(home, "state"), "API=" + w.api}
		var stderr bytes.Buffer // may hold the coverage warning of a process started again
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Errorf("%s: %v\n%s%s", script, err, out, &stderr)
		}
		return string(out)
	}
	for _, script := range []string{
		`oauthctl token --format curl | curl -sf -K - "$API/api/items"`,
		`eval "$(oauthctl token --format env)"; curl -sf -H "Authorization: Bearer $OAUTHCTL_TOKEN" "$API/api/items"`,
		`curl -sf -H "$(oauthctl token --format header)" "$API/api/items"`,
		`oauthctl exec --env T -- sh -c 'curl -sf -H "Authorization: Bearer $T" "$API/api/items"'`,
		`OAUTHCTL_TOKEN=$(oauthctl token) OAUTHCTL_API=$API oauthctl call GET /api/items -p none`,
	} {
		if got := shell(script); !strings.Contains(got, "Widget") {
			t.Errorf("%s:\n%s", script, got)
		}
	}
	if got := shell(`oauthctl exec -- sh -c 'echo "$0 $*"; test -n "$OAUTHCTL_TOKEN"' a b`); got != "a b\n" || strings.Contains(got, raw) {
		t.Errorf("arguments: %q", got)
	}
	run(7, "exec", "--", "sh", "-c", "exit 7")
	run(143, "exec", "--", "sh", "-c", "trap 'exit 143' TERM; kill -TERM $$; sleep 5")
	if got := run(127, "exec", "--", "no-such-command"); !strings.Contains(got.stderr, "no-such-command") {
		t.Errorf("a command that is not there:\n%s", got.stderr)
	}
	run(2, "exec", "--env", "A=B", "--", "true")

	var credential struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Status     struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expirationTimestamp"`
		} `json:"status"`
	}
	out := shell("oauthctl token --format exec-credential")
	if err := json.Unmarshal([]byte(out), &credential, json.RejectUnknownMembers(true)); err != nil || credential.Kind != "ExecCredential" || credential.Status.Token != raw || credential.APIVersion != "client.authentication.k8s.io/v1" || time.Until(credential.Status.Expires) <= 0 {
		t.Errorf("%v, %+v", err, credential)
	}
	if out := shell(`KUBERNETES_EXEC_INFO='{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}' oauthctl token --format exec-credential`); !strings.Contains(out, "k8s.io/v1beta1") {
		t.Errorf("another version was asked for:\n%s", out)
	}

	if out := shell(`KUBERNETES_EXEC_INFO='{ "kind" : "ExecCredential", "apiVersion" : "client.authentication.k8s.io\u002fv1beta1", "spec": {"cluster": {"server": "client.authentication.k8s.io/v1"}} }' oauthctl token --format exec-credential`); !strings.Contains(out, "k8s.io/v1beta1") {
		t.Errorf("the same version in other words:\n%s", out)
	}
	if out := shell(`KUBERNETES_EXEC_INFO='{"apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"config":"client.authentication.k8s.io/v1beta1"}}}' oauthctl token --format exec-credential`); strings.Contains(out, "v1beta1") {
		t.Errorf("another version than requested:\n%s", out)
	}
	run(2, "token", "--format", "tar", "--json")

	run(0, "logout")
	run(0, "login", "--browser", "--dpop")
	for _, args := range [][]string{{"exec", "--", "true"}, {"token", "--format", "env"}, {"token", "--format", "curl"}} {
		if got := run(2, args...); !strings.Contains(got.stderr, "oauthctl proxy") {
			t.Errorf("%v with a bound session:\n%s", args, got.stderr)
		}
	}
	run(0, "token")
}
