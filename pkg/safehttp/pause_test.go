package safehttp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

func TestPause(t *testing.T) {
	if err := safehttp.Pause(t.Context(), time.Nanosecond); err != nil {
		t.Error(err)
	}
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := safehttp.Pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}
