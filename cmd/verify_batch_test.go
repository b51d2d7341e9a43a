package cmd

import (
	"io"
	"strings"
	"testing"
)

// The progress shows the part of a file that was read, if its size is known.
func TestBatchProgress(t *testing.T) {
	for _, tt := range []struct {
		read, size, verified int64
		want                 string
	}{
		{0, 0, 0, "0 tokens"},
		{500, 0, 7, "7 tokens"},
		{0, 1000, 0, "0 tokens, 0%"},
		{333, 1000, 2, "2 tokens, 33%"},
		{1000, 1000, 9, "9 tokens, 100%"},
		{2000, 1000, 9, "9 tokens, 100%"}, // the file grows while it is read
	} {
		b := &batch{size: tt.size}
		b.verified.Store(tt.verified)
		if _, err := io.Copy(io.Discard, countingReader{strings.NewReader(strings.Repeat("a", int(tt.read))), &b.read}); err != nil {
			t.Fatal(err)
		}
		if got := b.progress(); got != tt.want {
			t.Errorf("%d of %d bytes: %s, want %s", tt.read, tt.size, got, tt.want)
		}
	}
}
