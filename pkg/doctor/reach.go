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

// clearTime bounds the question whether http is answered too: a port that drops
// what it receives is as good as a closed one.
const clearTime = 2 * time.Second

// certificateDays is how long a certificate has to be valid without a warning.
const certificateDays = 14

// machine reports what the caller found about this machine, and whether a session
// could be stored.
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

// reach connects to the URL and asks it for the first time, without a token.
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

// reached says what a first answer shows about the connection.
func (e *examination) reached(ctx context.Context, rawURL string, a *answer, err error) finding {
	r := &Request{Method: http.MethodGet, URL: rawURL}
	if aboutTLS(err) || isNotRecorded(err) {
		return finding{} // a later rung says so
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
		f := failed(diagnosis.Timeout, fmt.Sprintf("the first answer took %.1f s", a.took.Seconds()), r)
		f.expected, f.got = diagnosis.Values{fmt.Sprintf("an answer within %s", quickly)}, diagnosis.Values{fmt.Sprintf("%.1f s", a.took.Seconds())}
		return f.warned()
	}
	return passed(fmt.Sprintf("answered in %d ms", a.took.Milliseconds()))
}

func aboutTLS(err error) bool {
	var d *diagnosis.Diagnosis
	if !errors.As(err, &d) {
		return false
	}
	return slices.Contains([]diagnosis.ID{diagnosis.TLSUntrusted, diagnosis.TLSMissing, diagnosis.InsecureURL}, d.ID)
}

// families warns of a host that has addresses of both families, of which only one
// answers: programs that try the other one first wait or fail. Whether this
// machine has a route to a family is not the host's affair.
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
	f := failed(diagnosis.Unreachable, "only the "+works+" address answers", &Request{Method: http.MethodGet, URL: rawURL})
	f.expected, f.got = diagnosis.Values{"IPv4 and IPv6"}, diagnosis.Values{works}
	return f.warned().fixedBy("let the server listen on its " + fails + " address, or remove that address from the DNS")
}

func (e *examination) tls(ctx context.Context) finding {
	return e.secured(ctx, e.config.URL, e.first, e.firstErr)
}

// secured says what a first answer shows about TLS.
func (e *examination) secured(ctx context.Context, rawURL string, a *answer, err error) finding {
	r := &Request{Method: http.MethodGet, URL: rawURL}
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

// answersInClear warns of a server whose https URL is answered over http as well:
// a client that writes http sends its token where everyone on the way can read it.
// A refused connection, a redirect to https and any other refusal are right. Only
// the default port has a counterpart.
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
	r := &Request{Method: http.MethodGet, URL: clear.String(), Header: acceptAnything()}
	a, _, err := e.sendBy(ctx, &client, r, nil)
	if err != nil || a.status >= 300 && a.status != http.StatusUnauthorized {
		return finding{}
	}
	f := failed(diagnosis.InsecureURL, "the server answers over http as well, without a redirect to https", r)
	f.expected, f.got = diagnosis.Values{"a redirect to " + u.Scheme + "://" + u.Host}, diagnosis.Values{statusText(a.status)}
	return f.warned().fixedBy("redirect http to https, or close the port, so that no client sends its token in clear text")
}

func isLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && safehttp.IsLoopback(u.Hostname())
}

// certificateFix says what to change about a certificate, "" if it is not one.
func certificateFix(err error) string {
	var (
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &name):
		return "serve a certificate that names " + diagnosis.Shorten(name.Host, 200)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the certificate; if it is not expired, correct the clock of this machine"
	case errors.As(err, &unknown):
		return "serve the complete chain of a public authority; where the authority is private, trust its certificate on this machine"
	}
	return ""
}

// reachIssuer is reach for the issuer, where that is another host than the API's.
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
	return e.secured(ctx, e.issuerURL, e.issuerFirst, e.issuerFailed)
}

// unanswered turns the end of one request's time into a Diagnosis.
func (e *examination) unanswered(err error) error {
	var d *diagnosis.Diagnosis
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &d) {
		return &diagnosis.Diagnosis{ID: diagnosis.Timeout, Expected: diagnosis.Values{fmt.Sprintf("an answer within %s", askTime)}, Got: diagnosis.None}
	}
	return err
}
