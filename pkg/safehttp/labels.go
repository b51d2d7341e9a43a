package safehttp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Labels gives each secret a label, numbered in the order in which the secrets
// appear: token-1, code-1. Equal secrets have equal labels, which say nothing else
// about them, as a hash would. The zero value is ready; a nil one labels nothing
// and writes [redacted]. It is safe for concurrent use.
type Labels struct {
	mu     sync.Mutex
	labels map[string]string // by the secret
	counts map[string]int    // by the word
}

// mask is the masker of the labels.
func (l *Labels) mask(name, value string) string {
	if l == nil {
		return redacted
	}
	if value == "" {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if label := l.labels[value]; label != "" {
		return label
	}
	if l.labels == nil {
		l.labels, l.counts = map[string]string{}, map[string]int{}
	}
	word := labelWord(name)
	l.counts[word]++
	l.labels[value] = fmt.Sprintf("%s-%d", word, l.counts[word])
	return l.labels[value]
}

// Replace returns text with every secret that has a label replaced by it, wherever
// it appears. Short ones could be part of ordinary words and are left to the
// places where their name shows them.
func (l *Labels) Replace(text string) string {
	if l == nil || text == "" {
		return text
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	secrets := make([]string, 0, len(l.labels))
	for value := range l.labels {
		if len(value) >= 8 && strings.Contains(text, value) {
			secrets = append(secrets, value)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range secrets {
		text = strings.ReplaceAll(text, value, l.labels[value])
	}
	return text
}

// labelWord says in one word what a secret of that name is.
func labelWord(name string) string {
	switch name = strings.ToLower(name); {
	case name == "bearer", strings.Contains(name, "token"):
		return "token"
	case name == "dpop":
		return "proof"
	case strings.HasSuffix(name, "code"):
		return "code"
	case name == "state", name == "nonce", strings.Contains(name, "assertion"), strings.Contains(name, "cookie"):
		return strings.ReplaceAll(strings.TrimPrefix(name, "client_"), "_", "-")
	}
	return "secret"
}
