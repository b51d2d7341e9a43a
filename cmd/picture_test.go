package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demoPicture is what `oauthctl demo` prints on a terminal, as an SVG: the real
// output, with what is drawn by lot each time drawn from what stands before it.
func demoPicture(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	env := &Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
		Now: func() time.Time { return at }, IsTerminal: func(any) bool { return true },
	}
	if code := Run(t.Context(), env, []string{"demo"}); code != 0 {
		t.Fatalf("demo: %d\n%s", code, &out)
	}
	return picture(withoutChance(out.String()))
}

// withoutChance replaces ports and random texts by their number in the output,
// in the form that they have.
func withoutChance(text string) string {
	ports := map[string]string{}
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(text, func(address string) string {
		if strings.HasSuffix(address, ":9001") {
			return address // the one that the last line tells to use
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

// picture draws terminal output.
func picture(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var b strings.Builder
	height := len(lines)*lineHeight + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="740" height="%d" viewBox="0 0 740 %d" role="img" aria-label="The output of oauthctl demo">`+"\n<style>%s</style>\n", height, height, pictureStyle)
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
