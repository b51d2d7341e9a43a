package token

import (
	"slices"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// plainObjects are read by the fast reader.
var plainObjects = []string{
	`{}`, ` { } `, `{"a":1}`, `{ "a" : 1 , "b" : "x" }`, `{"a":[],"b":{},"c":[{}],"d":[1,"x",null]}`,
	`{"a":-0.5e+10,"b":0,"c":1E2,"d":12345678901234567890}`, `{"":"","ä":"ö é 漢字 😀"}`, `{"a":true,"b":false,"c":null}`,
	`{"realm_access":{"roles":["a","b"]},"resource_access":{"account":{"roles":["x"]}}}`, `{"a":"x/y","b":"~!@#%^&*()_+{}[]:;,.<>?|'"}`,
	`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
}

// otherTexts are left to the strict reader: some of them are valid.
var otherTexts = []string{
	``, ` `, `[]`, `"a"`, `1`, `{`, `}`, `{]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a":1}x`, `{"a":1}{}`, `{a:1}`, `{'a':1}`,
	`{"a":1,"a":2}`, `{"x":{"a":1,"a":2}}`, `{"x":[{"a":1,"b":2,"a":3}]}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":-}`, `{"a":--1}`,
	`{"a":tru}`, `{"a":truex}`, `{"a":nul}`, `{"a":NaN}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":"x}`, `{"a":"\u0041"}`, `{"a":"\"b"}`, "{\"a\":\"\x00\"}",
	"{\"a\":\"\x1f\"}", "{\n}", "{\"a\":\t1}", "\xef\xbb\xbf{}", "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xc0\xaf\"}", "{\"\xff\":1}",
	`{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "{\"a\":1}\xff", "{\u00a0}",
}

func compareReaders(t *testing.T, text string) (short bool) {
	t.Helper()
	short = false
	members, ok := scanObject([]byte(text), text, nil)
	var w workspace
	want, err := w.readAnyObject([]byte(text), text, diagnosis.PayloadInvalid)
	if ok && (err != nil || !slices.Equal(members, want)) {
		t.Errorf("%q: read the short way as %q, and strictly as %q, %v", text, members, want, err)
	}
	return ok
}

func TestScanObject(t *testing.T) {
	many := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, `"`+strings.Repeat("n", i)+`":1`)
		}
		return "{" + strings.Join(names, ",") + "}"
	}
	for _, text := range append(plainObjects, many(maxScanned), `{"a":`+many(maxScanned)+`}`) {
		if !compareReaders(t, text) {
			t.Errorf("%q is not read the short way", text)
		}
	}
	for _, text := range append(otherTexts, many(maxScanned+1), `{"a":`+many(maxScanned+1)+`}`) {
		if compareReaders(t, text) {
			t.Errorf("%q is read the short way", text)
		}
	}
}

// Each byte at each position of an object is found, although eight bytes are
// examined together.
func TestScanObjectFindsEachByte(t *testing.T) {
	const plain = `{"issuer":"https://a.example/x","exp":1795522200,"aud":["a b","c"],"ok":true}`
	for i := range len(plain) {
		for c := range 256 {
			compareReaders(t, plain[:i]+string([]byte{byte(c)})+plain[i+1:])
		}
	}
}

// What the fast reader accepts, the strict reader accepts too, with the same
// members.
func FuzzScanObject(f *testing.F) {
	for _, text := range append(plainObjects, otherTexts...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compareReaders(t, text) })
}
