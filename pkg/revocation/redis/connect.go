package redis

import (
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// errURL stands for the library's own errors, which quote the URL.
var errURL = errors.New("redis: expected a URL such as redis://localhost:6379/0")

// connect returns a client for one server, a cluster or a server that sentinels
// know, and the prefix that its keys need.
func connect(rawURL string, timeout time.Duration) (goredis.UniversalClient, string, error) {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	scheme, rest, _ := strings.Cut(rawURL, "://")
	scheme, kind, _ := strings.Cut(scheme, "+")
	switch kind {
	case "cluster":
		c, err := goredis.ParseClusterURL(scheme + "://" + rest)
		if err != nil {
			return nil, "", errURL
		}
		c.ContextTimeoutEnabled, c.DisableIdentity, c.MaintNotificationsConfig = true, true, quiet
		c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = timeout, timeout, timeout, timeout
		c.MaxRetries, c.DialerRetries = 1, 1
		return goredis.NewClusterClient(c), clusterPrefix, nil
	case "sentinel":
		c, err := goredis.ParseFailoverURL(scheme + "://" + rest)
		if err != nil || c.MasterName == "" {
			return nil, "", errURL
		}
		c.ContextTimeoutEnabled, c.DisableIdentity = true, true
		c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = timeout, timeout, timeout, timeout
		c.MaxRetries, c.DialerRetries = 1, 1
		return goredis.NewFailoverClient(c), defaultPrefix, nil
	case "":
		c, err := goredis.ParseURL(rawURL)
		if err != nil {
			return nil, "", errURL
		}
		c.ContextTimeoutEnabled, c.DisableIdentity, c.MaintNotificationsConfig = true, true, quiet
		c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolTimeout = timeout, timeout, timeout, timeout
		c.MaxRetries, c.DialerRetries = 1, 1
		return goredis.NewClient(c), defaultPrefix, nil
	}
	return nil, "", errURL
}
