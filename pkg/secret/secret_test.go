package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/secret"
)

const canary = "canary-5f2a9c"

// carrier has the secret in an unexported field, whose methods fmt does not
// call.
type carrier struct {
	Name   string
	hidden secret.String
	Shown  secret.String
}

func TestValueIsNeverPrinted(t *testing.T) {
	s := secret.New(canary)
	c := carrier{Name: "x", hidden: s, Shown: s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
		fmt.Fprintf(&out, verb+"\n", []any{c, map[string]secret.String{"k": s}})
	}
	logger := slog.New(slog.NewTextHandler(&out, nil))
	logger.Info("x", "s", s, "c", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "c", c)
	if data, err := json.Marshal(c); !errors.Is(err, secret.ErrMarshal) {
		t.Errorf("encoded as %s, %v", data, err)
	} else {
		fmt.Fprintln(&out, err)
	}
	if data, err := json.Marshal(carrier{Name: "x"}); err != nil {
		t.Errorf("without a value: %s, %v", data, err)
	}
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v %w", s, fmt.Errorf("%s", s)))

	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal() = %q, want the value", s.Reveal())
	}
}

func TestDecodeKeepsTheValue(t *testing.T) {
	var answer struct {
		AccessToken secret.String `json:"access_token"`
		Refresh     secret.String `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(`{"access_token":"`+canary+`"}`), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.AccessToken.Reveal() != canary || !answer.Refresh.IsZero() {
		t.Errorf("decoded %q and %q", answer.AccessToken.Reveal(), answer.Refresh.Reveal())
	}
}

func TestEqual(t *testing.T) {
	tests := []struct {
		a, b secret.String
		want bool
	}{
		{secret.New("a"), secret.New("a"), true},
		{secret.New("a"), secret.New("b"), false},
		{secret.New("a"), secret.New("aa"), false},
		{secret.String{}, secret.New(""), true},
		{secret.String{}, secret.New("a"), false},
	}
	for _, tt := range tests {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v, want %v", tt.a.Reveal(), tt.b.Reveal(), got, tt.want)
		}
	}
}
