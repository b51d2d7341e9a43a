package jwks_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// allocated returns how many bytes f allocates on the heap in total.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A key with many thumbprints costs no more than another: a quadratic search takes
// seconds for these.
func TestKeyWithManyThumbprints(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"keys":[{"kty":"RSA"`)
	for i := 0; text.Len() < jwks.MaxBytes-40; i++ {
		fmt.Fprintf(&text, `,"x5t":"%x"`, i)
	}
	text.WriteString(`}]}`)
	start := time.Now()
	set, err := jwks.Parse([]byte(text.String()))
	if err != nil || len(set.Skipped()) != 1 {
		t.Fatalf("%v, %v", set, err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	reason := func(x5t string) diagnosis.ID {
		_, err := set.Keys(t.Context(), jwks.Query{Algorithm: "RS256", X5T: x5t})
		return idOf(err)
	}
	if got := []diagnosis.ID{reason("0"), reason("ffff")}; got[0] != diagnosis.KeyRefused || got[1] != diagnosis.KeySetEmpty {
		t.Errorf("%v", got)
	}
}

// A set over the limits is refused before much memory is allocated for it.
func TestLargeSets(t *testing.T) {
	good := strings.TrimPrefix(strings.TrimSuffix(string(mustMarshal(t, newPublic(t))), "]}"), `{"keys":[`)
	set := func(n int, key string) []byte {
		return []byte(`{"keys":[` + good + strings.Repeat(","+key, n-1) + `]}`)
	}
	sets := map[string]struct {
		data []byte
		fits bool
	}{
		"100 keys":                   {set(100, `{"kty":"none"}`), true},
		"101 keys":                   {set(101, `{"kty":"none"}`), false},
		"100,000 keys":               {set(100_000, `{}`), false},
		"100,000 keys in many bytes": {set(100_000, good), false},
	}
	for name, tt := range sets {
		t.Run(name, func(t *testing.T) {
			var err error
			bytes := allocated(func() { _, err = jwks.Parse(tt.data) })
			if (err == nil) != tt.fits {
				t.Errorf("got %v", err)
			}
			if bytes > 2<<20 {
				t.Errorf("%d bytes of set took %d bytes of heap", len(tt.data), bytes)
			}
		})
	}
}

// The same over HTTP: an answer that is too large is not read to its end.
func TestLargeSetOverHTTP(t *testing.T) {
	e := newEndpoint(t)
	key := newPublic(t)
	e.publish("", key)
	r := e.remote()
	e.want(r, key.ID(), "")
	large := fmt.Sprintf(`{"keys":[%s{}]}`, strings.Repeat(`{"kty":"none"},`, 1_000_000))
	e.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	e.pass(25 * time.Hour)
	e.want(r, key.ID(), diagnosis.KeysUnavailable)
}

func mustMarshal(t *testing.T, keys ...*jwks.Key) []byte {
	t.Helper()
	data, err := json.Marshal(jwks.NewSet(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
