// Package cmd holds the commands of oauthctl: flags in, one call of a package,
// text out. It is the only package that uses cobra, lipgloss, the browser, the
// terminal and the process (arguments, environment, standard streams, exit).
//
// Start with [Run], which [Main] calls with the real process. A new command is
// one file and one row of the table in root.go. Commands parse flags and print; the
// logic is in packages under pkg.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oauthctl/oauthctl/pkg/profile"
	"github.com/oauthctl/oauthctl/pkg/safehttp"
	"github.com/oauthctl/oauthctl/pkg/secret"
)

// Env has everything that a command gets from outside. [Main] fills it from the
// process; a test fills it with its own values.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Getenv func(string) string
	Now    func() time.Time
	// HTTP carries all requests; nil means the network with the TLS flags given.
	HTTP http.RoundTripper
	// Browse opens a URL in the user's browser and may block until that ends.
	Browse func(url string) error
	// ConfigDir and StateDir are the directories of the profiles and the
	// sessions; they are empty if the process has no home directory.
	ConfigDir string
	StateDir  string
	// IsTerminal reports whether one of the three streams is a terminal.
	IsTerminal func(stream any) bool

	// Hide removes a variable that contains a secret from the environment of
	// the programs that this one starts. If nil, the variable stays.
	Hide func(name string)

	// watch returns a context that is canceled by signals. If nil, signals are
	// not handled.
	watch func(context.Context, ...os.Signal) context.Context
	// cause returns why the context of the command was canceled. If nil, no
	// signal cancels it.
	cause  func() error
	global globalFlags
	// secrets are the credentials that were sent in requests; no message shows
	// them.
	secrets secret.Scrubber
	// proxies are the proxies in the environment, or nil if there are none.
	proxies *safehttp.Proxies
	// about is the URL of the API or the issuer that this run contacts, which
	// doctor could examine; "" if it contacts none.
	about string
	// report is the record for --report, or nil without that flag.
	report *reportFile
	// keys is the file, URL or issuer of the keys in this run, for a hint to
	// look at them; it is "" for the keys of the profile.
	keys string
	// stdinTaken reports whether an argument or a flag of this run reads
	// standard input.
	stdinTaken bool
	// failed is the command that failed, or nil.
	failed *cobra.Command
	// resolved is the profile of this run, or nil until a command needs it.
	resolved *profile.Profile
}

// Main runs the process's command line and returns its exit code.
func Main() int {
	getenv := snapshot(os.Environ())
	// The programs that this one starts, and a filter's env, do not get the secrets.
	for _, name := range []string{variableToken, profile.ClientSecret.Variable()} {
		os.Unsetenv(name)
	}
	env := &Env{
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Getenv:     getenv,
		Hide:       func(name string) { os.Unsetenv(name) },
		Now:        time.Now,
		Browse:     func(url string) error { return browse(os.Getenv("BROWSER"), url) },
		IsTerminal: isTerminal,
		watch:      withSignals,
	}
	env.ConfigDir, env.StateDir = directories(os.Getenv)
	return Run(context.Background(), env, os.Args[1:])
}

// snapshot returns the current environment, so that secrets can be removed from
// the environment that other programs inherit.
func snapshot(environ []string) func(string) string {
	values := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values[name] = value
		}
	}
	return func(name string) string { return values[name] }
}

// browse opens the browser: the first command of the variable BROWSER that
// works, or the system's browser if the variable is not set. Its output goes to
// stderr, since stdout is for data.
func browse(commands, url string) error {
	var failed error
	for command := range strings.SplitSeq(commands, string(os.PathListSeparator)) {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		if strings.Contains(command, "%s") {
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "%s", url)
			}
		} else {
			words = append(words, url)
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if failed = cmd.Run(); failed == nil {
			return nil
		}
	}
	if failed != nil {
		return fmt.Errorf("BROWSER: %w", failed)
	}
	browser.Stdout = os.Stderr
	return browser.OpenURL(url)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// directories returns the directories of profiles and sessions, according to
// the XDG base directory specification and each system's conventions.
func directories(getenv func(string) string) (config, state string) {
	if home, err := os.UserConfigDir(); err == nil {
		config = filepath.Join(home, "oauthctl")
		state = filepath.Join(config, "state")
	}
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		config = filepath.Join(dir, "oauthctl")
	}
	if home, err := os.UserHomeDir(); err == nil && runtimeHasXDG {
		state = filepath.Join(home, ".local", "state", "oauthctl")
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		state = filepath.Join(dir, "oauthctl")
	}
	return config, state
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "signal: " + e.signal.String() }

// withSignals returns a context that is canceled by SIGINT, SIGTERM and the
// other given signals, with the signal as its cause. A second signal ends the
// process immediately. It listens until the process ends, because stopping
// takes as long as starting.
func withSignals(parent context.Context, more ...os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, append(more, os.Interrupt, syscall.SIGTERM)...)
	go func() {
		s := <-signals
		signal.Stop(signals)
		number, _ := s.(syscall.Signal)
		cancel(signalError{number})
	}()
	return ctx
}

// reloadsOnHangup marks a command that reads its files again at SIGHUP.
const reloadsOnHangup = "reloads on hangup"

// listenForSignals gives a waiting command a context that is canceled by
// signals.
func (env *Env) listenForSignals(cmd *cobra.Command, _ []string) {
	if env.watch == nil {
		return
	}
	more := []os.Signal{syscall.SIGHUP} // a terminal that closes
	if cmd.Annotations[reloadsOnHangup] != "" || signal.Ignored(syscall.SIGHUP) {
		more = nil // nohup has the signal ignored, and listening would undo that
	}
	ctx := env.watch(cmd.Context(), more...)
	env.cause = func() error { return context.Cause(ctx) }
	cmd.SetContext(ctx)
}

// interruption returns the signal that made a command fail with err, if one did.
func (env *Env) interruption(err error) (by signalError, ok bool) {
	if env.cause != nil && errors.Is(err, context.Canceled) {
		err = env.cause()
	}
	return errors.AsType[signalError](err)
}

// Run runs one command line and returns its exit code. It is the only place
// where an error is converted to a message and a code.
func Run(ctx context.Context, env *Env, args []string) int {
	out := newDataWriter(env.Stdout)
	env.Stdout = out
	isTerminal := env.IsTerminal
	env.IsTerminal = func(stream any) bool { return isTerminal(unwrapped(stream)) }
	root := newRoot(env, args)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = out.failure()
	}
	if err == nil {
		return exitDone
	}
	return env.fail(cmd, err)
}
