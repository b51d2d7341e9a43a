package token

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// batchLines and batchBytes limit the work that is given to a worker at a time:
// enough that the overhead is small, and not too much for little memory if
// tokens are large.
const (
	batchLines = 64
	batchBytes = 64 << 10
)

// chunk is a group of lines that passes from the reader through a worker to the
// writer.
type chunk struct {
	lines  []string
	result *bytes.Buffer
	done   chan struct{}
}

// Batch verifies the lines of r on all cores and writes the results to w in the
// order of the lines. Verify appends the result of one line to out; it is
// called by several goroutines at once. Memory does not grow with the number of
// lines. A line that is longer than the maximum length of a token is cut, but is
// still too long to be accepted.
//
// Batch ends early with the error of the context, of r or of w.
func Batch(ctx context.Context, r io.Reader, w io.Writer, verify func(out []byte, line string) []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := runtime.GOMAXPROCS(0)
	work, inOrder := make(chan *chunk), make(chan *chunk, 4*workers)
	results := &sync.Pool{New: func() any { return new(bytes.Buffer) }}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for c := range work {
				c.result = results.Get().(*bytes.Buffer)
				for _, line := range c.lines {
					c.result.Write(verify(c.result.AvailableBuffer(), line))
				}
				close(c.done)
			}
		})
	}
	all.Go(func() {
		defer close(work)
		defer close(inOrder)
		if err := readChunks(ctx, r, inOrder, work); err != nil {
			cancel(err)
		}
	})
	err := writeChunks(w, inOrder, results)
	if err != nil {
		cancel(err)
		for range inOrder { // chunks that were read before the reader was cancelled
		}
	}
	all.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// readChunks sends each chunk to the writer's queue first, whose length limits
// the number of chunks in progress.
func readChunks(ctx context.Context, r io.Reader, inOrder, work chan<- *chunk) error {
	in := bufio.NewReaderSize(r, MaxBytes+2)
	for more := true; more; {
		c := &chunk{done: make(chan struct{})}
		for size := 0; len(c.lines) < batchLines && size < batchBytes && more; {
			line, err := readLine(in)
			if err != nil && err != io.EOF {
				return fmt.Errorf("token: reading the batch: %w", err)
			}
			more = err == nil
			size += len(line)
			if more || line != "" {
				c.lines = append(c.lines, line)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case inOrder <- c:
		}
		select {
		case <-ctx.Done():
			close(c.done)
			return nil
		case work <- c:
		}
	}
	return nil
}

// readLine returns the next line without its end. A line that is too long is
// cut, but is still too long.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	text := string(line)
	for err == bufio.ErrBufferFull {
		_, err = in.ReadSlice('\n')
	}
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	return text, err
}

func writeChunks(w io.Writer, inOrder <-chan *chunk, results *sync.Pool) error {
	for c := range inOrder {
		<-c.done
		if c.result == nil { // not processed before the cancellation
			continue
		}
		if _, err := w.Write(c.result.Bytes()); err != nil {
			return err
		}
		c.result.Reset()
		results.Put(c.result)
	}
	return nil
}
