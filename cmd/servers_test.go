package cmd_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"testing"
	"time"
)

// freePorts returns a free port for each of the names. The system gives the ports above these to connections and to
// listeners that ask for any port, so it could give one away before the test listens on it.
func freePorts(t testing.TB, names ...string) map[string]string {
	t.Helper()
	ports := map[string]string{}
	for tries := 0; len(ports) < len(names); tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12768)))
		switch {
		case err != nil && tries > 1000:
			t.Fatal(err)
		case err != nil:
			continue
		}
		defer l.Close() // at the end, so that the ports differ
		_, ports[names[len(ports)]], _ = net.SplitHostPort(l.Addr().String())
	}
	return ports
}

// freeAddress returns an address with a free port.
func freeAddress(t testing.TB) string {
	t.Helper()
	return "127.0.0.1:" + freePorts(t, "any")["any"]
}

// startUntilEnd starts a server that the end of the test kills. If the test failed, its output is logged.
func startUntilEnd(t testing.TB, server *exec.Cmd) *bytes.Buffer {
	t.Helper()
	var output bytes.Buffer
	server.Stdout, server.Stderr = &output, &output
	server.WaitDelay = 5 * time.Second
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", server, &output)
		}
	})
	return &output
}
