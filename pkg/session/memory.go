package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// memory keeps sessions as long as the process lives.
type memory struct {
	mu       sync.Mutex
	sessions map[string]*Session
	locks    map[string]chan struct{}
}

func newMemory() *memory {
	return &memory{sessions: map[string]*Session{}, locks: map[string]chan struct{}{}}
}

func (m *memory) load(profile string) (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[profile]
	if s == nil {
		return nil, ErrNotFound
	}
	return s.clone(), nil
}

func (m *memory) save(s *Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[s.Profile] = s.clone()
	return nil
}

// keep saves a session, if there is one.
func (m *memory) keep(s *Session) error {
	if s == nil {
		return nil
	}
	return m.save(s)
}

func (m *memory) remove(profile string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, profile)
}

func (m *memory) profiles() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.sessions))
}

func (m *memory) lock(ctx context.Context, profile string) (unlock func(), err error) {
	m.mu.Lock()
	held := m.locks[profile]
	if held == nil {
		held = make(chan struct{}, 1)
		m.locks[profile] = held
	}
	m.mu.Unlock()
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("session: %w", ctx.Err())
	}
}

func (s *Session) clone() *Session {
	c := *s
	c.Scope, c.Resource = slices.Clone(s.Scope), slices.Clone(s.Resource)
	return &c
}
