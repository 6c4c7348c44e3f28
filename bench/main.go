// Command bench measures claudemesh beside systems that a reader knows, in one interleaved run on one machine, and
// writes the ratios to docs/benchmarks.md. Absolute figures depend on the machine; ratios of one run do not much.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == jetstreamVerb {
		exit(serveJetStream(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == bareVerb {
		exit(serveBare(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == natsVerb {
		exit(serveNATS(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == upgradeVerb {
		exit(serveUpgrades(os.Args[2]))
	}
	debug.SetGCPercent(800) // clients share the machine with what they measure
	rounds := flag.Int("rounds", 7, "rounds of every measurement; contenders take turns within a round")
	slice := flag.Duration("slice", time.Second, "length of one throughput measurement")
	only := flag.String("only", "", "start, ipc, durable, fanout, crowd, slow or restart")
	page := flag.String("page", "", "file to write the report to; empty prints it only")
	app := flag.String("app", "../bin/claudemesh", "the program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	binary, err := filepath.Abs(*app)
	if err != nil {
		exit(err)
	}
	exit(run(ctx, plan{rounds: *rounds, slice: *slice, only: *only, page: *page, app: binary}))
}

// plan is what is to be measured.
type plan struct {
	rounds int
	slice  time.Duration
	only   string
	page   string
	app    string
	dir    string
}

func run(ctx context.Context, p plan) error {
	dir, err := os.MkdirTemp("", "cmbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.dir = dir
	var found report
	for _, suite := range []struct {
		name string
		run  func(context.Context, plan, *report) error
	}{{"start", benchStart}, {"ipc", benchIPC}, {"durable", benchDurable}, {"fanout", benchFanout}, {"crowd", benchCrowd}, {"slow", benchSlow}, {"restart", benchRestart}} {
		if p.only != "" && p.only != suite.name {
			continue
		}
		fmt.Fprintln(os.Stderr, "==>", suite.name)
		if err := suite.run(ctx, p, &found); err != nil {
			return fmt.Errorf("%s: %w", suite.name, err)
		}
	}
	text := found.text(p)
	fmt.Print(text)
	if p.page == "" {
		return nil
	}
	return os.WriteFile(p.page, []byte(text), 0o644)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
