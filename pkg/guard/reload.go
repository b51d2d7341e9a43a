package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/oauthctl/oauthctl/pkg/policy"
	"github.com/oauthctl/oauthctl/pkg/policy/policyfile"
)

// Watch loads the policy file, with the files that it includes, whenever it
// differs from the current policy, until ctx ends. It checks at every interval.
// The content must be the same in two checks, because a file may be written in
// steps: write a new file and rename it. An invalid policy is logged and counted,
// and the old one remains in use.
func (h *Handler) Watch(ctx context.Context, file string, interval time.Duration) {
	w := watcher{handler: h, file: file, missing: true}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
		}
	}
}

// watcher holds the state of earlier checks.
type watcher struct {
	handler *Handler
	file    string
	last    [sha256.Size]byte // hash at the last check; zero if it could not be read
	refused [sha256.Size]byte // content that was refused already
	missing bool              // that the file cannot be read was logged, or it never could
}

func (w *watcher) look() {
	source, err := policyfile.Open(w.file)
	if err != nil {
		if !w.missing {
			w.handler.reloaded(w.file, nil, err)
		}
		w.missing, w.last = true, [sha256.Size]byte{}
		return
	}
	w.missing = false
	digest := source.Digest()
	same := digest == w.last
	w.last = digest
	switch {
	case digest == w.handler.current.Load().policy.Digest():
		w.refused = [sha256.Size]byte{}
	case same && digest != w.refused:
		if w.handler.reload(source, w.file) != nil {
			w.refused = digest
		}
	}
}

// Reload loads the policy file immediately, for example after a signal.
func (h *Handler) Reload(file string) error {
	source, err := policyfile.Open(file)
	if err != nil {
		h.reloaded(file, nil, err)
		return err
	}
	return h.reload(source, file)
}

func (h *Handler) reload(source *policyfile.Source, file string) error {
	before := h.current.Load().policy
	p, err := source.Policy(h.config.Getenv)
	if err == nil {
		err = h.SetPolicy(p)
	}
	var changes []policy.Change
	if err == nil {
		changes = policy.Compare(before, p)
	}
	h.reloaded(file, changes, err)
	return err
}

// reloaded counts and logs the result of a reload, with everything that the new
// policy accepts and the old one refused.
func (h *Handler) reloaded(file string, changes []policy.Change, err error) {
	if err != nil {
		h.metrics.countReload("refused")
		reason := err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			reason = "no such file: " + file
		}
		h.config.Log.Error("policy refused, the old one stays", slog.String("reason", reason))
		return
	}
	h.metrics.countReload("ok")
	attrs := []any{slog.String("file", file)}
	level := slog.LevelInfo
	var widened []string
	for _, c := range changes {
		if c.Widens {
			widened = append(widened, c.String())
		}
	}
	if len(widened) > 0 {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Any("widened", widened[:min(len(widened), 20)]))
	}
	h.config.Log.Log(context.Background(), level, "policy loaded", append(attrs, slog.Int("changes", len(changes)))...)
}
