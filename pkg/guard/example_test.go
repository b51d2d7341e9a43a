package guard_test

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/oauthctl/oauthctl/pkg/guard"
	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// A guard for an API on port 8000, whose policy can change while it runs.
func ExampleNew() {
	data, err := os.ReadFile("policy.yaml")
	if err != nil {
		log.Fatal(err)
	}
	p, err := policyfile.Load(data, "policy.yaml")
	if err != nil {
		log.Fatal(err)
	}
	keys := jwks.NewRemote("https://auth.example.com/jwks", jwks.RemoteOptions{})
	defer keys.Close()
	h, err := guard.New(guard.Config{
		Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:8000"},
		Policy:   p, Keys: keys, Resource: "https://api.example.com", Log: slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go h.Watch(ctx, "policy.yaml", time.Second)
	l, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	server := guard.Server{Handler: h, Draining: h.Drain, Grace: 10 * time.Second}
	if err := server.Serve(ctx, l); err != nil {
		log.Fatal(err)
	}
}
