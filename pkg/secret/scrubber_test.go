package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

func TestScrubberReplacesEachForm(t *testing.T) {
	const value = `s3cr/t+"k ü`
	var s secret.Scrubber
	s.Add(value)
	for _, shown := range []string{
		value, url.QueryEscape(value), url.PathEscape(value), strings.ToLower(url.QueryEscape(value)), url.QueryEscape(url.QueryEscape(value)),
		fmt.Sprintf("%q", value), fmt.Sprintf("%+q", value), hex.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
	} {
		if got := s.Scrub("before " + shown + " after"); !strings.Contains(got, "[redacted]") || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || strings.Contains(got, shown) {
			t.Errorf("%s became %q", shown, got)
		}
	}
	for _, id := range []string{"", "a", "ab", "abc", "my-client"} {
		basic := base64.StdEncoding.EncodeToString([]byte(id + ":" + value))
		got := s.Scrub(basic)
		if !strings.Contains(got, "[redacted]") || len(strings.ReplaceAll(got, "[redacted]", "")) > len(id)*4/3+6 {
			t.Errorf("base64 with the id %q: %q became %q", id, basic, got)
		}
	}
}

func TestScrubberShortSecrets(t *testing.T) {
	var s secret.Scrubber
	s.Add("ab", "x$")
	for text, want := range map[string]string{
		"the secret ab is wrong": "the secret [redacted] is wrong",
		"ab":                     "[redacted]",
		"ab ab ab":               "[redacted] [redacted] [redacted]",
		"password=ab&x=1":        "password=[redacted]&x=1",
		"about a cab":            "about a cab",
		"x$ and (x$)":            "[redacted] and ([redacted])",
	} {
		if got := s.Scrub(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestScrubberForgetsTheOldest(t *testing.T) {
	var s secret.Scrubber
	s.Add("the-first-one", "the-second-one")
	for i := range 300 {
		s.Add(fmt.Sprint("proof-number-", i), "the-first-one")
	}
	if got := s.Scrub("the-first-one the-second-one proof-number-299"); got != "[redacted] the-second-one [redacted]" {
		t.Error(got)
	}
	var none *secret.Scrubber
	none.Add("x")
	if got := none.Scrub("x"); got != "x" {
		t.Error(got)
	}
}

// A secret may be any bytes, for example a parameter value that is not UTF-8.
func TestScrubberSecretsThatAreNotUTF8(t *testing.T) {
	for _, value := range []string{"\xad", "\xff\xfe", "a\xc3", "\xe2\x82", "long and \xad bad"} {
		var s secret.Scrubber
		s.Add(value)
		if got := s.Scrub("token=" + value + "&" + value + ";ok"); got != "token=[redacted]&[redacted];ok" {
			t.Errorf("%q: %q", value, got)
		}
	}
}
