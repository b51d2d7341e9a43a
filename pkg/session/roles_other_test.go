//go:build !unix

package session_test

func roles() map[string]func(dir string) int { return map[string]func(string) int{"token": asToken} }
