package cmd

import (
	"testing"

	"golang.org/x/text/encoding/charmap"
)

// Every byte is decoded as by another implementation of Windows-1252.
func TestFromWindows1252(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want, err := charmap.Windows1252.NewDecoder().Bytes(all)
	if err != nil {
		t.Fatal(err)
	}
	if got := fromWindows1252(all); got != string(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
