package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command refuses two uses of standard input before anything is sent; the addresses here accept nothing. One use
// is accepted.
func TestStandardInputHasOneReader(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const nowhere = "http://127.0.0.1:1"
	one := file("a.txt", "secret-of-more-than-32-characters!")
	policy := file("policy.yaml", "issuer: "+nowhere+"\naudience: "+nowhere+"\nroutes:\n  \"GET /x\": {public: true}\n")
	document := file("openapi.json", `{"openapi":"3.1.0","info":{"title":"a","version":"1"},"paths":{"/x":{"get":{"responses":{"200":{"description":"x"}}}}}}`)
	for line, files := range map[string][2]string{
		"verify A --issuer URL --secret-file B":                                                {"@" + one, one},
		"verify --issuer URL --batch=A --secret-file B":                                        {one, one},
		"check A --issuer URL --scope x --secret-file B":                                       {"@" + one, one},
		"introspect A --issuer URL --client-id x --client-secret-file B":                       {"@" + one, one},
		"introspect A --issuer URL --client-id x --client-assertion B":                         {"@" + one, "@" + one},
		"exchange --subject-token A --actor-token B":                                           {"@" + one, "@" + one},
		"exchange --subject-token A --client-id x --client-secret-file B":                      {"@" + one, one},
		"exchange --grant-type jwt-bearer --assertion A --client-id x --client-assertion B":    {"@" + one, "@" + one},
		"login URL --client-id x --client-secret-file A --client-assertion B":                  {one, "@" + one},
		"audit URL --policy A --openapi B":                                                     {policy, document},
		"audit URL --policy A --baseline B":                                                    {policy, file("baseline.yaml", "[]\n")},
		"audit URL --operation GET/x --baseline A --token B":                                   {file("empty.yaml", "[]\n"), "@" + one},
		"audit URL --openapi A --client-id x --issuer URL --client-secret-file B --audience x": {document, one},
	} {
		run := func(a, b string) (int, string) {
			var args []string
			for _, word := range strings.Fields(line) {
				word = strings.ReplaceAll(word, "URL", nowhere)
				switch {
				case word == "A", word == "--batch=A":
					word = strings.TrimSuffix(word, "A") + a
				case word == "B":
					word = b
				case word == "GET/x":
					word = "GET /x"
				}
				args = append(args, word)
			}
			stdin := "secret-of-more-than-32-characters!"
			for i, from := range []string{a, b} {
				data, err := os.ReadFile(strings.TrimPrefix(files[i], "@"))
				if from == "-" && err == nil {
					stdin = string(data)
					break
				}
			}
			code, _, stderr := runOffline(t, stdin, args...)
			return code, stderr
		}
		const refused = "standard input holds one value"
		if code, stderr := run("-", "-"); code != exitUsage || !strings.Contains(stderr, refused) {
			t.Errorf("%s: both: %d, %s", line, code, stderr)
		}
		for _, way := range [][2]string{{"-", files[1]}, {files[0], "-"}} {
			if _, stderr := run(way[0], way[1]); strings.Contains(stderr, refused) || strings.Contains(stderr, "unknown flag") {
				t.Errorf("%s: one of them, %q: %s", line, way, stderr)
			}
		}
	}
}
