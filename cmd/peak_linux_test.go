package cmd_test

import (
	"bytes"
	"os"
	"strconv"
)

// notePeak writes the peak memory of this process, in bytes, to the file that TEST_PEAK names. A child's own resource
// usage does not do: Linux counts in it what the tests' process, of which the child is made, held at that time.
func notePeak() {
	file := os.Getenv("TEST_PEAK")
	if file == "" {
		return
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return
	}
	if kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
		_ = os.WriteFile(file, strconv.AppendInt(nil, kilobytes<<10, 10), 0o600)
	}
}
