package jwks_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// If the endpoint hangs when the set has expired, only the requests that arrive
// at that moment wait; as soon as it answers again, its keys are used.
func TestRemoteHangs(t *testing.T) {
	first, second := generate(t), generate(t)
	var hangs atomic.Bool
	var served atomic.Pointer[jwks.Set]
	served.Store(jwks.NewSet(first.Public()))
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		data, err := served.Load().MarshalJSON()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(data)
	}))
	defer server.Close()
	var moved atomic.Int64
	remote := jwks.NewRemote(server.URL, jwks.RemoteOptions{Now: func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }})
	defer remote.Close()
	has := func(key *jwks.PrivateKey) bool {
		keys, err := remote.Keys(t.Context(), jwks.Query{KeyID: key.ID(), Algorithm: key.Algorithm()})
		return err == nil && len(keys.Keys) == 1
	}
	if !has(first) {
		t.Fatal("positive control failed")
	}
	hangs.Store(true)
	moved.Store(int64(time.Hour))
	var group sync.WaitGroup
	began := time.Now()
	for range 50 {
		group.Go(func() {
			if !has(first) {
				t.Error("the old key does not serve")
			}
		})
	}
	group.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the first requests waited %s", took)
	}
	began = time.Now()
	for range 200 {
		if !has(first) {
			t.Fatal("the old key does not serve")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("200 requests afterwards took %s", took)
	}

	served.Store(jwks.NewSet(second.Public()))
	hangs.Store(false)
	close(release)
	for range 2000 {
		moved.Add(int64(10 * time.Millisecond))
		if has(first); remote.State().Generation == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if has(first) || !has(second) {
		t.Errorf("the new set is not taken: %+v", remote.State())
	}
}

func generate(t *testing.T) *jwks.PrivateKey {
	t.Helper()
	key, err := jwks.Generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}
