package guard

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauthctl/oauthctl/pkg/jwks"
	"github.com/oauthctl/oauthctl/pkg/token"
)

// KeySet is a key set whose readiness and state the guard reports. [jwks.Set] and
// [jwks.Remote] are key sets.
type KeySet interface {
	token.KeySet
	// Ready returns nil if there are keys to verify tokens with. It fetches
	// them if needed, within ctx.
	Ready(ctx context.Context) error
	State() jwks.State
}

// FileKeys is a key set: the keys in a file, which [FileKeys.Reload] reads
// again.
type FileKeys struct {
	file    string
	mu      sync.Mutex
	current atomic.Pointer[fileSet]
}

type fileSet struct {
	set        *jwks.Set
	generation uint64
	read       time.Time
}

// OpenKeys returns the keys in a file.
func OpenKeys(file string) (*FileKeys, error) {
	k := &FileKeys{file: file}
	k.current.Store(&fileSet{set: jwks.NewSet()})
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the file again. On an error the keys in use stay.
func (k *FileKeys) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := os.ReadFile(k.file)
	if err != nil {
		return err
	}
	set, err := jwks.Parse(data)
	if err != nil {
		return err
	}
	if len(set.All()) == 0 {
		return errors.New("the key set has no usable key")
	}
	old := k.current.Load()
	k.current.Store(&fileSet{set: set, generation: old.generation + 1, read: time.Now()})
	return nil
}

// Keys implements [token.KeySet].
func (k *FileKeys) Keys(ctx context.Context, q jwks.Query) (jwks.Candidates, error) {
	return k.current.Load().set.Keys(ctx, q)
}

// Ready implements [KeySet].
func (k *FileKeys) Ready(context.Context) error { return nil }

// State implements [KeySet].
func (k *FileKeys) State() jwks.State {
	c := k.current.Load()
	return jwks.State{FetchedAt: c.read, Keys: len(c.set.All()), Fetches: c.generation, Generation: c.generation}
}

// Generation implements [KeySet].
func (k *FileKeys) Generation() uint64 { return k.current.Load().generation }

// Former implements [KeySet].
func (k *FileKeys) Former(string) *jwks.Key { return nil }
