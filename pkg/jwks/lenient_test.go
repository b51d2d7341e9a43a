package jwks_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/jwks"
)

// jwkOf returns the members of a new public key, as text without the braces.
func jwkOf(t *testing.T, kid string) string {
	t.Helper()
	data, err := json.Marshal(renamed(t, kid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(data), "{}")
}

// If one key or another member is invalid, the other keys are still used, in a
// file and at a URL.
func TestOneBadKey(t *testing.T) {
	good := "{" + jwkOf(t, "good") + "}"
	x := jwkOf(t, "bad")
	with := func(member string) string { return "{" + x + "," + member + "}" }
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for name, tt := range map[string]struct {
		document string
		reason   string // for which a key is skipped; "" if none is
	}{
		"member twice":           {`{"keys":[` + with(`"alg":"ES256"`) + `,` + good + `]}`, `expected each member once, got the member "alg" twice`},
		"unknown member twice":   {`{"keys":[` + good + `,` + with(`"q":1,"q":2`) + `]}`, `the member "q" twice`},
		"lone surrogate":         {`{"keys":[` + strings.Replace("{"+x+"}", `"bad"`, `"b\ud800d"`, 1) + `,` + good + `]}`, "expected valid JSON in UTF-8"},
		"not UTF-8":              {`{"keys":[` + strings.Replace("{"+x+"}", `"bad"`, "\"b\xff\"", 1) + `,` + good + `]}`, "expected valid JSON in UTF-8"},
		"kid is a number":        {`{"keys":[` + strings.Replace("{"+x+"}", `"bad"`, "42", 1) + `,` + good + `]}`, "expected kid to be a string, got number"},
		"e is a number":          {`{"keys":[{"kty":"RSA","kid":"bad","n":"AQAB","e":65537},` + good + `]}`, "expected e to be a string, got number"},
		"key_ops is a string":    {`{"keys":[` + with(`"key_ops":"verify"`) + `,` + good + `]}`, "expected key_ops to be a list of strings"},
		"padded":                 {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"bad","x":"AAAA="},` + good + `]}`, "x in base64url without padding, got padding"},
		"plain base64":           {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"bad","x":"AA+/"},` + good + `]}`, "plain base64"},
		"no x":                   {`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"bad"},` + good + `]}`, "x in base64url without padding, got nothing"},
		"kty in small letters":   {`{"keys":[{"kty":"rsa","kid":"bad"},` + good + `]}`, "expected kty RSA, EC or OKP, got rsa"},
		"no object":              {`{"keys":[7,` + good + `]}`, "a JWK, which is a JSON object"},
		"deep within a key":      {`{"keys":[` + with(`"z":`+deep) + `,` + good + `]}`, "expected valid JSON"},
		"for encryption":         {`{"keys":[` + strings.Replace("{"+x+"}", `"sig"`, `"enc"`, 1) + `,` + good + `]}`, `use "enc"`},
		"SPIFFE":                 {`{"keys":[` + strings.Replace(good, `"sig"`, `"jwt-svid"`, 1) + `],"spiffe_sequence":1}`, ""},
		"deep next to keys":      {`{"x":` + deep + `,"keys":[` + good + `]}`, ""},
		"twice next to keys":     {`{"a":1,"a":{"b":1,"b":2},"keys":[` + good + `]}`, ""},
		"not UTF-8 next to keys": {"{\"a\":\"\xff\",\"keys\":[" + good + `]}`, ""},
		"surrogate next to keys": {`{"a":"\udfff","\ud800":1,"keys":[` + good + `]}`, ""},
		"huge number":            {`{"a":1e999999,"keys":[` + good + `]}`, ""},
		"quotes and brackets":    {`{"a":"]}\"\\","keys" : [ ` + good + ` ] , "b":[{"c":"}"}]}`, ""},
		"escaped name":           {`{"\u006beys":[` + good + `]}`, ""},
		"byte order mark":        {"\xef\xbb\xbf{\"keys\":[" + good + "]}\n", ""},
		"UTF-16":                 {utf16Text(`{"keys":[` + good + `]}`), ""},
		"a single key":           {good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			if keys, err := set.Keys(t.Context(), jwks.Query{KeyID: "good", Algorithm: "ES256"}); err != nil || len(keys.Keys) != 1 {
				t.Errorf("the good key: %v, %v", keys, err)
			}
			skipped := set.Skipped()
			if len(skipped) > 1 || (len(skipped) == 1) != (tt.reason != "") || len(skipped) == 1 && !strings.Contains(skipped[0].Reason.Error(), tt.reason) {
				t.Errorf("skipped %v, want %q", skipped, tt.reason)
			}
			e := newEndpoint(t)
			e.serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.document)) })
			e.want(e.remote(), "good", "")
		})
	}
}

func utf16Text(text string) string {
	data := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		data = append(data, byte(unit), byte(unit>>8))
	}
	return string(data)
}

// The error says what a text that is not a key set is, and it is an error of
// the configuration.
func TestNoKeySet(t *testing.T) {
	for document, want := range map[string]string{
		"":                          "got nothing",
		"<!doctype html><html>":     "got an HTML or XML page",
		"-----BEGIN PUBLIC KEY----": "got a PEM block",
		`{"issuer":"https://as.example","jwks_uri":"https://as.example/keys"}`: "whose jwks_uri is https://as.example/keys",
		`{"issuer":"i","authorization_endpoint":"e"}`:                          "the metadata of an authorization server, without a jwks_uri",
		`{"1a2b":"-----BEGIN CERTIFICATE-----\nMI"}`:                           "a map of X.509 certificates",
		`{"type":"service_account","private_key":"x"}`:                         "a service account file",
		`{"error":"not_found"}`:                                                "a JSON object without keys",
		`[]`:                                                                   "a JSON array",
		`{"keys":[`:                                                            "JSON that is cut off or damaged",
		`{"keys":[]} {}`:                                                       "JSON that is cut off or damaged",
		`{"keys":[],"keys":[]}`:                                                "expected one member keys, got two",
		`{"keys":{}}`:                                                          "an array of keys",
		`{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`:                      "at most 100 keys",
		"eyJhbGciOiJSUzI1NiJ9.e30.x":                                           "got a token",
		"ssh-rsa AAAA user@host":                                               "OpenSSH",
		"hello":                                                                "text that is not JSON",
	} {
		set, err := jwks.Parse([]byte(document))
		var d *diagnosis.Diagnosis
		if !errors.As(err, &d) || d.ID != diagnosis.KeySetInvalid || d.Kind() != diagnosis.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, %v, want %q", document, set, err, want)
		}
	}
}

// A kid whose key exists but cannot be used is not reported as unknown, and one
// key without a kid does not make every kid unknown.
func TestWhyNoKey(t *testing.T) {
	good := "{" + jwkOf(t, "good") + "}"
	nameless := "{" + strings.Replace(jwkOf(t, "x"), `"kid":"x",`, "", 1) + "}"
	weak := `{"kty":"RSA","kid":"2024-01","n":"` + strings.Repeat("_", 170) + `w","e":"AQAB"}`
	for name, tt := range map[string]struct {
		keys, kid, alg string
		want           diagnosis.ID
		text           string
	}{
		"its key":               {good, "good", "ES256", "", ""},
		"skipped: weak":         {weak + "," + good, "2024-01", "RS256", diagnosis.KeyRefused, "1024 bits"},
		"skipped: use":          {strings.Replace(good, `"sig"`, `"enc"`, 1), "good", "ES256", diagnosis.KeyRefused, `use "enc"`},
		"skipped: misspelt alg": {strings.Replace(good, `"ES256"`, `"ES-256"`, 1), "good", "ES256", diagnosis.KeyRefused, "ES-256"},
		"skipped: number":       {strings.Replace(good, `"good"`, `7`, 1) + "," + nameless, "7", "ES256", "", ""},
		"skipped: number only":  {strings.Replace(good, `"good"`, `7`, 1), "7", "ES256", diagnosis.KeyRefused, "expected kid to be a string"},
		"another kid":           {good, "other", "ES256", diagnosis.KidUnknown, "expected good, got other"},
		"another kid, nameless": {good + "," + nameless, "other", "RS256", diagnosis.KidUnknown, "expected good, got other"},
		"nameless, other alg":   {nameless, "any", "RS256", diagnosis.AlgMismatch, "ES256"},
		"nameless, its alg":     {nameless, "any", "ES256", "", ""},
		"no kid, other alg":     {good, "", "RS256", diagnosis.AlgMismatch, "ES256"},
		"all skipped":           {weak, "other", "RS256", diagnosis.KeySetEmpty, "1024 bits"},
		"many kids":             {kids(t, 9), "other", "ES256", diagnosis.KidUnknown, "k0 or k1 or k2 or k3 or k4 or 4 more"},
	} {
		set, err := jwks.Parse([]byte(`{"keys":[` + tt.keys + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.Keys(t.Context(), jwks.Query{KeyID: tt.kid, Algorithm: tt.alg})
		if idOf(err) != tt.want || tt.want != "" && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %s with %q", name, err, tt.want, tt.text)
		}
	}
}

func kids(t *testing.T, n int) string {
	t.Helper()
	var keys []string
	for i := range n {
		keys = append(keys, "{"+jwkOf(t, fmt.Sprint("k", i))+"}")
	}
	return strings.Join(keys, ",")
}

// An answer that would be the same again is an error of the configuration; a
// temporary one is not. Both errors name the URL, and an API answers 503 to
// both.
func TestAnswersOfTheKeyEndpoint(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	permanent := map[string]http.HandlerFunc{
		"400": status(400), "401": status(401), "403": status(403), "404": status(404), "405": status(405), "410": status(410), "451": status(451),
		"HTML": body("<html>"), "metadata": body(`{"issuer":"https://as.example","jwks_uri":"https://as.example/keys"}`),
		"PEM": body("-----BEGIN CERTIFICATE-----\n"), "JSON": body(`{"message":"hi"}`), "empty": body(""), "twice": body(`{"keys":[],"keys":[]}`),
	}
	passing := map[string]http.HandlerFunc{
		"408": status(408), "425": status(425), "429": status(429), "500": status(500), "502": status(502), "503": status(503), "504": status(504),
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, answer := range permanent {
		wantCause(t, name, answer, diagnosis.Usage)
	}
	for name, answer := range passing {
		wantCause(t, name, answer, diagnosis.Unavailable)
	}
	r := jwks.NewRemote("http://as.example/jwks", jwks.RemoteOptions{})
	defer r.Close()
	if _, err := r.Set(t.Context()); idOf(err) != diagnosis.KeysUnavailable || causeOf(err) == nil || causeOf(err).ID != diagnosis.InsecureURL {
		t.Errorf("plain http: %v", err)
	}
}

func wantCause(t *testing.T, name string, answer http.HandlerFunc, want diagnosis.Kind) {
	t.Helper()
	e := newEndpoint(t)
	e.serve(answer)
	_, err := e.remote().Keys(t.Context(), jwks.Query{KeyID: "x", Algorithm: "ES256"})
	kind := diagnosis.Unavailable
	if cause := causeOf(err); cause != nil {
		if kind = cause.Kind(); !strings.Contains(cause.Error(), e.server.URL) { // a command shows the cause alone
			t.Errorf("%s: %v, want the URL", name, cause)
		}
	}
	if idOf(err) != diagnosis.KeysUnavailable || kind != want || !strings.Contains(err.Error(), e.server.URL) {
		t.Errorf("%s: %v, kind %s, want %s and the URL", name, err, kind, want)
	}
}

// causeOf returns the Diagnosis that the first one wraps.
func causeOf(err error) *diagnosis.Diagnosis {
	var first, second *diagnosis.Diagnosis
	if !errors.As(err, &first) || !errors.As(first.Err, &second) {
		return nil
	}
	return second
}

// A key that can be used but is unusual causes a warning.
func TestKeyWarnings(t *testing.T) {
	key, certificate := certified(t)
	_, other := certified(t)
	data, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		member string
		want   []diagnosis.ID
	}{
		"none":            {``, nil},
		"its certificate": {`,"x5c":["` + certificate + `"]`, nil},
		"another":         {`,"x5c":["` + other + `","` + certificate + `"]`, []diagnosis.ID{diagnosis.KeyCertificate}},
		"no certificate":  {`,"x5c":["AAAA"]`, []diagnosis.ID{diagnosis.KeyCertificate}},
		"no base64":       {`,"x5c":["-"]`, []diagnosis.ID{diagnosis.KeyCertificate}},
		"empty":           {`,"x5c":[]`, nil},
	} {
		set, err := jwks.Parse([]byte(`{"keys":[` + strings.TrimSuffix(string(data), "}") + tt.member + `}]}`))
		if err != nil || len(set.All()) != 1 {
			t.Fatalf("%s: %v, %v", name, err, set.Skipped())
		}
		var got []diagnosis.ID
		for _, w := range set.All()[0].Warnings() {
			got = append(got, w.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	roca, err := jwks.ParsePublic([]byte(rocaKey()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*diagnosis.Diagnosis{{ID: diagnosis.KeyROCA}}, roca.Warnings()); diff != "" {
		t.Error(diff)
	}
}
