package redis

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// Fill writes n entries to the stream as Revoke would, without a round trip for
// each.
func (s *Store) Fill(ctx context.Context, n int, until time.Time) error {
	for i := 0; i < n; {
		pipe := s.client.Pipeline()
		for range min(10_000, n-i) {
			sum := sha256.Sum256(fmt.Append(nil, i))
			var key revocation.Key
			copy(key[:], sum[:])
			pipe.XAdd(ctx, &goredis.XAddArgs{Stream: s.stream(), Values: []any{"k", text(key), "c", fmt.Sprint(revocation.Always), "u", fmt.Sprint(until.UnixMilli())}})
			i++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
