package guard_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// At the end, the number of goroutines is the same as at the start. Idle
// connections belong to the transport that the whole program shares.
func TestMain(m *testing.M) {
	if role := os.Getenv(costRole); role != "" {
		fmt.Fprintln(os.Stderr, serveCost(role))
		os.Exit(1)
	}
	goleak.VerifyTestMain(
		m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	)
}
