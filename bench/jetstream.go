package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// jetstreamVerb makes this program a NATS server whose stream is synced before each acknowledgement.
const jetstreamVerb = "jetstream-server"

// serveJetStream runs the anchor in a folder; the address stands in the file `addr` there.
func serveJetStream(dir string) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "js"), SyncAlways: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the NATS server did not start")
	}
	if err := os.WriteFile(filepath.Join(dir, "addr.new"), []byte(s.ClientURL()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "addr.new"), filepath.Join(dir, "addr")); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

// startJetStream starts it as a process of its own and makes the stream.
func startJetStream(ctx context.Context, dir string) (url string, stop func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	stop, err = child(ctx, jetstreamVerb, dir)
	if err != nil {
		return "", nil, err
	}
	for range 500 {
		data, err := os.ReadFile(filepath.Join(dir, "addr"))
		if err == nil {
			return string(data), stop, makeStream(string(data))
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("the NATS server wrote no address")
}

func makeStream(url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	_, err = js.AddStream(&nats.StreamConfig{Name: "M", Subjects: []string{"m.*"}, Storage: nats.FileStorage})
	return err
}

// body is 1 KiB sealed, as the broker carries it.
var body = []byte(payload)

// jsSenders publish with a window each until ctx ends, and count what was acknowledged while another connection
// receives everything.
func jsSenders(ctx context.Context, url string, senders, window int) (int, error) {
	stop, err := jsReceive(url, func() {})
	if err != nil {
		return 0, err
	}
	defer stop()
	counts := make(chan result, senders)
	for range senders {
		go func() {
			n, err := jsSender(ctx, url, window)
			counts <- result{n, err}
		}()
	}
	return sum(counts, senders)
}

func jsSender(ctx context.Context, url string, window int) (int, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := nc.JetStream(nats.PublishAsyncMaxPending(window + 1))
	if err != nil {
		return 0, err
	}
	n := 0
	if window == 1 {
		for ctx.Err() == nil {
			if _, err := js.Publish("m.x", body); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	pending := make(chan nats.PubAckFuture, window)
	for ctx.Err() == nil {
		f, err := js.PublishAsync("m.x", body)
		if err != nil {
			return n, err
		}
		pending <- f
		if len(pending) == window {
			if err := settled(<-pending); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func settled(f nats.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-time.After(10 * time.Second):
		return fmt.Errorf("no acknowledgement within 10 s")
	}
}

// jsLatency is the time until a message is both acknowledged and with another connection, one at a time.
func jsLatency(ctx context.Context, url string) ([]time.Duration, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return nil, err
	}
	got := make(chan struct{}, 1)
	stop, err := jsReceive(url, func() { got <- struct{}{} })
	if err != nil {
		return nil, err
	}
	defer stop()
	var times []time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := js.Publish("m.x", body); err != nil {
			return nil, err
		}
		<-got
		times = append(times, time.Since(began))
	}
	return times, nil
}

// jsReceive takes everything that is published from now on, over a connection of its own, until stop is called.
func jsReceive(url string, got func()) (stop func(), err error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	js, err := nc.JetStream()
	if err != nil {
		nc.Close()
		return nil, err
	}
	if _, err := js.Subscribe("m.x", func(*nats.Msg) { got() }, nats.OrderedConsumer(), nats.DeliverNew()); err != nil {
		nc.Close()
		return nil, err
	}
	return nc.Close, nil
}
