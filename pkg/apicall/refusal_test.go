package apicall_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// The values of a challenge are used only if they are safe in a command.
func TestRefusedAsksFor(t *testing.T) {
	tests := map[string]struct {
		status    int
		challenge []string
		want      []string // scopes, acr values, max_age
	}{
		"scopes":             {403, []string{`Bearer error="insufficient_scope", scope="a b:c"`}, []string{"a", "b:c"}},
		"no scope named":     {403, []string{`Bearer error="insufficient_scope"`}, nil},
		"scope like a flag":  {403, []string{`Bearer error="insufficient_scope", scope="--param a"`}, []string{"a"}},
		"scope with escapes": {403, []string{"Bearer error=\"insufficient_scope\", scope=\"a\x1b[31m b\""}, []string{"b"}},
		"step up":            {401, []string{`Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="300"`}, []string{"gold", "silver", "5m0s"}},
		"fresh login":        {401, []string{`Bearer error="insufficient_user_authentication", max_age=0`}, []string{"0s"}},
		"max_age no number":  {401, []string{`Bearer error="insufficient_user_authentication", max_age="-1"`}, nil},
		"the one that says":  {403, []string{`Bearer realm="a"`, `Basic realm="b"`, `DPoP error="insufficient_scope", scope="x"`}, []string{"x"}},
		"invalid token":      {401, []string{`Bearer error="invalid_token", scope="a"`}, nil},
		"good":               {200, nil, nil},
	}
	for name, tt := range tests {
		r := apicall.Refused(&http.Response{StatusCode: tt.status, Header: http.Header{"Www-Authenticate": tt.challenge}})
		if r == nil {
			if tt.status >= 400 {
				t.Errorf("%s: no refusal", name)
			}
			continue
		}
		var d *diagnosis.Diagnosis
		if !errors.As(error(r), &d) || d != r.Diagnosis {
			t.Errorf("%s: errors.As finds %v", name, d)
		}
		got := slices.Concat(r.Scopes, r.ACRValues)
		if r.MaxAge >= 0 {
			got = append(got, r.MaxAge.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
