package token_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/oauthctl/oauthctl/pkg/token"
)

func upper(out []byte, line string) []byte { return append(out, strings.ToUpper(line)+"\n"...) }

func TestBatchKeepsTheOrder(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 10_000} {
		var in, want strings.Builder
		for i := range n {
			fmt.Fprintf(&in, "line %d\r\n", i)
			fmt.Fprintf(&want, "LINE %d\n", i)
		}
		var out bytes.Buffer
		if err := token.Batch(t.Context(), strings.NewReader(in.String()), &out, upper); err != nil || out.String() != want.String() {
			t.Errorf("%d lines: %v, %d bytes, want %d", n, err, out.Len(), want.Len())
		}
	}
}

func TestBatchLines(t *testing.T) {
	long := strings.Repeat("x", 3*token.MaxBytes)
	var lengths []int
	count := func(out []byte, line string) []byte { return fmt.Appendf(out, "%d ", len(line)) }
	var out bytes.Buffer
	if err := token.Batch(t.Context(), strings.NewReader("a\n\n"+long+"\nlast"), &out, count); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(out.String()) {
		var n int
		fmt.Sscan(field, &n)
		lengths = append(lengths, n)
	}
	if len(lengths) != 4 || lengths[0] != 1 || lengths[1] != 0 || lengths[2] <= token.MaxBytes || lengths[3] != 4 {
		t.Errorf("lengths %v", lengths)
	}
}

func TestBatchEndsEarly(t *testing.T) {
	endless := func() io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("a\n", 1<<20)), iotest.ErrReader(errors.New("torn")))
	}
	if err := token.Batch(t.Context(), endless(), io.Discard, upper); err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("a reader that fails: %v", err)
	}
	r, w := io.Pipe()
	r.Close()
	if err := token.Batch(t.Context(), endless(), w, upper); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a writer that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(out []byte, _ string) []byte { cancel(); return out }
	if err := token.Batch(ctx, endless(), io.Discard, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gives up: %v", err)
	}
}
