package audit_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/oauthctl/oauthctl/pkg/audit"
	"github.com/oauthctl/oauthctl/pkg/diagnosis"
)

func answer(status int, body string) *audit.Answer {
	h := http.Header{"Content-Type": {"application/json"}}
	if status == 401 {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return audit.NewAnswer(status, h, []byte(body))
}

func row(t testing.TB, name string) *audit.Case {
	t.Helper()
	for _, c := range audit.Cases() {
		if c.Name == name {
			return &c
		}
	}
	t.Fatalf("no case %s", name)
	return nil
}

func FuzzClassify(f *testing.F) {
	f.Add(uint(0), 200, 401, 401, 200, `{"a":1}`, `{}`)
	f.Add(uint(20), 404, 401, 401, 404, `x`, `y`)
	f.Fuzz(func(t *testing.T, which uint, c, n, s, r int, one, other string) {
		rows := audit.Cases()
		row := rows[which%uint(len(rows))]
		seen := audit.Seen{Control: answer(c, one), Anonymous: answer(n, other), Spoiled: answer(s, other), Answer: answer(r, one)}
		got := audit.Classify(&row, seen)
		if isUnusable := r == 429 || r >= 500 && r < 600 || r == 0; isUnusable && got.Result == audit.Pass {
			t.Errorf("%s: %d is %s", row.Name, r, got.Result)
		}
		audit.Remarks(&row, seen)
	})
}

// Each rule, and a case to which it does not apply.
func TestClassify(t *testing.T) {
	const data, envelope = `{"id":1,"name":"x"}`, `{"error":"no"}`
	ok, unauthorized, forbidden := answer(200, data), answer(401, ""), answer(403, "")
	timeout := &audit.Answer{Err: errors.New("timeout")}
	tests := map[string]struct {
		name       string
		c, n, b, r *audit.Answer // control, none, bad signature, the case
		hides      bool
		want       audit.Result
		id         diagnosis.ID
	}{
		"1: a refused control":                      {"good", unauthorized, unauthorized, nil, unauthorized, false, audit.Fail, "RIGHT_TOKEN_REFUSED"},
		"1: a refused control decides nothing else": {"no-audience", forbidden, unauthorized, nil, unauthorized, false, audit.Inconclusive, ""},
		"1: a redirected control":                   {"no-audience", answer(302, ""), unauthorized, nil, unauthorized, false, audit.Inconclusive, ""},
		"1: a control with 500":                     {"no-audience", answer(500, ""), unauthorized, nil, unauthorized, false, audit.Inconclusive, ""},
		"1: a control with 429":                     {"no-audience", answer(429, ""), unauthorized, nil, unauthorized, false, audit.Inconclusive, ""},
		"1: a control in time":                      {"no-audience", ok, unauthorized, unauthorized, unauthorized, false, audit.Pass, ""},
		"2: open":                                   {"no-token", ok, answer(200, data), nil, answer(200, data), false, audit.Fail, "NO_TOKEN_ACCEPTED"},
		"2: open, without content":                  {"no-token", answer(204, ""), answer(204, ""), nil, answer(204, ""), false, audit.Fail, "NO_TOKEN_ACCEPTED"},
		"2: validates first":                        {"no-token", answer(422, "a"), answer(422, "b"), nil, answer(422, "b"), false, audit.Inconclusive, ""},
		"2: closed":                                 {"no-token", ok, unauthorized, nil, unauthorized, false, audit.Pass, ""},
		"3: the same shape":                         {"no-audience", ok, unauthorized, unauthorized, answer(200, `{"name":"y","id":2}`), false, audit.Fail, "AUD_MISSING"},
		"3: another shape":                          {"no-audience", ok, unauthorized, unauthorized, answer(200, envelope), false, audit.Inconclusive, ""},
		"3: an empty list":                          {"no-audience", answer(200, `[{"id":1}]`), unauthorized, unauthorized, answer(200, `[]`), false, audit.Fail, "AUD_MISSING"},
		"3: another element":                        {"no-audience", answer(200, `[{"id":1}]`), unauthorized, unauthorized, answer(200, `["x"]`), false, audit.Inconclusive, ""},
		"3: success and failure":                    {"no-audience", answer(200, `{"ok":true}`), answer(200, `{"ok":false}`), nil, answer(200, `{"ok":false}`), false, audit.Pass, ""},
		"4: accepted with 404":                      {"no-audience", answer(404, "no item"), unauthorized, unauthorized, answer(404, "no item"), false, audit.Fail, "AUD_MISSING"},
		"4: accepted with 422":                      {"no-audience", answer(422, "a"), unauthorized, unauthorized, answer(422, "a"), false, audit.Fail, "AUD_MISSING"},
		"4: another 404":                            {"no-audience", answer(404, "no item"), unauthorized, unauthorized, answer(404, "nothing"), false, audit.Inconclusive, ""},
		"4: a scope and 404":                        {"missing-scope", answer(404, "x"), unauthorized, unauthorized, answer(404, "x"), false, audit.Fail, "SCOPE_MISSING"},
		"4: a scope hidden by 404":                  {"missing-scope", answer(404, "x"), unauthorized, unauthorized, answer(404, "x"), true, audit.Inconclusive, ""},
		"4: hidden, for another case":               {"no-audience", answer(404, "x"), unauthorized, unauthorized, answer(404, "x"), true, audit.Fail, "AUD_MISSING"},
		"4: a warning":                              {"bound-token", ok, unauthorized, unauthorized, ok, false, audit.Warning, "TOKEN_BOUND"},
		"5: 403 after authentication":               {"alg-none", ok, unauthorized, unauthorized, forbidden, false, audit.Fail, "ALG_NONE"},
		"5: 403 for all":                            {"alg-none", ok, forbidden, forbidden, forbidden, false, audit.Pass, ""},
		"5: 403 for a scope":                        {"missing-scope", ok, unauthorized, unauthorized, forbidden, false, audit.Pass, ""},
		"5: 403 for SCOPE":                          {"member-case", ok, unauthorized, unauthorized, forbidden, false, audit.Pass, ""},
		"5: 403 for a doubled slash":                {"path-double-slash", ok, unauthorized, unauthorized, forbidden, false, audit.Pass, ""},
		"6: 404":                                    {"expired", ok, unauthorized, unauthorized, answer(404, ""), false, audit.Pass, ""},
		"6: a redirect":                             {"expired", ok, unauthorized, unauthorized, answer(302, ""), false, audit.Pass, ""},
		"6: 400 and a control with 200":             {"expired", ok, unauthorized, unauthorized, answer(400, ""), false, audit.Pass, ""},
		"6: 400 and a control with 422":             {"expired", answer(422, ""), unauthorized, unauthorized, answer(400, ""), false, audit.Inconclusive, ""},
		"6: 400 for a form":                         {"malformed-text", answer(422, ""), unauthorized, unauthorized, answer(400, ""), false, audit.Pass, ""},
		"6: 400 for a form and for all":             {"malformed-text", answer(400, "limit"), unauthorized, unauthorized, answer(400, "token"), false, audit.Inconclusive, ""},
		"6: 431":                                    {"oversized", answer(404, ""), unauthorized, unauthorized, answer(431, ""), false, audit.Pass, ""},
		"6: 408":                                    {"expired", ok, unauthorized, unauthorized, answer(408, ""), false, audit.Inconclusive, ""},
		"6: accepted":                               {"audience-array", ok, unauthorized, nil, ok, false, audit.Pass, ""},
		"6: refused, and 500":                       {"audience-array", ok, unauthorized, nil, answer(500, ""), false, audit.Fail, "RIGHT_TOKEN_REFUSED"},
		"6: accepted later":                         {"audience-array", ok, unauthorized, nil, answer(429, ""), false, audit.Inconclusive, ""},
		"7: 500 for a form":                         {"malformed-json", ok, unauthorized, unauthorized, answer(500, ""), false, audit.Fail, "REFUSAL_5XX"},
		"7: 500 for a claim":                        {"expired", ok, unauthorized, unauthorized, answer(500, ""), false, audit.Inconclusive, "REFUSAL_5XX"},
		"7: 500 for all without a token":            {"no-token", ok, answer(500, ""), nil, answer(500, ""), false, audit.Inconclusive, "REFUSAL_5XX"},
		"7: 429":                                    {"expired", ok, unauthorized, unauthorized, answer(429, ""), false, audit.Inconclusive, ""},
		"7: a timeout":                              {"expired", ok, unauthorized, unauthorized, timeout, false, audit.Inconclusive, ""},
		"9: an envelope":                            {"expired", ok, answer(200, envelope), answer(200, envelope), answer(200, envelope), false, audit.Pass, ""},
		"9: accepted in an envelope":                {"expired", ok, answer(200, envelope), answer(200, envelope), ok, false, audit.Fail, "EXPIRED"},
		"9: HEAD and an envelope":                   {"head", ok, answer(200, envelope), answer(200, envelope), answer(200, ""), false, audit.Inconclusive, ""},
		"9: HEAD":                                   {"head", ok, unauthorized, unauthorized, answer(200, ""), false, audit.Fail, "ROUTE_OPEN"},
		"9: HEAD refused":                           {"head", ok, unauthorized, unauthorized, answer(401, ""), false, audit.Pass, ""},
		"public":                                    {"public-without-token", nil, nil, nil, answer(404, ""), false, audit.Pass, ""},
		"public and refused":                        {"public-without-token", nil, nil, nil, unauthorized, false, audit.Fail, "PUBLIC_REFUSED"},
		"public and broken":                         {"public-without-token", nil, nil, nil, answer(503, ""), false, audit.Inconclusive, ""},
		"no control":                                {"expired", nil, nil, nil, unauthorized, false, audit.Inconclusive, ""},
	}
	for name, tt := range tests {
		got := audit.Classify(row(t, tt.name), audit.Seen{Control: tt.c, Anonymous: tt.n, Spoiled: tt.b, Answer: tt.r, ScopesHide: tt.hides})
		if got.Result != tt.want || got.ID != tt.id {
			t.Errorf("%s: got %s %q (%s), want %s %q", name, got.Result, got.ID, got.Reason, tt.want, tt.id)
		}
	}
}

// Every combination of responses has a result. Responses that show nothing are
// never counted as passed or accepted.
func TestClassifyIsTotal(t *testing.T) {
	all := []*audit.Answer{
		answer(200, `{"a":1}`), answer(200, `{"error":"x"}`), answer(204, ""), answer(302, ""), answer(400, ""), answer(401, ""),
		answer(403, ""), answer(404, "a"), answer(404, "b"), answer(405, ""), answer(422, ""), answer(429, ""), answer(500, ""),
		{Err: errors.New("timeout")},
	}
	results := []audit.Result{audit.Pass, audit.Fail, audit.Warning, audit.Inconclusive}
	for _, c := range audit.Cases() {
		for _, control := range all {
			for _, none := range all {
				for _, r := range all {
					got := audit.Classify(&c, audit.Seen{Control: control, Anonymous: none, Spoiled: none, Answer: r})
					known := false
					for _, result := range results {
						known = known || got.Result == result
					}
					if !known {
						t.Fatalf("%s: no result", c.Name)
					}
					isUnusable := r.Status == 0 || r.Status == 429 || r.Status == 500
					if isUnusable && got.Result == audit.Pass {
						t.Errorf("%s: C %d, N %d, R %d: %s", c.Name, control.Status, none.Status, r.Status, got.Result)
					}
					if got.Result == audit.Inconclusive && got.Reason == "" {
						t.Errorf("%s: C %d, N %d, R %d: inconclusive without a reason", c.Name, control.Status, none.Status, r.Status)
					}
				}
			}
		}
	}
}

func TestRemarks(t *testing.T) {
	ok, none := answer(200, `{}`), answer(401, "")
	field := func(status int, text, body string) *audit.Answer {
		h := http.Header{"Content-Type": {"text/plain"}}
		if text != "" {
			h.Set("WWW-Authenticate", text)
		}
		return audit.NewAnswer(status, h, []byte(body))
	}
	tests := map[string]struct {
		name string
		n, r *audit.Answer
		want diagnosis.ID
	}{
		"right":                         {"no-token", none, none, ""},
		"403 without a token":           {"no-token", answer(403, ""), answer(403, ""), "REFUSAL_STATUS"},
		"403 for a bad token":           {"expired", answer(403, ""), answer(403, ""), "REFUSAL_STATUS"},
		"401 for a scope":               {"missing-scope", none, none, "REFUSAL_STATUS"},
		"403 for a scope":               {"missing-scope", none, field(403, "Bearer error=x", ""), ""},
		"SCOPE with 401":                {"member-case", none, none, ""},
		"404":                           {"expired", none, answer(404, ""), ""},
		"a redirect":                    {"no-token", answer(302, ""), answer(302, ""), ""},
		"no challenge":                  {"expired", none, field(401, "", ""), "CHALLENGE_MISSING"},
		"no challenge on 403":           {"missing-scope", none, field(403, "", ""), ""},
		"a broken challenge":            {"expired", none, field(401, `Bearer realm="`, ""), "CHALLENGE_INVALID"},
		"an error without a token":      {"no-token", none, field(401, `Bearer error="invalid_token"`, ""), "CHALLENGE_INVALID"},
		"an error with a token":         {"expired", none, field(401, `Bearer error="invalid_token"`, ""), ""},
		"an envelope":                   {"no-token", answer(200, `{"e":1}`), answer(200, `{"e":1}`), "REFUSAL_IS_200"},
		"an envelope, once":             {"expired", answer(200, `{"e":1}`), answer(200, `{"e":1}`), ""},
		"Python":                        {"expired", none, field(401, "Bearer", "Traceback (most recent call last):\n"), "REFUSAL_LEAKS"},
		"Go":                            {"expired", none, field(401, "Bearer", "panic\n\ngoroutine 12 [running]:"), "REFUSAL_LEAKS"},
		"Java":                          {"expired", none, field(401, "Bearer", "x\n\tat org.a.B.c(B.java:12)"), "REFUSAL_LEAKS"},
		"Node.js":                       {"expired", none, field(401, "Bearer", "Error\n    at verify (/app/node_modules/x.js:1:2)"), "REFUSAL_LEAKS"},
		"a key":                         {"expired", none, field(401, "Bearer", "-----BEGIN PUBLIC KEY-----"), "REFUSAL_LEAKS"},
		"the word goroutine":            {"expired", none, field(401, "Bearer", "look at the goroutine"), ""},
		"accepted, so that is no reply": {"expired", none, ok, ""},
	}
	for name, tt := range tests {
		var got diagnosis.ID
		for _, remark := range audit.Remarks(row(t, tt.name), audit.Seen{Control: ok, Anonymous: tt.n, Answer: tt.r}) {
			got += remark.ID
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
