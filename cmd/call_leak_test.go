package cmd_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// No message, trace or hint contains a credential of the request, even if an API repeats it: in the challenge, in
// redirects and links, unencoded or encoded.
func TestNoCredentialIsShown(t *testing.T) {
	const apiKey = "api-key-canary/1+2"
	forms := func(secret string) []string {
		return []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte("id:" + secret)), strings.ToLower(secret)}
	}
	answers := map[string]func(rw http.ResponseWriter, r *http.Request, repeated string){
		"step up": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="`+s+`"`)
			rw.WriteHeader(http.StatusUnauthorized)
		},
		"description": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="cannot read `+s+`"`)
			rw.WriteHeader(http.StatusUnauthorized)
		},
		"a long description": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+strings.Repeat("x", 190)+s+`"`)
			rw.WriteHeader(http.StatusUnauthorized)
		},
		"scope": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+s+` harmless"`)
			rw.WriteHeader(http.StatusForbidden)
		},
		"realm": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("WWW-Authenticate", `Basic realm="`+s+`"`)
			rw.WriteHeader(http.StatusUnauthorized)
		},
		"redirect": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("Location", "http://evil.example/"+s+"?x="+s)
			rw.WriteHeader(http.StatusFound)
		},
		"redirect to a host": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("Location", "https://x."+url.PathEscape(s)+".invalid/")
			rw.WriteHeader(http.StatusFound)
		},
		"redirect within": func(rw http.ResponseWriter, r *http.Request, s string) {
			if r.URL.Path == "/next" {
				rw.WriteHeader(http.StatusTeapot)
				return
			}
			rw.Header().Set("Location", "/next?x="+s)
			rw.WriteHeader(http.StatusFound)
		},
		"links": func(rw http.ResponseWriter, _ *http.Request, s string) {
			rw.Header().Set("Link", "</next?page="+s+`>; rel="self"`)
			rw.Header().Set("Content-Location", "/x/"+s)
			rw.Header().Set("Refresh", "0; url=/x?y="+s)
			rw.Header().Set("X-Anything", s)
			rw.WriteHeader(http.StatusTeapot)
		},
	}
	for name, answer := range answers {
		for _, secret := range []string{givenToken, apiKey} {
			for _, form := range forms(secret) {
				w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) { answer(rw, r, form) })
				for _, flags := range []string{"", "--json", "-v", "--time -v"} {
					for _, method := range []string{"GET", "POST"} {
						args := append([]string{"call", method, "/x", "X-Api-Key:" + apiKey}, strings.Fields(flags)...)
						w.run(args...)
						// The body and header of --json are those of the response.
						shown := w.stderr.String()
						for _, shape := range forms(secret) {
							if strings.Contains(shown, shape) || strings.Contains(shown, shape[:len(shape)-4]) {
								t.Errorf("%s, %v, sent as %q:\n%s", name, args, form, shown)
								break
							}
						}
					}
				}
			}
		}
	}
	w, _ := apiWorld(t, func(rw http.ResponseWriter, r *http.Request) { answers["description"](rw, r, "harmless") })
	if w.run("call", "GET", "/x"); !strings.Contains(w.stderr.String(), "harmless") {
		t.Errorf("positive control:\n%s", &w.stderr)
	}
	w.run("call", "GET", "/x", "-v", "--show-secrets")
	if !strings.Contains(w.stderr.String(), givenToken) {
		t.Errorf("positive control: --show-secrets:\n%s", &w.stderr)
	}
}

// Values whose name is that of a secret are redacted, in any spelling of the name. Values that only describe a secret
// are not.
func TestTraceRedactsByName(t *testing.T) {
	w, _ := apiWorld(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Session-Token", "answered-s3cr3t")
		rw.Header().Set("Set-Cookie", "sid=answered-s3cr3t; Path=/")
		rw.Header().Set("X-Request-Id", "visible-answer")
		rw.WriteHeader(http.StatusTeapot)
	})
	for _, flag := range []string{"-v", "--dry-run"} {
		for _, name := range []string{
			"Ocp-Apim-Subscription-Key", "apikey", "Api-Key", "X-API-KEY", "X-Auth-Token", "X-Vault-Token", "Private-Token", "X-Amz-Security-Token", "X-Goog-Api-Key", "x_secret", "Cookie", "X-Signature", "X-Password",
		} {
			w.run("call", "GET", "/x", name+":sent-s3cr3t", flag)
			if shown := w.stdout.String() + w.stderr.String(); strings.Contains(shown, "s3cr3t") || !strings.Contains(shown, "[redacted]") {
				t.Errorf("%s %s:\n%s", flag, name, shown)
			}
		}
		for _, name := range []string{"api_key", "key", "sig", "X-Amz-Signature", "X-Amz-Credential", "access_token", "apiKey", "client-secret", "session", "password"} {
			w.run("call", "GET", "/x?"+name+"=sent-s3cr3t&page=visible", flag)
			if shown := w.stdout.String() + w.stderr.String(); strings.Contains(shown, "s3cr3t") || !strings.Contains(shown, "visible") {
				t.Errorf("%s ?%s:\n%s", flag, name, shown)
			}
		}
		for _, name := range []string{"X-Monkey", "Keyword", "X-Author", "Token-Type", "X-Trace-Id", "Idempotent"} {
			w.run("call", "GET", "/x", name+":visible", flag)
			if shown := w.stdout.String() + w.stderr.String(); !strings.Contains(shown, "visible") {
				t.Errorf("positive control: %s %s:\n%s", flag, name, shown)
			}
		}
	}
	w.run("call", "POST", "/x", "user=visible", "password=s3cr3t", "nested[apiKey]=s3cr3t", "--dry-run")
	if shown := w.stdout.String(); strings.Contains(shown, "s3cr3t") || !strings.Contains(shown, "visible") {
		t.Errorf("JSON:\n%s", shown)
	}
	w.run("call", "GET", "/x", "-v")
	if shown := w.stderr.String(); !strings.Contains(shown, "visible-answer") {
		t.Errorf("the answer:\n%s", shown)
	}
}

// A token in the environment can have the forms in which people paste it. A text that is not a token is described.
func TestTokenInTheEnvironment(t *testing.T) {
	var got string
	w, requests := apiWorld(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	for text, code := range map[string]int{
		"abc.def": 0, " abc.def\n": 0, "Bearer abc.def": 0, "bearer  abc.def": 0, "Authorization: Bearer abc.def": 0, "authorization:bearer abc.def": 0,
		`"abc.def"`: 0, "'Bearer abc.def'": 0, "a b": 2, "a\nb": 2, "a\x00b": 2, "DPoP abc": 2, "Authorization: Basic YTpi": 2, "   ": 2, "ä": 2, "abc==": 0,
	} {
		w.getenv["OAUTHCTL_TOKEN"] = text
		requests.Store(0)
		c := w.run("call", "GET", "/x")
		if c != code || (requests.Load() == 0) != (code == 2) || code == 2 && !strings.Contains(w.stderr.String(), "OAUTHCTL_TOKEN") {
			t.Errorf("call with %q: %d, %d requests\n%s", text, c, requests.Load(), &w.stderr)
		}
		if code == 0 && got != "Bearer abc.def" && got != "Bearer abc==" {
			t.Errorf("%q was sent as %q", text, got)
		}
		if c := w.run("token", "--format", "header"); c != code || code == 0 && !strings.HasPrefix(w.stdout.String(), "Authorization: Bearer abc") {
			t.Errorf("token with %q: %d %q\n%s", text, c, &w.stdout, &w.stderr)
		}
	}
}

// A JWT in the environment shows when it expires.
func TestGivenTokenExpires(t *testing.T) {
	w, _ := apiWorld(t, func(http.ResponseWriter, *http.Request) {})
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d,"scope":"a b"}`, 1_700_000_000))
	w.getenv["OAUTHCTL_TOKEN"] = "eyJhbGciOiJFUzI1NiJ9." + claims + ".AAAA"
	if code := w.run("token", "--format", "json"); code != 0 || !strings.Contains(w.stdout.String(), `"expires_at": "2023-11-14T22:13:20Z"`) || !strings.Contains(w.stderr.String(), "expired") {
		t.Errorf("%d %s\n%s", code, &w.stdout, &w.stderr)
	}
	if code := w.run("token", "--format", "exec-credential"); code != 0 || !strings.Contains(w.stdout.String(), "2023-11-14T22:13:20Z") {
		t.Errorf("%d %s\n%s", code, &w.stdout, &w.stderr)
	}
}
