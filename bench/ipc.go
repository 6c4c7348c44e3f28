package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// bareVerb makes this program a bare HTTP server on a Unix socket.
const bareVerb = "bare-server"

// requestsPerRound is how many requests each contender answers in a round.
const requestsPerRound = 3000

// benchIPC measures a read of the daemon beside a bare net/http server, by the same client over a kept connection.
func benchIPC(ctx context.Context, p plan, r *report) error {
	h, err := newHome(ctx, p.app, filepath.Join(p.dir, "i"))
	if err != nil {
		return err
	}
	defer h.down()
	bare := filepath.Join(p.dir, "bare.sock")
	stop, err := child(ctx, bareVerb, bare)
	if err != nil {
		return err
	}
	defer stop()
	if err := reachable(ctx, "unix", bare); err != nil {
		return err
	}
	ours, theirs := unixClient(h.socket()), unixClient(bare)
	var a, b []float64
	for range p.rounds {
		for _, side := range []struct {
			client *http.Client
			into   *[]float64
		}{{ours, &a}, {theirs, &b}} {
			t, err := requests(ctx, side.client, "http://localhost/v1/sessions")
			if err != nil {
				return err
			}
			*side.into = append(*side.into, float64(t.Microseconds()))
		}
	}
	us := func(v []float64) string { return fmt.Sprintf("%.0f µs", quantile(v, 0.5)) }
	r.add(row{what: "IPC read, p50", ours: us(a), theirs: us(b), anchor: "bare net/http over a Unix socket", bar: 1.3}.compare(a, b))
	return nil
}

func unixClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
}

// requests gives the median time of one request.
func requests(ctx context.Context, c *http.Client, url string) (time.Duration, error) {
	times := make([]time.Duration, 0, requestsPerRound)
	for range requestsPerRound {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s: %d %w", url, resp.StatusCode, err)
		}
		times = append(times, time.Since(began))
	}
	return median(times), nil
}

// serveBare answers every request with a body of the size of the daemon's.
func serveBare(socket string) error {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	body := make([]byte, 250)
	for i := range body {
		body[i] = 'x'
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	}))
}

// child runs this program again in another role.
func child(ctx context.Context, args ...string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { cmd.Process.Kill(); cmd.Wait() }, nil
}

// reachable waits until something listens.
func reachable(ctx context.Context, network, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
