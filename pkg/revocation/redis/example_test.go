package redis_test

import (
	"context"
	"log"
	"time"

	"github.com/oauthctl/oauthctl/pkg/bearer"
	"github.com/oauthctl/oauthctl/pkg/revocation"
	"github.com/oauthctl/oauthctl/pkg/revocation/redis"
)

// Every instance of an API refuses what any of them, or an operator, revoked.
func ExampleOpen() {
	store, err := redis.Open("redis://localhost:6379/0", redis.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_ = bearer.Revocation(store) // an option of bearer.Require

	// All that alice was given until now is worth nothing; her next login works.
	err = store.Revoke(context.Background(), revocation.Subject("https://auth.example.com", "alice", time.Now()))
	if err != nil {
		log.Fatal(err)
	}
}
