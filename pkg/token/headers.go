package token

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// The bounds of what is remembered of headers.
const (
	headerSlots       = 64
	maxRememberedSize = 1 << 10
)

// headers remembers what the headers of good tokens say, by their encoded text:
// an issuer writes the same header again and again. One gets in only after a
// good signature, so nobody else can fill it. It never grows.
type headers struct {
	seed  maphash.Seed
	slots [headerSlots]atomic.Pointer[knownHeader]
}

// knownHeader is a header that was read and found allowed.
type knownHeader struct {
	encoded string
	text    string
	header
}

func newHeaders() *headers { return &headers{seed: maphash.MakeSeed()} }

func (h *headers) slot(encoded string) *atomic.Pointer[knownHeader] {
	return &h.slots[maphash.String(h.seed, encoded)%headerSlots]
}

func (h *headers) get(encoded string) *knownHeader {
	if len(encoded) > maxRememberedSize {
		return nil
	}
	if found := h.slot(encoded).Load(); found != nil && found.encoded == encoded {
		return found
	}
	return nil
}

// put remembers the header of a token whose signature is good, unless it is
// known.
func (h *headers) put(encoded string, t *Token) {
	if len(encoded) > maxRememberedSize || h.get(encoded) != nil {
		return
	}
	encoded = strings.Clone(encoded) // the text it is cut from is the whole token
	h.slot(encoded).Store(&knownHeader{encoded, t.headerJSON, t.header})
}
