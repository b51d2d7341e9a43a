package guard_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Goroutines go back to the start; those of idle connections belong to the
// transport that the whole program shares.
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
