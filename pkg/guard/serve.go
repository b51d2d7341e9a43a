package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/oauthctl/oauthctl/pkg/policy"
)

// Watch takes over the policy file whenever it changes, until ctx ends; it looks
// every interval. A policy that is wrong is logged and counted, and the old one
// stays.
func (h *Handler) Watch(ctx context.Context, file string, interval time.Duration) {
	known, _ := os.ReadFile(file)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(file)
		if err == nil && bytes.Equal(data, known) {
			continue
		}
		if err == nil {
			known = data
			err = h.reload(data, file)
		} else if known == nil {
			continue
		} else {
			// Told once; the next good content is taken over.
			known = nil
		}
		result := "ok"
		if err != nil {
			result = "refused"
			h.config.Log.ErrorContext(ctx, "policy refused, the old one stays", slog.String("reason", err.Error()))
		} else {
			h.config.Log.InfoContext(ctx, "policy taken over", slog.String("file", file))
		}
		h.metrics.countReload(result)
	}
}

func (h *Handler) reload(data []byte, file string) error {
	p, err := policy.Load(data, file)
	if err != nil {
		return err
	}
	return h.SetPolicy(p)
}

// maxHeaderBytes leaves room for the largest token beside other fields.
const maxHeaderBytes = 128 << 10

// Serve answers requests on l by HTTP/1.1 and unencrypted HTTP/2 until ctx ends.
// Then it takes no more of them and gives those under way the grace period to
// finish. The listener is closed.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaderBytes,
		Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("guard: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Shutdown(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}
