package devserver

import (
	_ "embed" // for style and script
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/forge"
)

//go:embed console.css
var consoleStyle string

//go:embed console.js
var consoleScript string

const consoleLayout markup = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s · oauthctl dev</title>
<style>%s</style>
</head>
<body>
%s<script>%s</script>
</body>
</html>
`

// showConsole writes a page of the console. It may run only the console's script
// and connect only to this server.
func showConsole(w http.ResponseWriter, title string, body markup) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+hashOf(consoleStyle)+"; script-src "+hashOf(consoleScript)+
		"; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, string(fill(consoleLayout, title, markup(consoleStyle), body, markup(consoleScript))))
}

const consolePage markup = `<header>
<h1>Development authorization server</h1>
<p>For development only: the passwords of its users are public. Issuer <code>%s</code>, demo API <code>%s</code></p>
</header>
<main>
<section aria-labelledby="flow-title" class="flow">
<div class="heading"><h2 id="flow-title">Flow</h2>
<p id="live" class="soft" role="status">Reload the page to see new requests.</p>
<form method="post" action="%s"><input type="hidden" name="csrf" value="%s"><button type="submit">Clear</button></form></div>
<div class="lanes names" aria-hidden="true"><span>Browser</span><span>Client</span><span>Authorization server</span><span>API</span></div>
<ol id="steps" role="log" aria-label="Requests" data-events="%s">
%s</ol>
<p class="empty soft">No request yet. Log in with your client, or try <code>oauthctl login %s</code></p>
</section>
<aside>
<div id="state">
%s</div>
%s</aside>
</main>
`

func (c *console) serveIndex(w http.ResponseWriter, _ *http.Request) {
	var steps markup
	last := int64(0)
	for _, one := range c.all() {
		steps += c.item(one)
		last = one.id
	}
	s := c.server
	events := s.at("/_console/events") + "?after=" + strconv.FormatInt(last, 10)
	showConsole(w, "Console", fill(consolePage, s.config.Issuer, s.config.API, s.at("/_console/clear"), c.csrf, events, steps, s.config.API, c.state(), c.switches()))
}

const stepItem markup = `<li id="step-%s" class="step%s">
<details>
<summary><span class="lanes" aria-hidden="true"><span class="arrow from%s to%s"></span></span>
<span class="who">%s → %s</span> <span class="title">%s</span> <span class="status">%s</span>%s
<span class="line"><code>%s %s</code> <time datetime="%s">%s</time></span>%s</summary>
%s</details>
</li>
`

// item returns a step as an item of the list.
func (c *console) item(n *step) markup {
	class, id, why := "", markup(""), markup("")
	if n.refusal != nil {
		class = " refused"
		id = fill(` <strong class="id">%s</strong>`, string(n.refusal.id))
		why = fill("\n<span class=\"why\">%s</span>", n.refusal.detail)
	}
	from, to := n.from, n.to
	if n.returned {
		class += " returned"
		from, to = laneServer, laneClient
	}
	return fill(stepItem, strconv.FormatInt(n.id, 10), class, strconv.Itoa(int(from)), strconv.Itoa(int(to)),
		from.String(), to.String(), n.title, strconv.Itoa(n.status), id,
		n.method, n.path, n.at.UTC().Format(time.RFC3339Nano), n.at.Format("15:04:05.000"), why, c.body(n, false))
}

// body returns the details of a step.
func (c *console) body(n *step, reveal bool) markup {
	var b markup
	if n.refusal != nil {
		b += explained(n.refusal)
	}
	if n.returned {
		b += fill("<p>%s</p>\n", "The browser is redirected to the client with this response.")
	}
	if len(n.faults) > 0 {
		b += fill("<p class=\"soft\">Active faults: %s</p>\n", strings.Join(n.faults, ", "))
	}
	b += table("Request", n.request, reveal)
	b += table("Response", n.response, reveal)
	for _, t := range n.tokens {
		b += t.markup()
	}
	if !reveal && slices.ContainsFunc(slices.Concat(n.request, n.response), field.secret) {
		b += fill("<p><a href=\"%s\">Show the secrets of this step</a></p>\n", c.server.at("/_console/steps/"+strconv.FormatInt(n.id, 10)+"?secrets=shown"))
	}
	if b == "" {
		b = fill("<p class=\"soft\">%s</p>\n", "A request without parameters.")
	}
	return fill("<div class=\"body\">\n%s</div>\n", b)
}

func explained(r *refusal) markup {
	entry, known := diagnosis.Lookup(r.id)
	b := fill("<p class=\"refusal\"><strong>%s</strong> %s</p>\n", string(r.id), r.detail)
	if known {
		b += fill("<p>%s</p>\n<p>%s</p>\n", entry.Meaning, entry.Fix)
	}
	return b
}

func table(caption string, fields []field, reveal bool) markup {
	if len(fields) == 0 {
		return ""
	}
	rows := markup("")
	for _, f := range fields {
		value := f.value
		if f.secret() && !reveal {
			value = shortened(value)
		}
		rows += fill("<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", f.name, value)
	}
	return fill("<table><caption>%s</caption>\n%s</table>\n", caption, rows)
}

// shortened returns the beginning of a secret, to recognise it.
func shortened(value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok {
		scheme, rest = "", value
	} else {
		scheme += " "
	}
	const shown = 8
	if len(rest) <= 2*shown {
		return scheme + "…"
	}
	return fmt.Sprintf("%s%.*s… (%d characters)", scheme, shown, rest, len(rest))
}

func (t *shownToken) markup() markup {
	list := markup("")
	for _, one := range t.checks {
		if one.ok {
			list += fill("<li class=\"ok\">✓ %s</li>\n", one.text)
			continue
		}
		list += fill("<li class=\"failed\">✗ %s <strong>%s</strong></li>\n", one.text, string(one.id))
	}
	if list != "" {
		list = fill("<ul class=\"checks\">\n%s</ul>\n", list)
	}
	var text markup
	if t.claims != "" {
		text = fill("<pre tabindex=\"0\" aria-label=\"Header and claims\">%s\n%s</pre>\n", t.header, t.claims)
	}
	return fill("<section class=\"token\"><h3>%s: %s</h3>\n%s%s</section>\n", t.name, t.kind, list, text)
}

// serveStep shows one step, with its secrets if requested.
func (c *console) serveStep(w http.ResponseWriter, r *http.Request) {
	n := c.find(r.PathValue("id"))
	if n == nil {
		http.Error(w, "this request is no longer stored", http.StatusNotFound)
		return
	}
	body := fill("<header><h1>%s</h1>\n<p><code>%s %s</code>, %s. <a href=\"%s\">Back to the flow</a></p></header>\n<main class=\"single\">\n%s</main>\n",
		n.title, n.method, n.path, strconv.Itoa(n.status), c.server.at("/")+"#step-"+strconv.FormatInt(n.id, 10), c.body(n, r.URL.Query().Get("secrets") == "shown"))
	showConsole(w, n.title, body)
}

const activeFaults markup = `<div class="active" role="status">Active faults: <strong>%s</strong>
<form method="post" action="%s"><input type="hidden" name="csrf" value="%s"><button type="submit">Switch off</button></form></div>
`

// state shows the active faults, users, clients and sessions.
func (c *console) state() markup {
	s := c.server
	b := markup("")
	if names := s.activeFaults().names(); len(names) > 0 {
		b += fill(activeFaults, strings.Join(names, ", "), s.at("/_console/faults"), c.csrf)
	}
	var rows markup
	for i, u := range s.users {
		if replaced := slices.ContainsFunc(s.users[i+1:], func(later User) bool { return later.Name == u.Name }); replaced {
			continue
		}
		rows += fill("<li><strong>%s</strong> <span class=\"soft\">%s</span></li>\n", u.Name, u.Email)
	}
	b += fill("<section><h2>Users</h2>\n<ul>\n%s</ul>\n</section>\n", rows)
	rows = ""
	for _, one := range s.clients.all() {
		kind := "public"
		if !one.isPublic() {
			kind = one.authMethod
		}
		name := one.name
		if name == one.id {
			name = ""
		}
		rows += fill("<li><strong>%s</strong> %s <span class=\"soft\">%s</span></li>\n", one.id, name, kind)
	}
	b += fill("<section><h2>Clients</h2>\n<ul>\n%s</ul>\n</section>\n", rows)
	return b + c.sessions()
}

func (c *console) sessions() markup {
	s := c.server
	var rows markup
	for _, l := range s.visits.all(s.now()) {
		rows += fill("<li><strong>%s</strong> is logged in with a browser <span class=\"soft\">since %s</span></li>\n", l.user, l.at.Format("15:04:05"))
	}
	for _, one := range s.grants.sessions(s.now()) {
		rows += fill("<li><strong>%s</strong> at %s <span class=\"soft\">%s</span></li>\n", one.subject, one.clientID, strings.Join(one.scope, " "))
	}
	if rows == "" {
		rows = fill("<li class=\"soft\">%s</li>\n", "none")
	}
	return fill("<section><h2>Sessions</h2>\n<ul>\n%s</ul>\n</section>\n", rows)
}

const switchesForm markup = `<section><details><summary><h2>Faults</h2></summary>
<form method="post" action="%s">
<input type="hidden" name="csrf" value="%s">
<button type="submit">Apply</button>
<fieldset><legend>Access tokens</legend>
%s</fieldset>
<fieldset><legend>Endpoints</legend>
%s</fieldset>
<button type="submit">Apply</button>
</form>
</details></section>
`

// switches returns the form for the faults.
func (c *console) switches() markup {
	active := c.server.activeFaults()
	var tokens, endpoints markup
	for _, f := range faultTable() {
		var checked, value markup
		if active.has(f.Name) {
			checked = " checked"
		}
		if f.Value != "" {
			value = fill(` <input type="text" name="value-%s" value="%s" placeholder="2s" size="5" aria-label="Duration for %s">`, f.Name, active[f.Name], f.Name)
		}
		row := fill("<p><label><input type=\"checkbox\" name=\"fault\" value=\"%s\"%s> <code>%s</code></label>%s <span class=\"soft\">%s</span></p>\n", f.Name, checked, f.Name, value, f.Effect)
		if _, ofToken := forge.Lookup(f.Name); ofToken {
			tokens += row
		} else {
			endpoints += row
		}
	}
	return fill(switchesForm, c.server.at("/_console/faults"), c.csrf, tokens, endpoints)
}

// serveEvents sends steps as they happen, and the state after each (HTML
// Standard, section 9.2).
func (c *console) serveEvents(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	if seen := r.Header.Get("Last-Event-ID"); seen != "" {
		after = seen
	}
	id, _ := strconv.ParseInt(after, 10, 64)
	missed, watcher := c.since(id)
	defer c.forget(watcher)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := http.NewResponseController(w)
	if _, err := io.WriteString(w, ": the console's events\n\n"); err != nil || out.Flush() != nil {
		return
	}
	for _, one := range missed {
		if c.send(w, one) != nil {
			return
		}
	}
	if out.Flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case one, open := <-watcher:
			if !open || c.send(w, one) != nil || out.Flush() != nil {
				return
			}
		}
	}
}

// send writes a step, if there is one, and the state.
func (c *console) send(w io.Writer, n *step) error {
	if n != nil {
		data, err := json.Marshal(string(c.item(n)))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "id: %d\nevent: step\ndata: %s\n\n", n.id, data); err != nil {
			return err
		}
	}
	data, err := json.Marshal(string(c.state()))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: state\ndata: %s\n\n", data)
	return err
}
