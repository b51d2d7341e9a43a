package safehttp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Labels gives each secret a label, numbered in the order of appearance: token-1,
// code-1. Equal secrets have equal labels. Unlike a hash, a label does not depend
// on the secret. The zero value is ready to use. A nil Labels writes [redacted]
// instead. Labels is safe for concurrent use.
type Labels struct {
	mu     sync.Mutex
	labels map[string]string // by secret
	counts map[string]int    // by word
}

// mask returns the masker that writes labels.
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

// Replace returns text with every labelled secret replaced with its label. Short
// secrets are not replaced, because they could be a part of ordinary words; they
// are replaced only where their name identifies them.
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

// labelWord returns the word for secrets with that name.
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
