package cmd_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startServer runs a server written in another language, which prints its port.
func startServer(t *testing.T, interpreter, script string) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := exec.CommandContext(ctx, interpreter, script)
	c.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return "http://127.0.0.1:" + strings.TrimSpace(line)
}

const pythonServer = `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def do_GET(self):
        strict = all(0x21 <= ord(c) <= 0x7e for c in self.path)
        self.answer(200 if strict else 400, self.path.encode("latin-1"))
    def do_PUT(self):
        if self.path == "/quota":
            self.close_connection = True
            return self.answer(413, b"quota")
        n = self.headers.get("Content-Length")
        if n is None:
            return self.answer(411, b"no length")
        self.answer(200, str(len(self.rfile.read(int(n)))).encode())
    def log_message(self, *a): pass
s = ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_address[1], flush=True)
s.serve_forever()
`

const nodeServer = `
const http = require('http');
const s = http.createServer((req, res) => {
  if (req.url === '/quota') { res.writeHead(413, {connection: 'close'}); res.end('quota'); req.socket.end(); return; }
  if (req.method === 'PUT' && req.headers['content-length'] === undefined) { res.writeHead(411); res.end('no length'); return; }
  let n = 0;
  req.on('data', (d) => { n += d.length; });
  req.on('end', () => res.end(req.method === 'GET' ? req.url : String(n)));
});
s.listen(0, '127.0.0.1', () => console.log(s.address().port));
`

// Common servers can read the requests, and their early responses are received.
func TestServersOfOtherLanguages(t *testing.T) {
	for interpreter, source := range map[string]string{"python3": pythonServer, "node": nodeServer} {
		t.Run(interpreter, func(t *testing.T) {
			need(t, interpreter, missingProgram(interpreter))
			script := filepath.Join(t.TempDir(), "server.js")
			write(t, script, source, 0o600)
			api := startServer(t, interpreter, script)
			w := &world{t: t, home: t.TempDir(), now: time.Now, getenv: map[string]string{"OAUTHCTL_TOKEN": givenToken, "OAUTHCTL_API": api}}
			file := large(t, 8<<20)
			for _, tt := range []struct {
				args, stdin string
				code        int
				stdout      string
			}{
				{"GET /search?q=Zürich%20am|See&x=%zz", "", 0, "/search?q=Z%C3%BCrich%20am%7CSee&x=%zz"},
				{"GET /ä/ö", "", 0, "/%C3%A4/%C3%B6"},
				{"PUT /x -d -", "from a pipe", 0, "11"},
				{"PUT /x -d @" + file, "", 0, "8388608"},
				{"PUT /quota -d @" + file, "", 9, "quota"},
				{"PUT /quota f@" + file, "", 9, "quota"},
			} {
				w.stdin = tt.stdin
				if code := w.run(append([]string{"call"}, strings.Fields(tt.args)...)...); code != tt.code || w.stdout.String() != tt.stdout {
					t.Errorf("%s: %d %q\n%s", tt.args, code, &w.stdout, &w.stderr)
				}
			}
		})
	}
}
