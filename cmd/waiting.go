package cmd

import (
	"net/http"
	"time"
)

// waitingAfter is how long a server can take before the user is shown that the
// command waits for it.
const waitingAfter = time.Second

// announcing returns a transport that shows on a terminal which server a command
// waits for; elsewhere it is next itself.
func (env *Env) announcing(next http.RoundTripper) http.RoundTripper {
	if env.global.quiet || env.global.verbose || !env.IsTerminal(env.Stderr) {
		return next
	}
	return &announcingTransport{next, env}
}

type announcingTransport struct {
	next http.RoundTripper
	env  *Env
}

// RoundTrip implements [http.RoundTripper].
func (t *announcingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	host := clean(req.URL.Host)
	timer := time.AfterFunc(waitingAfter, func() { t.env.say("waiting for %s ...", host) })
	defer timer.Stop()
	return t.next.RoundTrip(req)
}
