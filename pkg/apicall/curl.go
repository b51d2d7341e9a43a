package apicall

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Curl writes the request as a command for a POSIX shell and curl. The token is
// not in it, nor in curl's arguments when it runs: header is a command that
// prints the Authorization field, `oauthctl token --format header`, and curl
// reads that from a file descriptor. With no token wanted header is not used.
// It errs where the origin is refused as [Client.Do] refuses it, and where the
// body cannot stand in a command; one from a stream is read from curl's own
// standard input.
func (c *Client) Curl(r Request, header string) (string, error) {
	req, err := c.Preview(context.Background(), Request{Method: r.Method, Target: r.Target, Query: r.Query, Header: r.Header})
	if err != nil {
		return "", err
	}
	words := []string{"curl", "--globoff"}
	switch {
	case req.Method == http.MethodHead:
		words = append(words, "--head")
	case req.Method != http.MethodGet || r.hasBody():
		words = append(words, "-X", shell(req.Method))
	}
	if c.Source != nil {
		words = append(words, "-H", "@/dev/fd/3")
	}
	for _, name := range sortedNames(req.Header) {
		for _, value := range req.Header[name] {
			words = append(words, "-H", shell(field(name, value)))
		}
	}
	body, err := r.curlBody()
	if err != nil {
		return "", err
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		// curl would call it a form.
		words = append(words, "-H", "Content-Type:")
	}
	words = append(append(words, body...), shell(req.URL.String()))
	command := strings.Join(words, " ")
	if c.Source != nil {
		// A login that is needed ends it before anything is sent.
		command = "header=$(" + header + ") && " + command + " 3<<EOF\n$header\nEOF"
	}
	return command, nil
}

func (r Request) hasBody() bool { return r.Body != nil || r.Open != nil || r.Stream != nil }

func (r Request) curlBody() ([]string, error) {
	switch {
	case r.Stream != nil:
		return []string{"--data-binary", "@-"}, nil
	case r.Open != nil:
		return nil, errors.New("apicall: the body is a file; give it to curl with --data-binary @FILE")
	case r.Body == nil:
		return nil, nil
	case !utf8.Valid(r.Body) || strings.ContainsRune(string(r.Body), 0) || len(r.Body) > 64<<10:
		return nil, errors.New("apicall: the body is too long or not text, so it cannot stand in a command")
	}
	return []string{"--data-raw", shell(string(r.Body))}, nil
}

// field writes a header field for -H, where an empty value needs another sign.
func field(name, value string) string {
	if value == "" {
		return name + ";"
	}
	return fmt.Sprintf("%s: %s", name, value)
}

// shell quotes a word for a POSIX shell.
func shell(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
