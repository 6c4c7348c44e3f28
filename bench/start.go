package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// runsPerRound is how many processes of each kind a round starts, in random order.
const runsPerRound = 40

// benchStart measures whole processes beside a Go program that says hello: a verb that does nothing, one that sends, those that a
// host runs again and again in a session, and the one that starts a host.
func benchStart(ctx context.Context, p plan, r *report) error {
	hello, err := buildHello(ctx, p.dir)
	if err != nil {
		return err
	}
	app, err := freshCopy(p.app, filepath.Join(p.dir, "app"))
	if err != nil {
		return err
	}
	h, err := newHome(ctx, p.app, filepath.Join(p.dir, "h"))
	if err != nil {
		return err
	}
	defer h.down()
	peer, err := h.secondMember(ctx, filepath.Join(p.dir, "g"))
	if err != nil {
		return err
	}
	defer peer.down()
	to, err := h.nameOf(ctx, peer)
	if err != nil {
		return err
	}
	s, err := newSession(ctx, p.app, filepath.Join(p.dir, "s"))
	if err != nil {
		return err
	}
	defer s.end()
	kinds := []started{
		{program: hello},
		{program: app, args: []string{"version"}, env: h.env},
		{program: app, args: []string{"send", to, "hello"}, env: h.env},
		{program: app, args: []string{"hook", "UserPromptSubmit"}, env: s.home.env, input: s.said},
		{program: app, args: []string{"status-line"}, env: s.home.env},
		{program: app, args: []string{"launch", "--quiet", "--", "-p", "hello"}, env: append(slices.Clone(h.env), "CLAUDE_BIN="+hello)},
	}
	medians, err := measure(ctx, kinds, p.rounds)
	if err != nil {
		return err
	}
	ms := func(i int) string { return fmt.Sprintf("%.2f ms", quantile(medians[i], 0.5)) }
	r.add(row{what: "`claudemesh version`, start to exit", ours: ms(1), theirs: ms(0), anchor: "hello world in Go", bar: 2.5}.compare(medians[1], medians[0]))
	r.add(row{what: "warm `claudemesh send`, start to exit (at most 10 ms)", ours: ms(2), theirs: ms(0), anchor: "hello world in Go", bar: 3.2}.compare(medians[2], medians[0]))
	r.add(row{what: "`claudemesh hook` of a session, start to exit", ours: ms(3), theirs: ms(0), anchor: "hello world in Go", bar: 3.5}.compare(medians[3], medians[0]))
	r.add(row{what: "`claudemesh status-line` of a session, start to exit", ours: ms(4), theirs: ms(0), anchor: "hello world in Go", bar: 3.5}.compare(medians[4], medians[0]))
	added, one := make([]float64, p.rounds), make([]float64, p.rounds)
	for i := range added {
		added[i], one[i] = medians[5][i]-medians[0][i], 1
	}
	r.add(row{what: "what `claudemesh launch` adds to the start of its program", ours: fmt.Sprintf("%.2f ms", quantile(added, 0.5)), theirs: "1 ms", anchor: "a millisecond", bar: 50}.compare(added, one))
	if t := quantile(medians[2], 0.5); t > 10 {
		return fmt.Errorf("a warm send takes %.1f ms, over 10", t)
	}
	return nil
}

// started is a process as it is started again and again.
type started struct {
	program string
	args    []string
	env     []string
	input   string // file that it reads; empty: none
}

// measure starts every kind in turn, and gives the medians of each kind by round, in milliseconds.
func measure(ctx context.Context, kinds []started, rounds int) ([][]float64, error) {
	medians := make([][]float64, len(kinds))
	for range rounds {
		times := make([][]time.Duration, len(kinds))
		for _, i := range order(len(kinds)) {
			took, err := kinds[i].run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w", kinds[i].program, kinds[i].args, err)
			}
			times[i] = append(times[i], took)
		}
		for i := range kinds {
			medians[i] = append(medians[i], median(times[i]).Seconds()*1e3)
		}
	}
	return medians, nil
}

// order gives every kind runsPerRound times, shuffled: a fixed order favours who follows a small process.
func order(kinds int) []int {
	all := make([]int, 0, kinds*runsPerRound)
	for i := range kinds {
		for range runsPerRound {
			all = append(all, i)
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (k started) run(ctx context.Context) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, k.program, k.args...)
	cmd.Env = k.env
	if k.input != "" {
		in, err := os.Open(k.input)
		if err != nil {
			return 0, err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	began := time.Now()
	err := cmd.Run()
	return time.Since(began), err
}

const helloSource = `package main

import "fmt"

func main() { fmt.Println("hello") }
`

// buildHello builds the anchor as the product is built.
func buildHello(ctx context.Context, dir string) (string, error) {
	src := filepath.Join(dir, "hello")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return "", err
	}
	for name, text := range map[string]string{"main.go": helloSource, "go.mod": "module hello\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "built", ".")
	cmd.Dir, cmd.Env = src, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hello: %w\n%s", err, out)
	}
	return freshCopy(filepath.Join(src, "built"), filepath.Join(dir, "hello.bin"))
}

// freshCopy copies a program: a file as the linker wrote it starts slower than its own copy.
func freshCopy(from, to string) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(out, in); err != nil {
		return "", err
	}
	return to, out.Close()
}
