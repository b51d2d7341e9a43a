package cmd_test

import (
	"bytes"
	"os"
	"strconv"
)

// notePeak writes the peak memory of this process, in bytes, to the file in TEST_PEAK. The resource usage of a child
// process cannot be used, because Linux includes the memory of the test process that started it.
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
