package redis_test

import (
	"context"
	"log"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// Every instance of an API refuses tokens that another instance or an operator
// has revoked.
func ExampleOpen() {
	store, err := redis.Open("redis://localhost:6379/0", redis.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_ = bearer.Revocation(store) // an option of bearer.Require

	// All tokens that alice has so far are refused; her next login works.
	err = store.Revoke(context.Background(), revocation.OfSubject("https://auth.example.com", "alice", time.Now()))
	if err != nil {
		log.Fatal(err)
	}
}
