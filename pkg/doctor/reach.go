package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// clearTime is the time limit of the request over http. A port that drops all
// packets counts as closed.
const clearTime = 2 * time.Second

// certificateDays is the remaining validity of a certificate, in days, below which
// there is a warning.
const certificateDays = 14

// machine reports the caller's results about this machine, and whether the session
// store can be used.
func (e *examination) machine(ctx context.Context) finding {
	texts := []string{}
	locals := slices.Clone(e.config.Local)
	if a := e.config.Account; a != nil {
		_, err := a.Store().Prepare(ctx)
		if err == nil {
			_, err = a.Session()
			var d *diagnosis.Diagnosis
			if !errors.As(err, &d) || d.Kind() != diagnosis.Store {
				err = nil
			}
		}
		locals = append(locals, Local{Text: "store readable", Err: err})
	}
	var warning *finding
	for _, l := range locals {
		if l.Err == nil {
			texts = append(texts, l.Text)
			continue
		}
		f := failedWith(l.Err, nil)
		if l.Warns {
			f = f.warned()
			warning = &f
			continue
		}
		if l.Blocks {
			e.broken["configuration"] = "machine failed"
		}
		return f
	}
	if warning != nil {
		return *warning
	}
	return passed(strings.Join(texts, ", "))
}

// reach sends the first request to the URL, without a token.
func (e *examination) reach(ctx context.Context) finding {
	e.first, _, e.firstErr = e.ask(ctx, http.MethodGet, e.config.URL, acceptAnything(), "")
	if isNotRecorded(e.firstErr) {
		e.broken[firstAnswer] = e.firstErr.Error()
	}
	return e.reached(ctx, e.config.URL, e.first, e.firstErr)
}

func acceptAnything() http.Header {
	return http.Header{"Accept": {"application/json, text/event-stream, */*;q=0.5"}}
}

// connection is the request of a rung that is about the connection.
func connection(rawURL string) *Request {
	return &Request{Method: http.MethodGet, URL: rawURL, Connection: true}
}

// reached returns what the first response, or its error, shows about the connection.
func (e *examination) reached(ctx context.Context, rawURL string, a *answer, err error) finding {
	r := connection(rawURL)
	if aboutTLS(err) || isNotRecorded(err) {
		return finding{} // the next rung reports it
	}
	if err != nil {
		f := failedWith(err, r)
		if u, parseErr := url.Parse(rawURL); parseErr == nil && safehttp.IsLoopback(u.Hostname()) || f.id == diagnosis.ProxyRefused || f.id == diagnosis.ProxyInvalid {
			f.owner = You
		}
		return f
	}
	if f := e.families(ctx, rawURL); f.status != "" {
		return f
	}
	if a.took > quickly {
		f := failed(diagnosis.Timeout, fmt.Sprintf("the first response took %.1f s", a.took.Seconds()), r)
		f.expected, f.got = diagnosis.Values{fmt.Sprintf("a response within %s", quickly)}, diagnosis.Values{fmt.Sprintf("%.1f s", a.took.Seconds())}
		return f.warned()
	}
	return passed(fmt.Sprintf("response in %d ms", a.took.Milliseconds()))
}

func aboutTLS(err error) bool {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		return false
	}
	return slices.Contains([]diagnosis.ID{diagnosis.TLSUntrusted, diagnosis.TLSMissing, diagnosis.InsecureURL}, d.ID)
}

// families warns about a host that has IPv4 and IPv6 addresses, but responds on only
// one of them: programs that try the other one first wait or fail. If this machine
// itself has no IPv4 or no IPv6, that is not the host's fault.
func (e *examination) families(ctx context.Context, rawURL string) finding {
	u, err := url.Parse(rawURL)
	if err != nil || e.config.Dial == nil || net.ParseIP(u.Hostname()) != nil || safehttp.IsLoopback(u.Hostname()) {
		return finding{}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	answers := map[string]bool{}
	for _, network := range []string{"tcp4", "tcp6"} {
		dialing, cancel := context.WithTimeout(ctx, quickly)
		conn, err := e.config.Dial(dialing, network, net.JoinHostPort(u.Hostname(), port))
		cancel()
		if err == nil {
			conn.Close()
			answers[network] = true
			continue
		}
		refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
		if timeout := net.Error(nil); refused || errors.As(err, &timeout) && timeout.Timeout() && network == "tcp4" {
			answers[network] = false
		}
	}
	if len(answers) < 2 || answers["tcp4"] == answers["tcp6"] {
		return finding{}
	}
	works, fails := "IPv4", "IPv6"
	if answers["tcp6"] {
		works, fails = fails, works
	}
	f := failed(diagnosis.Unreachable, "only the "+works+" address responds", connection(rawURL))
	f.expected, f.got = diagnosis.Values{"IPv4 and IPv6"}, diagnosis.Values{works}
	return f.warned().fixedBy("let the server listen on its " + fails + " address, or remove that address from the DNS")
}

func (e *examination) tls(ctx context.Context) finding {
	return e.secured(ctx, e.config.URL, e.first, e.firstErr).of(e.config.URL)
}

// secured returns what the first response, or its error, shows about TLS.
func (e *examination) secured(ctx context.Context, rawURL string, a *answer, err error) finding {
	r := connection(rawURL)
	if isNotRecorded(err) {
		return finding{}
	}
	if err != nil {
		f := failedWith(err, r).fixedBy(certificateFix(err))
		if f.id == diagnosis.InsecureURL || f.id == diagnosis.TLSMissing && isLoopback(rawURL) {
			f.owner = You
		}
		return f
	}
	if f := e.answersInClear(ctx, rawURL); f.status != "" {
		return f
	}
	if a.tls == nil || len(a.tls.PeerCertificates) == 0 {
		if strings.HasPrefix(rawURL, "https:") {
			return finding{}
		}
		return passed("http, on this machine")
	}
	until := a.tls.PeerCertificates[0].NotAfter
	date := until.UTC().Format(time.DateOnly)
	if left := until.Sub(e.now()); left < certificateDays*24*time.Hour {
		f := failed(diagnosis.TLSUntrusted, "the certificate expires on "+date, r)
		f.expected, f.got = diagnosis.Values{fmt.Sprintf("a certificate that is valid for %d days", certificateDays)}, diagnosis.Values{"until " + date}
		return f.warned().fixedBy("renew the certificate")
	}
	return passed("certificate valid until " + date)
}

// answersInClear warns about a server that also serves its https URL over http: a
// client that uses http by mistake sends its token unencrypted. A refused connection,
// a redirect to https and any other refusal are correct. Only the default port is
// checked, because no other port has a corresponding port for http.
func (e *examination) answersInClear(ctx context.Context, rawURL string) finding {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "https" || u.Port() != "" && u.Port() != "443" || safehttp.IsLoopback(u.Hostname()) {
		return finding{}
	}
	clear := *u
	clear.Scheme, clear.Host = "http", strings.TrimSuffix(u.Host, ":443")
	ctx, cancel := context.WithTimeout(ctx, clearTime)
	defer cancel()
	client := *e.config.HTTP
	client.InsecureHTTP = []string{safehttp.Origin(&clear)}
	r := connection(clear.String())
	r.Header = acceptAnything()
	a, _, err := e.sendBy(ctx, &client, r, nil)
	if err != nil || a.status >= 300 && a.status != http.StatusUnauthorized {
		return finding{}
	}
	f := failed(diagnosis.InsecureURL, "the server also responds over http, without a redirect to https", r)
	f.expected, f.got = diagnosis.Values{"a redirect to " + u.Scheme + "://" + u.Host}, diagnosis.Values{statusText(a.status)}
	return f.warned().fixedBy("redirect http to https, or close the port, so that no client sends its token unencrypted")
}

func isLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && safehttp.IsLoopback(u.Hostname())
}

// certificateFix returns how to fix a certificate, or "" if err is not about one.
func certificateFix(err error) string {
	var (
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &name):
		return "serve a certificate for " + diagnosis.Shorten(name.Host, 200)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the certificate; if it is not expired, correct the clock of this machine"
	case errors.As(err, &unknown):
		return "serve the complete chain of a public authority; if the authority is private, trust its certificate on this machine"
	}
	return ""
}

// reachIssuer is like reach for the issuer, if it is at another origin than the API.
func (e *examination) reachIssuer(ctx context.Context) finding {
	if e.issuerURL == "" || originOf(e.issuerURL) == originOf(e.config.URL) {
		return finding{}
	}
	e.issuerFirst, _, e.issuerFailed = e.ask(ctx, http.MethodGet, e.issuerURL, nil, "")
	return e.reached(ctx, e.issuerURL, e.issuerFirst, e.issuerFailed)
}

func (e *examination) tlsIssuer(ctx context.Context) finding {
	if e.issuerFirst == nil && e.issuerFailed == nil {
		return finding{}
	}
	return e.secured(ctx, e.issuerURL, e.issuerFirst, e.issuerFailed).of(e.issuerURL)
}

// unanswered returns a Diagnosis if a request exceeded its time limit.
func (e *examination) unanswered(err error) error {
	var d *diagnosis.Diagnosis
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &d) {
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("a response within %s", askTime)}, Got: diagnosis.None}
	}
	return err
}
