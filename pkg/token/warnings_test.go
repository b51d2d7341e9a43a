package token_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/token"
)

func TestWarnings(t *testing.T) {
	key := newKey(t, "EdDSA")
	tests := map[string]struct {
		typ    string
		change map[string]any
		want   map[diagnosis.ID]string
	}{
		"nothing odd":            {typ: "at+jwt", want: map[diagnosis.ID]string{}},
		"not an e-mail address":  {change: map[string]any{"x": "a@b", "y": "see https://a@b.example", "z": "items:read"}, want: map[diagnosis.ID]string{}},
		"not a card number":      {change: map[string]any{"x": "4111111111111112", "y": "0000000000000000", "z": "12345"}, want: map[diagnosis.ID]string{}},
		"e-mail in an ID token":  {change: map[string]any{"email": "a@b.example", "at_hash": "n"}, want: map[diagnosis.ID]string{}},
		"a day and no more":      {change: map[string]any{"iat": now.Unix(), "exp": now.Unix() + 86400}, want: map[diagnosis.ID]string{}},
		"e-mail by name":         {change: map[string]any{"email": "hidden"}, want: map[diagnosis.ID]string{diagnosis.PersonalData: "email"}},
		"e-mail by its look":     {change: map[string]any{"sub": "a@b.example"}, want: map[diagnosis.ID]string{diagnosis.PersonalData: "sub"}},
		"inside another claim":   {change: map[string]any{"user": map[string]any{"phone": "+1"}}, want: map[diagnosis.ID]string{diagnosis.PersonalData: "user.phone"}},
		"password":               {change: map[string]any{"Password": "hunter2"}, want: map[diagnosis.ID]string{diagnosis.SecretInToken: "Password"}},
		"card number":            {change: map[string]any{"n": []string{"4111 1111 1111 1111"}}, want: map[diagnosis.ID]string{diagnosis.SecretInToken: "n"}},
		"lives long":             {change: map[string]any{"iat": now.Unix(), "exp": now.Unix() + 90000}, want: map[diagnosis.ID]string{diagnosis.LongLived: "1 d 1 h"}},
		"a vendor's type":        {typ: "vnd", want: map[diagnosis.ID]string{diagnosis.TypUnknown: `vnd`}},
		"no audience":            {change: map[string]any{"aud": nil}, want: map[diagnosis.ID]string{diagnosis.AudMissing: ""}},
		"audience of a bad type": {change: map[string]any{"aud": 1}, want: map[diagnosis.ID]string{diagnosis.AudInvalid: "1"}},
		"milliseconds":           {change: map[string]any{"iat": nil, "exp": now.UnixMilli()}, want: map[diagnosis.ID]string{diagnosis.TimeInMS: "1795521600000, which is 2026-11-24T12:00:00Z in milliseconds"}},
		"never expires":          {change: map[string]any{"exp": 253402300799}, want: map[diagnosis.ID]string{diagnosis.LongLived: "until 9999-12-31T23:59:59Z"}},
		"for Microsoft Graph":    {change: map[string]any{"aud": "https://graph.microsoft.com"}, want: map[diagnosis.ID]string{diagnosis.EntraGraphToken: ""}},
		"of Okta itself":         {change: map[string]any{"iss": "https://acme.okta.com"}, want: map[diagnosis.ID]string{diagnosis.OktaOrgAS: ""}},
		"of an Okta server":      {change: map[string]any{"iss": "https://acme.okta.com/oauth2/default"}, want: map[diagnosis.ID]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tok, err := token.Decode(sign(t, key, tt.typ, claims(tt.change)))
			if err != nil {
				t.Fatal(err)
			}
			got := map[diagnosis.ID]string{}
			for _, w := range tok.Warnings(now) {
				got[w.ID] = w.Got.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Warnings (-want +got):\n%s", diff)
			}
		})
	}
	// The nonce is in the header, so that the audience does not matter.
	for iss, want := range map[string]int{"https://sts.windows.net/x/": 1, "https://login.microsoftonline.com/x/v2.0": 1, issuer: 0} {
		raw, err := token.SignWithHeader(key, map[string]any{"alg": "EdDSA", "nonce": "n"}, claims(map[string]any{"iss": iss, "aud": "https://management.azure.com"}))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := token.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Warnings(now); len(got) != want || want == 1 && got[0].ID != diagnosis.EntraGraphToken {
			t.Errorf("a nonce in the header of a token of %s: %v", iss, got)
		}
	}
	none, err := token.Decode(part(`{"alg":"none"}`) + "." + part(`{"exp":1,"aud":"a"}`) + ".")
	if err != nil || none.Warnings(now)[0].ID != diagnosis.AlgNone {
		t.Errorf("alg none: %v", err)
	}
}
