package cmd

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// dataWriter is standard output. It remembers its first failure, so that a command
// that prints line by line need not look at each: the exit code says in the end
// whether the data arrived.
type dataWriter struct {
	w    io.Writer
	err  error
	last byte
}

func newDataWriter(w io.Writer) *dataWriter {
	if d, ok := w.(*dataWriter); ok {
		return d
	}
	return &dataWriter{w: w, last: '\n'}
}

// Write implements [io.Writer].
func (d *dataWriter) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.w.Write(p)
	if n > 0 {
		d.last = p[n-1]
	}
	if err != nil {
		d.err = fmt.Errorf("cannot write to standard output: %w", plainPathError(err))
		return n, d.err
	}
	return n, nil
}

// midLine reports whether what was written does not end with a line break.
func (d *dataWriter) midLine() bool { return d.last != '\n' }

// failure is the first failed write, nil if there was none or the reader has
// closed the pipe.
func (d *dataWriter) failure() error {
	if errors.Is(d.err, syscall.EPIPE) || errors.Is(d.err, io.ErrClosedPipe) {
		return nil
	}
	return d.err
}

// unwrapped is the stream behind a dataWriter.
func unwrapped(stream any) any {
	if d, ok := stream.(*dataWriter); ok {
		return d.w
	}
	return stream
}
