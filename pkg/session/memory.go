package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// memory holds records like a directory, for the lifetime of the process.
type memory struct {
	mu    sync.Mutex
	data  map[slot][]byte
	locks map[slot]chan struct{}
}

func newMemory() *memory {
	return &memory{data: map[slot][]byte{}, locks: map[slot]chan struct{}{}}
}

func (m *memory) read(at slot) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.data[at]
	if !ok {
		return nil, ErrNotFound
	}
	return data, nil
}

func (m *memory) write(r record) error {
	data, err := encode(r, seal{})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[r.slot()] = data
	return nil
}

func (m *memory) remove(at slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, at)
}

func (m *memory) profiles() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for at := range maps.Keys(m.data) {
		if at == sessionOf(at.profile) {
			names = append(names, at.profile)
		}
	}
	slices.Sort(names)
	return names
}

func (m *memory) lock(ctx context.Context, at slot) (unlock func(), err error) {
	m.mu.Lock()
	held := m.locks[at]
	if held == nil {
		held = make(chan struct{}, 1)
		m.locks[at] = held
	}
	m.mu.Unlock()
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("session: %w", ctx.Err())
	}
}
