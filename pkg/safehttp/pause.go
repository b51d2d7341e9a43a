package safehttp

import (
	"context"
	"time"
)

// Pause waits between two requests. It returns the error of the context if that ends
// first.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
