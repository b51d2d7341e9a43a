package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"html"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pictureEnv returns a terminal at a fixed time, and its output.
func pictureEnv(home string) (*Env, *bytes.Buffer) {
	out, at := new(bytes.Buffer), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	return &Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: out, Getenv: func(string) string { return "" },
		Now: func() time.Time { return at }, IsTerminal: func(any) bool { return true },
		ConfigDir: filepath.Join(home, "config"), StateDir: filepath.Join(home, "state"),
	}, out
}

// demoPicture returns the output of `oauthctl demo` on a terminal as an SVG, with random values replaced.
func demoPicture(t *testing.T) string {
	t.Helper()
	env, out := pictureEnv(t.TempDir())
	if code := Run(t.Context(), env, []string{"demo"}); code != 0 {
		t.Fatalf("demo: %d\n%s", code, out)
	}
	return picture("The output of oauthctl demo", withoutChance(out.String()))
}

// verifyPicture returns a refused token on a terminal as an SVG: a user is logged in to one API, and verifies the token
// for another.
func verifyPicture(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	env, out := pictureEnv(home)
	servers, err := startDev(env, devOptions{listen: "127.0.0.1:0", apiListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer servers.stop()
	env.Browse = func(address string) error {
		_, err := visitor{login: "alice", password: "password", requested: func(string, string) {}}.visit(t.Context(), address)
		return err
	}
	if code := Run(t.Context(), env, []string{"login", servers.api, "--browser"}); code != 0 {
		t.Fatalf("login: %d\n%s", code, out)
	}
	env, out = pictureEnv(home) // a run keeps its flags in its Env
	command := []string{"verify", "--audience", "https://api.example.com"}
	if code := Run(t.Context(), env, command); code != 3 {
		t.Fatalf("verify: %d\n%s", code, out)
	}
	title := "oauthctl " + strings.Join(command, " ")
	return picture("The output of "+title, "$ "+title+"\n"+withoutChance(out.String()))
}

// withoutChance replaces ports and random texts with texts of the same form that are the same each time.
func withoutChance(text string) string {
	ports := map[string]string{}
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(text, func(address string) string {
		if strings.HasSuffix(address, ":9001") {
			return address // the one of the last line, which is to be copied
		}
		if ports[address] == "" {
			ports[address] = fmt.Sprintf("127.0.0.1:%d", []int{9000, 9001, 8976, 8977, 8978}[min(len(ports), 4)])
		}
		return ports[address]
	})
	seen := map[string]string{}
	return regexp.MustCompile(`[A-Z2-7]{23}[A-Z2-7]*|[A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{23}…`).ReplaceAllStringFunc(text, func(chance string) string {
		if strings.HasPrefix(chance, "eyJ") {
			return chance // the beginning of a JWT's header, always the same
		}
		key := chance[:23]
		if seen[key] == "" {
			sum := sha256.Sum256([]byte(fmt.Sprint("oauthctl demo ", len(seen))))
			seen[key] = base64.RawURLEncoding.EncodeToString(sum[:])
			if regexp.MustCompile(`^[A-Z2-7]+$`).MatchString(key) {
				seen[key] = base32.StdEncoding.EncodeToString(sum[:])
			}
		}
		rest, short := strings.CutSuffix(chance, "…")
		made := seen[key][:len(rest)]
		if short {
			made += "…"
		}
		return made
	})
}

const (
	pictureStyle = `
.page { fill: #16191d } text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #e3e6ea; white-space: pre }
.c1 { font-weight: bold } .c31 { fill: #ff7b72 } .c32 { fill: #6fdd8b } .c33 { fill: #e3b341 } .c36 { fill: #6cc7ff } .c90 { fill: #99a2ad }
`
	lineHeight = 20
)

// folded breaks a line before the word that does not fit into the columns. The colour continues in the next line.
func folded(line string, columns int) []string {
	escape := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	var lines []string
	current, width, colour := "", 0, ""
	for word := range strings.SplitAfterSeq(line, " ") {
		n := len([]rune(escape.ReplaceAllString(word, "")))
		if width > 0 && width+len([]rune(strings.TrimRight(escape.ReplaceAllString(word, ""), " "))) > columns {
			lines = append(lines, strings.TrimRight(current, " "))
			current, width = colour, 0
		}
		current, width = current+word, width+n
		if all := escape.FindAllString(word, -1); len(all) > 0 {
			colour = all[len(all)-1]
		}
	}
	return append(lines, current)
}

func TestFolded(t *testing.T) {
	for line, want := range map[string][]string{
		"fits":                        {"fits"},
		"one two three":               {"one two", "three"},
		"a-word-that-is-too-long":     {"a-word-that-is-too-long"},
		"  in more":                   {"  in", "more"},
		"\x1b[1mone two\x1b[0m three": {"\x1b[1mone two\x1b[0m", "\x1b[0mthree"},
		"\x1b[31mone two three":       {"\x1b[31mone two", "\x1b[31mthree"},
	} {
		if diff := cmp.Diff(want, folded(line, 7)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// picture draws terminal output; label describes it for users who cannot see it.
func picture(label, text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, folded(line, 82)...)
	}
	var b strings.Builder
	height := len(lines)*lineHeight + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="740" height="%d" viewBox="0 0 740 %d" role="img" aria-label="%s">`+"\n<style>%s</style>\n", height, height, html.EscapeString(label), pictureStyle)
	fmt.Fprintf(&b, `<rect class="page" width="740" height="%d" rx="10"/>`+"\n", height)
	escape := regexp.MustCompile(`\x1b\[([0-9;]*)m`)
	for i, line := range lines {
		fmt.Fprintf(&b, `<text x="24" y="%d">`, 36+i*lineHeight)
		classes, from := "", 0
		write := func(part string) {
			switch {
			case part == "":
			case classes == "":
				b.WriteString(html.EscapeString(part))
			default:
				fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, classes, html.EscapeString(part))
			}
		}
		for _, m := range escape.FindAllStringSubmatchIndex(line, -1) {
			write(line[from:m[0]])
			from, classes = m[1], ""
			for code := range strings.SplitSeq(line[m[2]:m[3]], ";") {
				if code != "" && code != "0" {
					classes = strings.TrimSpace(classes + " c" + code)
				}
			}
		}
		write(line[from:])
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}
