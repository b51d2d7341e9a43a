package token

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Limits of the stored headers.
const (
	headerSlots       = 64
	maxRememberedSize = 1 << 10
)

// headers caches parsed headers by their encoded text, because an issuer writes
// the same header for many tokens. A header is added only after a valid
// signature, so that attackers cannot fill the cache. Its size is limited.
type headers struct {
	seed  maphash.Seed
	slots [headerSlots]atomic.Pointer[knownHeader]
}

// knownHeader is a parsed header that is allowed.
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

// put stores the header of a token with a valid signature.
func (h *headers) put(encoded string, t *Token) {
	if len(encoded) > maxRememberedSize || h.get(encoded) != nil {
		return
	}
	encoded = strings.Clone(encoded) // a substring would keep the whole token in memory
	h.slot(encoded).Store(&knownHeader{encoded, t.headerJSON, t.header})
}
