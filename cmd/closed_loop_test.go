package cmd_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

// For each fault of the development server, the command that meets it reports the diagnosis of the fault's row. If the
// row has none, the command succeeds.
func TestClosedLoop(t *testing.T) {
	for _, f := range append(devserver.Faults(), devserver.Fault{Name: "none"}) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			config := devserver.Config{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
			switch {
			case f.Value != "":
				config.Faults = []string{f.Name + "=1ms"}
			case f.Name != "none":
				config.Faults = []string{f.Name}
			}
			w := newWorld(t, config)
			// The login must not verify the keys itself, so that the API meets their faults first.
			scope := "offline_access items:write items:read"
			if f.Name == "wrong-nonce" {
				scope += " openid"
			}
			met := ""
			for _, step := range [][]string{
				{"login", w.api, "--browser", "--login-timeout", "2s", "--timeout", "1s", "--scope", scope},
				{"call", "GET", "/api/items"},
				{"call", "GET", "/api/items"}, // with a key set that the API has fetched again
				{"verify"},
				{"token", "--refresh"},
			} {
				code := w.run(step...)
				if code != 0 {
					met += fmt.Sprintf("%v: %d\n%s%s", step, code, &w.stdout, &w.stderr)
				}
				if code != 0 && step[0] == "login" {
					break
				}
				if step[0] == "call" {
					ahead.Add(int64(15 * time.Second)) // past the time of the key set
				}
			}
			switch {
			case f.Diagnosis == "":
				if met != "" {
					t.Errorf("nothing is wrong, and yet:\n%s", met)
				}
			case !names(met, string(f.Diagnosis)):
				t.Errorf("%s is not named:\n%s", f.Diagnosis, met)
			}
		})
	}
}

// Every grant and every protection of the development server, with the commands only.
func TestGrantsByCommand(t *testing.T) {
	for _, faults := range [][]string{nil, {"dpop-nonce"}} {
		w := newWorld(t, devserver.Config{Faults: faults, Resources: []string{"https://orders.example"}})
		steps := [][]string{
			{"0", "login", w.api, "--browser", "--dpop", "--par", "--add-scope", "openid"},
			{"0", "call", "GET", "/api/items"},
			{"0", "call", "POST", "/api/items", "id:=3", "name=Gizmo"},
			{"0", "userinfo"},
			{"0", "introspect"},
			{"0", "verify"},
			{"0", "token", "--refresh"},
			{"0", "call", "GET", "/api/items"},
			{"2", "call", "GET", "/api/items", "--curl"},
			{"0", "login", "--browser", "--add-scope", "users:delete"}, // keeps the key
			{"0", "call", "DELETE", "/api/users/1"},
			{"0", "logout", "--end-session"},
			{"5", "call", "GET", "/api/items"},
			{"0", "login", "--browser"},
			{"0", "call", "GET", "/api/items", "--curl"}, // bound to nothing
			{"0", "exchange", "--client-id", "service", "--client-secret-file", "-", "--audience", "https://orders.example"},
		}
		for i, step := range steps {
			if w.stdin = ""; slices.Contains(step, "exchange") {
				w.stdin = "secret\n"
			}
			if code := w.run(step[1:]...); fmt.Sprint(code) != step[0] {
				t.Fatalf("step %d, %v: %d\n%s%s", i, step, code, &w.stdout, &w.stderr)
			}
		}
	}
}

// A code is entered on another device while the command waits.
func TestDeviceByCommand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--device"}, {"--grant-type", "device_code"}, {"--device", "--dpop"}} {
		w := newWorld(t, devserver.Config{})
		user := &interopUser{t: t, home: t.TempDir(), stderr: deviceWatcher(t, person{Login: "bob"})}
		told := user.want(0, append([]string{"login", w.api}, args...)...)
		if !strings.Contains(told.stderr, "Logged in as bob") {
			t.Errorf("%v:\n%s", args, told.stderr)
		}
		user.stderr = nil
		user.want(0, "call", "GET", "/api/items")
		user.want(0, "token", "--refresh")
	}
}

// names reports whether output shows a diagnosis: in the line that refers to explain or doctor, or in JSON.
func names(output, id string) bool {
	return strings.Contains(output, "explain "+id) || strings.Contains(output, "# "+id) || strings.Contains(output, `"`+id+`"`)
}
