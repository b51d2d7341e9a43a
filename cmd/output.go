package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// outputFile is the target of --output. A regular file is replaced when the
// whole body has arrived: other programs see either the old or the new content.
// Anything else, such as a pipe or a device, is written to while the body
// arrives.
type outputFile struct {
	path string      // as the user wrote it
	real string      // behind symbolic links
	old  fs.FileInfo // nil if there was no file
	in   io.WriteCloser
	temp *os.File
	// inPlace reports whether the temporary file is copied into the old file,
	// which may have other names or cannot be replaced.
	inPlace bool
	resumed int64 // bytes that were there already
	partial bool  // appended to in place
}

// openOutput prepares writing to path, before the request is sent: it checks
// whether that is possible and changes nothing. A named pipe blocks until a
// program reads it.
func openOutput(ctx context.Context, path string, resume bool) (*outputFile, error) {
	o := &outputFile{path: path}
	var err error
	if o.real, err = followLinks(path); err != nil {
		return nil, outputFault(path, err)
	}
	o.old, err = os.Stat(o.real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.old = nil
	case err != nil:
		return nil, outputFault(path, err)
	}
	switch {
	case resume:
		err = o.openPartial()
	case o.old == nil:
		err = o.create(0o666)
	case o.old.IsDir():
		err = errors.New("it is a directory")
	case !o.old.Mode().IsRegular():
		o.in, err = openDevice(ctx, o.real)
	default:
		err = o.replace()
	}
	if err != nil {
		return nil, outputFault(path, err)
	}
	return o, nil
}

func outputFault(path string, err error) error {
	return usage("--output: cannot write %s: %w", path, plainPathError(err))
}

// followLinks returns the file that a path leads to, which need not exist.
func followLinks(path string) (string, error) {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil //nolint:nilerr // it is no link, or nothing
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", errors.New("too many symbolic links")
}

// openDevice opens a file that is not regular. Opening a pipe waits for a
// reader.
func openDevice(ctx context.Context, path string) (io.WriteCloser, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// create makes the temporary file, in the directory of the final one.
func (o *outputFile) create(mode fs.FileMode) error {
	dir, base := filepath.Split(o.real)
	for n := range 10_000 {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%d-%d.part", base, os.Getpid(), n))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		o.temp, o.in = f, f
		return err
	}
	return errors.New("too many temporary files")
}

// replace prepares replacing a regular file. Its mode and owner are kept.
func (o *outputFile) replace() error {
	if o.old.Mode().Perm()&0o222 == 0 {
		return fs.ErrPermission
	}
	f, err := os.OpenFile(o.real, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	o.inPlace = otherNames(o.old)
	if !o.inPlace {
		err = o.create(0o600)
		if err == nil && keepOwner(o.temp, o.old) != nil {
			// The file has another owner, which only writing in place keeps.
			o.discard()
			o.inPlace = true
		} else if err == nil {
			return nil
		}
		o.inPlace = true
	}
	// The body is stored elsewhere first, so that an incomplete body never
	// replaces the file.
	o.temp, err = os.CreateTemp("", "oauthctl-*")
	o.in = o.temp
	return err
}

// openPartial opens a file to append the missing rest.
func (o *outputFile) openPartial() error {
	if o.old != nil && !o.old.Mode().IsRegular() {
		return errors.New("only a regular file can be continued")
	}
	f, err := os.OpenFile(o.real, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	o.in, o.partial = f, true
	o.resumed, err = f.Seek(0, io.SeekEnd)
	return err
}

// restart empties a file that was to be continued, because the server sends the
// whole body.
func (o *outputFile) restart() error {
	f, ok := o.in.(*os.File)
	if !ok || o.resumed == 0 {
		return nil
	}
	o.resumed = 0
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// Write implements [io.Writer].
func (o *outputFile) Write(p []byte) (int, error) { return o.in.Write(p) }

// rewind removes what was written, and reports whether that was possible: data
// written to a pipe cannot be removed.
func (o *outputFile) rewind() bool {
	if o.temp == nil || o.temp.Truncate(0) != nil {
		return false
	}
	_, err := o.temp.Seek(0, io.SeekStart)
	return err == nil
}

// finish moves the whole body to the file.
func (o *outputFile) finish() error {
	err := o.commit()
	o.discard()
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", o.path, err)
	}
	return nil
}

func (o *outputFile) commit() error {
	switch {
	case o.temp == nil:
		err := o.in.Close()
		o.in = nil
		return err
	case o.inPlace:
		return o.copyBack()
	}
	name := o.temp.Name()
	err := o.temp.Close()
	if err == nil {
		err = os.Rename(name, o.real)
	}
	if err == nil {
		o.temp, o.in = nil, nil
	}
	return err
}

// copyBack writes the whole body into the old file.
func (o *outputFile) copyBack() error {
	if _, err := o.temp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := os.OpenFile(o.real, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, o.temp)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// discard removes the temporary file and leaves the target unchanged.
func (o *outputFile) discard() {
	if o.temp != nil {
		_ = o.temp.Close()
		_ = os.Remove(o.temp.Name())
	} else if o.in != nil {
		_ = o.in.Close()
	}
	if o.partial && o.old == nil && o.in != nil {
		if info, err := os.Stat(o.real); err == nil && info.Size() == 0 {
			_ = os.Remove(o.real) // made for nothing
		}
	}
	o.temp, o.in = nil, nil
}
