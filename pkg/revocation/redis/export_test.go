package redis

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/oauthctl/oauthctl/pkg/revocation"
)

// Fill writes n entries to the stream like Revoke, without a round trip for
// each.
func (s *Store) Fill(ctx context.Context, n int, until time.Time) error {
	redis, err := s.client.connected(ctx)
	if err != nil {
		return err
	}
	for i := 0; i < n; {
		var lines []rueidis.Completed
		for range min(10_000, n-i) {
			sum := sha256.Sum256(fmt.Append(nil, i))
			var key revocation.Key
			copy(key[:], sum[:])
			lines = append(lines, redis.B().Xadd().Key(s.stream()).Id("*").FieldValue().FieldValue("k", text(key)).FieldValue("c", fmt.Sprint(revocation.Always)).FieldValue("u", fmt.Sprint(until.UnixMilli())).Build())
			i++
		}
		for _, reply := range redis.DoMulti(ctx, lines...) {
			if err := reply.Error(); err != nil {
				return err
			}
		}
	}
	return nil
}
