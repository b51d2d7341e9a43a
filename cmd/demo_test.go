package cmd_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/devserver"
)

func TestDemo(t *testing.T) {
	w := newWorld(t, devserver.Config{})
	if code := w.run("demo"); code != 0 {
		t.Fatalf("demo: %d\n%s", code, &w.stderr)
	}
	out := w.stdout.String()
	for i := 1; i <= 7; i++ {
		if !strings.Contains(out, fmt.Sprintf("\n%d ", i)) {
			t.Errorf("step %d is missing", i)
		}
	}
	for _, reason := range []string{"401  keys cached  EXPIRED", "401  keys cached  AUD_MISMATCH", "401  keys cached  SIGNATURE_INVALID", "403  keys cached  SCOPE_MISSING"} {
		if !strings.Contains(out, reason) {
			t.Errorf("%s is missing", reason)
		}
	}
	// Step 7 begins with the only request for the keys, to the real URL of the key set.
	issuer := regexp.MustCompile(`authorization server +(http://\S+)`).FindStringSubmatch(out)
	seventh := regexp.MustCompile(`\n7 .*\n +(.*)\n`).FindStringSubmatch(out)
	if issuer == nil || seventh == nil || seventh[1] != "GET "+issuer[1]+"/jwks" || strings.Count(out, "/jwks") != 1 {
		t.Errorf("step 7 does not begin with one request to %v/jwks:\n%s", issuer, out)
	}
	for line := range strings.SplitSeq(out, "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colour in a pipe")
	}
	if files, _ := filepath.Glob(filepath.Join(w.home, "*", "*")); len(files) > 0 {
		t.Errorf("demo wrote %v", files)
	}
}
