package doctor_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauthctl/oauthctl/pkg/diagnosis"
	"github.com/oauthctl/oauthctl/pkg/doctor"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
)

// Hosts of servers that the examination treats as public.
const publicAPI, publicIssuer = "https://api.example.com", "https://auth.example.com"

// public gives the servers public names and TLS. Clear holds the handlers for
// port 80 by host; for a host without one, the connection is refused.
func (f *farm) public(clear map[string]http.HandlerFunc) {
	f.t.Helper()
	listeners := map[string]string{}
	roots := &tls.Config{}
	for host, handler := range map[string]http.HandlerFunc{"api.example.com": f.serveAPI, "auth.example.com": f.serveIssuer} {
		server := httptest.NewTLSServer(handler)
		f.t.Cleanup(server.Close)
		listeners[host+":443"] = server.Listener.Addr().String()
		roots.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		listeners[host+":80"] = closedAddress(f.t)
		if clear[host] != nil {
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				f.note("clear", r)
				clear[host](w, r)
			}))
			f.t.Cleanup(plain.Close)
			listeners[host+":80"] = plain.Listener.Addr().String()
		}
	}
	transport := safehttp.NewTransport(roots)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, listeners[address])
	}
	f.config.HTTP = &safehttp.Client{Transport: transport, Timeout: 5 * time.Second}
	f.config.URL = publicAPI + "/items"
	f.challenge = []string{`Bearer resource_metadata="` + publicAPI + `/.well-known/oauth-protected-resource/items", scope="items:read"`}
	f.prm["resource"], f.prm["authorization_servers"] = publicAPI+"/items", []any{publicIssuer}
	for name, path := range map[string]string{
		"issuer": "", "authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks", "registration_endpoint": "/register",
	} {
		f.meta[name] = publicIssuer + path
	}
}

// closedAddress returns an address on which no process listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// warnings returns the warnings and failures of an examination.
func warnings(r *doctor.Report) []want {
	var all []want
	for _, x := range r.Results {
		if x.Status == doctor.Failed || x.Status == doctor.Warning {
			all = append(all, want{x.Rung, x.ID, x.Owner, x.Fault().Kind(), x.Status})
		}
	}
	return all
}

func examine(t *testing.T, f *farm) (*doctor.Report, []want) {
	t.Helper()
	report, err := doctor.Examine(t.Context(), f.config)
	if err != nil {
		t.Fatal(err)
	}
	return report, warnings(report)
}

// There is a warning if a server also responds over http. There is none if it
// redirects to https, refuses, or does not listen. No token is sent there.
func TestExamineClearText(t *testing.T) {
	answers := func(status int, location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(status)
		}
	}
	api := []want{{"2", diagnosis.InsecureURL, doctor.TheAPI, diagnosis.Unsafe, doctor.Warning}}
	issuer := []want{{"2", diagnosis.InsecureURL, doctor.TheIssuer, diagnosis.Unsafe, doctor.Warning}}
	for name, tt := range map[string]struct {
		clear map[string]http.HandlerFunc
		want  []want
	}{
		"no one listens":      {nil, nil},
		"redirect":            {map[string]http.HandlerFunc{"api.example.com": answers(301, publicAPI+"/items"), "auth.example.com": answers(308, publicIssuer)}, nil},
		"not found":           {map[string]http.HandlerFunc{"api.example.com": answers(404, "")}, nil},
		"forbidden":           {map[string]http.HandlerFunc{"api.example.com": answers(403, "")}, nil},
		"answered":            {map[string]http.HandlerFunc{"api.example.com": answers(200, "")}, api},
		"asks for a token":    {map[string]http.HandlerFunc{"api.example.com": answers(401, "")}, api},
		"issuer answers":      {map[string]http.HandlerFunc{"auth.example.com": answers(200, "")}, issuer},
		"redirect to another": {map[string]http.HandlerFunc{"api.example.com": answers(302, "https://www.example.com/")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			f.public(tt.clear)
			report, got := examine(t, f)
			if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
				t.Errorf("got %v, want %v\n%s", got, tt.want, lines(report))
			}
			f.sent()
			if asked := strings.Contains(strings.Join(f.log, "\n"), "clear GET"); asked != (tt.clear != nil) {
				t.Errorf("asked in clear text: %t\n%q", asked, f.log)
			}
		})
	}
}

// There is a warning if a host has IPv4 and IPv6 addresses and one of them does
// not respond. There is none if this machine has no route to it, or if the host
// has only one.
func TestExamineFamilies(t *testing.T) {
	answers := func(ctx context.Context, f *farm) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", f.api.Listener.Addr().String())
	}
	refuses := func(ctx context.Context, f *farm) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", closedAddress(f.t))
	}
	unknown := func(context.Context, *farm) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.AddrError{Err: "no suitable address found", Addr: "api.example.com"}}
	}
	one := []want{{"1", diagnosis.Unreachable, doctor.Network, diagnosis.Unavailable, doctor.Warning}}
	for name, tt := range map[string]struct {
		four, six func(context.Context, *farm) (net.Conn, error)
		want      []want
	}{
		"both":      {answers, answers, nil},
		"IPv4 only": {answers, refuses, one},
		"IPv6 only": {refuses, answers, one},
		"no IPv6":   {answers, unknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			f.public(nil)
			f.config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return map[string]func(context.Context, *farm) (net.Conn, error){"tcp4": tt.four, "tcp6": tt.six}[network](ctx, f)
			}
			report, got := examine(t, f)
			var first []want
			for _, w := range got {
				if w.rung == "1" && len(first) == 0 {
					first = append(first, w)
				}
			}
			if len(first) != len(tt.want) || len(first) > 0 && first[0] != tt.want[0] || tt.want == nil && got != nil {
				t.Errorf("got %v, want %v\n%s", got, tt.want, lines(report))
			}
		})
	}
}

// There is a warning if the first response takes more than three seconds by the
// clock of the examination.
func TestExamineSlowAnswer(t *testing.T) {
	for took, isSlow := range map[time.Duration]bool{0: false, 2 * time.Second: false, 4 * time.Second: true} {
		f := newFarm(t)
		var passed atomic.Int64
		f.config.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		f.wait = func() {
			passed.CompareAndSwap(0, int64(took))
			f.apiHeader.Set("Date", f.config.Now().UTC().Format(http.TimeFormat))
		}
		report, got := examine(t, f)
		want := want{"1", diagnosis.Timeout, doctor.Network, diagnosis.Unavailable, doctor.Warning}
		if isSlow != (len(got) == 1 && got[0] == want) || !isSlow && got != nil {
			t.Errorf("%s: %v\n%s", took, got, lines(report))
		}
	}
}
