package apicall_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/apicall"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

// What a challenge asks for becomes flags of a login, as far as it is fit for a
// command.
func TestLoginFlags(t *testing.T) {
	tests := map[string]struct {
		status    int
		challenge []string
		want      []string
	}{
		"scopes":             {403, []string{`Bearer error="insufficient_scope", scope="a b:c"`}, []string{"--add-scope", "a", "--add-scope", "b:c"}},
		"no scope named":     {403, []string{`Bearer error="insufficient_scope"`}, nil},
		"scope like a flag":  {403, []string{`Bearer error="insufficient_scope", scope="--param a"`}, []string{"--add-scope", "a"}},
		"scope with escapes": {403, []string{"Bearer error=\"insufficient_scope\", scope=\"a\x1b[31m b\""}, []string{"--add-scope", "b"}},
		"step up":            {401, []string{`Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="300"`}, []string{"--acr-values", "gold", "--acr-values", "silver", "--max-age", "5m0s"}},
		"fresh login":        {401, []string{`Bearer error="insufficient_user_authentication", max_age=0`}, []string{"--max-age", "0s"}},
		"max_age no number":  {401, []string{`Bearer error="insufficient_user_authentication", max_age="-1"`}, nil},
		"the one that says":  {403, []string{`Bearer realm="a"`, `Basic realm="b"`, `DPoP error="insufficient_scope", scope="x"`}, []string{"--add-scope", "x"}},
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
		if diff := cmp.Diff(tt.want, r.LoginFlags()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
