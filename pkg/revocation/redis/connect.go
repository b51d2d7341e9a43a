package redis

import (
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// errURL replaces the errors of the library, which contain the URL.
var errURL = errors.New("redis: expected a URL such as redis://localhost:6379/0")

// connect returns a client for one server, a cluster or a sentinel setup, and
// whether it is a cluster. It always reads from a primary, whatever the URL
// says, because a replica may not have the latest revocations.
func connect(rawURL string, timeout time.Duration) (c goredis.UniversalClient, cluster bool, err error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	scheme, kind, _ := strings.Cut(scheme, "+")
	switch plain := scheme + "://" + rest; kind {
	case "cluster":
		c, err = connectCluster(plain, timeout)
		return c, true, err
	case "sentinel":
		c, err = connectSentinel(plain, timeout)
	case "":
		c, err = connectServer(plain, timeout)
	default:
		err = errURL
	}
	return c, false, err
}

func connectServer(rawURL string, timeout time.Duration) (goredis.UniversalClient, error) {
	o, err := goredis.ParseURL(rawURL)
	if err != nil {
		return nil, errURL
	}
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.MaxRetries, o.DialerRetries = 1, 1
	return goredis.NewClient(o), nil
}

func connectCluster(rawURL string, timeout time.Duration) (goredis.UniversalClient, error) {
	o, err := goredis.ParseClusterURL(rawURL)
	if err != nil {
		return nil, errURL
	}
	o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet()
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.MaxRetries, o.DialerRetries = 1, 1
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	// The library does not find the new primary after a failover.
	o.ClusterStateReloadInterval = time.Second
	return goredis.NewClusterClient(o), nil
}

func connectSentinel(rawURL string, timeout time.Duration) (goredis.UniversalClient, error) {
	o, err := goredis.ParseFailoverURL(rawURL)
	if err != nil || o.MasterName == "" {
		return nil, errURL
	}
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.MaxRetries, o.DialerRetries = 1, 1
	o.ReplicaOnly, o.UseDisconnectedReplicas, o.RouteByLatency, o.RouteRandomly = false, false, false, false
	return goredis.NewFailoverClient(o), nil
}

func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// inOneSlot returns a prefix that puts all keys into one slot of a cluster, so
// that a script may use several of them (Redis Cluster Specification, hash tags).
func inOneSlot(prefix string) string {
	if open := strings.IndexByte(prefix, '{'); open >= 0 && strings.IndexByte(prefix[open+1:], '}') > 0 {
		return prefix
	}
	return "{" + strings.TrimSuffix(prefix, ":") + "}:"
}
