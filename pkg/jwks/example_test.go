package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// A key set at a URL, fetched when it is first needed, kept, and renewed in the background.
func ExampleRemote() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		panic(err)
	}
	fetches := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches++
		data, _ := jwks.NewSet(key.Public()).MarshalJSON()
		_, _ = w.Write(data)
	}))
	defer server.Close()

	remote := jwks.NewRemote(server.URL, jwks.RemoteOptions{})
	defer remote.Close()
	for range 3 {
		found, err := remote.Keys(context.Background(), jwks.Query{KeyID: key.ID(), Algorithm: "ES256"})
		fmt.Println(found.Fit, err)
	}
	fmt.Println(fetches, "fetch")
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 1 <nil>
	// 1 fetch
}

// While the endpoint cannot be reached, the stored keys are used for MaxStale,
// and no longer: then an API answers 503, not 401.
func ExampleRemoteOptions() {
	key, err := jwks.Generate("ES256")
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		data, _ := jwks.NewSet(key.Public()).MarshalJSON()
		_, _ = w.Write(data)
	}))
	now := time.Now()
	remote := jwks.NewRemote(server.URL, jwks.RemoteOptions{MaxStale: time.Hour, Now: func() time.Time { return now }})
	defer remote.Close()
	if err := remote.Ready(context.Background()); err != nil {
		panic(err)
	}
	server.Close()

	for _, later := range []time.Duration{30 * time.Minute, 2 * time.Hour} {
		now = now.Add(later)
		_, err := remote.Keys(context.Background(), jwks.Query{KeyID: key.ID(), Algorithm: "ES256"})
		fmt.Println(errors.Is(err, &diagnosis.Diagnosis{ID: diagnosis.KeysUnavailable}))
	}
	// Output:
	// false
	// true
}
