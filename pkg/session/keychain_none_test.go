//go:build unix && !linux

package session_test

func asKeychain(string) int { return 2 }

func asConfined(string) int { return 2 }
