package redis

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/singleflight"
)

// errURL replaces the errors of the library, which contain the URL.
var errURL = errors.New("redis: expected a URL such as redis://localhost:6379/0")

var errClosed = errors.New("the store is closed")

// connect returns a client for one server, a cluster or a sentinel setup, and
// whether it is a cluster. It always reads from a primary, because a replica may not
// have the latest revocations.
func connect(rawURL string, timeout time.Duration) (c *client, cluster bool, err error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	scheme, kind, _ := strings.Cut(scheme, "+")
	plain := scheme + "://" + rest
	o, err := rueidis.ParseURL(plain)
	u, err2 := url.Parse(plain)
	if err != nil || err2 != nil {
		return nil, false, errURL
	}
	if err := checkParameters(u.Query()); err != nil {
		return nil, false, err
	}
	o.DisableCache, o.ClientSetInfo = true, rueidis.DisableClientSetInfo
	// A connection that Redis closes is noticed at once, not by the next command.
	o.AlwaysPipelining = true
	o.Dialer.Timeout, o.ConnWriteTimeout = timeout, timeout
	o.ReadBufferEachConn, o.WriteBufferEachConn = 1<<16, 1<<14
	// A connection that Redis closed is replaced once. If that fails, the command fails
	// at once.
	o.RetryDelay = func(attempts int, _ rueidis.Completed, _ error) time.Duration {
		if attempts > 1 {
			return -1
		}
		return 0
	}
	o.Sentinel.MasterSet = ""
	switch kind {
	case "cluster":
		// A cluster has no databases.
		cluster, o.SelectDB = true, 0
		o.ClusterOption.ShardsRefreshInterval = time.Second
	case "sentinel":
		o.Sentinel = sentinel(u.Query(), o)
		if o.Sentinel.MasterSet == "" {
			return nil, false, errURL
		}
	case "":
		o.ForceSingleClient = true
	default:
		return nil, false, errURL
	}
	return &client{option: o}, cluster, nil
}

func sentinel(query url.Values, o rueidis.ClientOption) rueidis.SentinelOption {
	return rueidis.SentinelOption{
		Dialer: o.Dialer, TLSConfig: o.TLSConfig,
		MasterSet: query.Get("master_name"),
		Username:  query.Get("sentinel_username"), Password: query.Get("sentinel_password"),
		TopologyRefreshInterval: time.Second,
	}
}

// parameters are the ones that a URL may have. Options that tune a pool of
// connections or read from a replica do not apply here.
var parameters = []string{"addr", "client_name", "db", "master_name", "protocol", "sentinel_password", "sentinel_username", "skip_verify"}

var errParameter = errors.New("redis: expected no other parameters in the URL than " + strings.Join(parameters, ", "))

func checkParameters(query url.Values) error {
	for name := range query {
		if !slices.Contains(parameters, name) {
			return errParameter
		}
	}
	return nil
}

// client connects when it is first used, so that a program can start while Redis is
// unreachable.
type client struct {
	option rueidis.ClientOption
	dial   singleflight.Group

	mu     sync.Mutex
	open   rueidis.Client // nil until connected
	closed bool
}

func (c *client) connected(ctx context.Context) (rueidis.Client, error) {
	if open, err := c.current(); open != nil || err != nil {
		return open, err
	}
	dialed := c.dial.DoChan("", func() (any, error) {
		if open, err := c.current(); open != nil || err != nil {
			return open, err
		}
		open, err := rueidis.NewClient(c.option)
		if err != nil {
			return nil, err
		}
		return open, c.keep(open)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-dialed:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(rueidis.Client), nil
	}
}

func (c *client) current() (rueidis.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	return c.open, nil
}

func (c *client) keep(open rueidis.Client) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		open.Close()
		return errClosed
	}
	c.open = open
	return nil
}

func (c *client) close() {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	if open != nil {
		open.Close() // without the lock, since it may wait for a read
	}
}

// inOneSlot returns a prefix that puts all keys into one slot of a cluster, so
// that a script may use several of them (Redis Cluster Specification, hash tags).
func inOneSlot(prefix string) string {
	if open := strings.IndexByte(prefix, '{'); open >= 0 && strings.IndexByte(prefix[open+1:], '}') > 0 {
		return prefix
	}
	return "{" + strings.TrimSuffix(prefix, ":") + "}:"
}
