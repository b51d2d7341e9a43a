package jwks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

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
		found, err := remote.Keys(context.Background(), key.ID(), "ES256")
		fmt.Println(len(found), err)
	}
	fmt.Println(fetches, "fetch")
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 1 <nil>
	// 1 fetch
}
