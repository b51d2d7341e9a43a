// Command benchmark measures the cost of verifying a token, compared with the
// bare signature check, for this module and for similar libraries:
//
//	go run .
//	go run . -http
//
// The second form compares whole servers, including FastAPI, by the number of
// requests for each second of their CPU time.
//
// All of them verify the same token with twelve claims, for signature, issuer,
// audience and expiry, on one core. In each round, every library has a turn, in
// random order. A turn is measured in CPU time of the whole process, including
// garbage collection. The table shows the medians of the ratios to the bare check
// of the same round, so that a temporary slowdown affects both.
//
// It is a separate module, so that users of the main module do not download the
// other libraries.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 40, "how often each has a `turn`")
	turn := flag.Duration("turn", 20*time.Millisecond, "the CPU `time` of a turn")
	algs := flag.String("alg", "RS256,PS256,ES256,EdDSA,HS256", "the algorithms, joined by commas")
	only := flag.String("only", "", "run only those whose names contain this `text`, and the bare check")
	overHTTP := flag.Bool("http", false, "compare whole servers, with FastAPI among them, by RS256 and ES256")
	flag.Parse()
	var err error
	switch kind := os.Getenv("BENCHMARK_SERVER"); {
	case kind != "":
		err = serveHTTP(kind)
	case *overHTTP:
		err = runHTTP(min(*rounds, 7), []string{"RS256", "ES256"})
	default:
		runtime.GOMAXPROCS(1)
		err = run(*rounds, *turn, strings.Split(*algs, ","), *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

func run(rounds int, turn time.Duration, algs []string, only string) error {
	var order []string // of the rows
	table := map[string]map[string]result{}
	for _, alg := range algs {
		all, err := contenders(alg)
		if err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
		var some []contender
		for _, c := range all {
			if c.name != bare && !strings.Contains(c.name, only) {
				continue
			}
			some = append(some, c)
			if table[c.name] == nil {
				table[c.name] = map[string]result{}
				order = append(order, c.name)
			}
		}
		for name, r := range measure(some, rounds, turn) {
			table[name][alg] = r
		}
	}
	print(order, algs, table)
	return nil
}

func print(order, algs []string, table map[string]map[string]result) {
	fmt.Printf("%s, %s/%s, one core; ratio to the bare check, CPU time of one verification\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\t%s\n", strings.Join(algs, "\t"))
	for _, name := range order {
		fmt.Fprint(out, name)
		for _, alg := range algs {
			r, ok := table[name][alg]
			switch {
			case !ok:
				fmt.Fprint(out, "\t-")
			default:
				fmt.Fprintf(out, "\t%.2f  %s", r.ratio, r.each.Round(10*time.Nanosecond))
			}
		}
		fmt.Fprintln(out)
	}
	_ = out.Flush()
}
