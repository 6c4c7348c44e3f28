package sqlite

import (
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// What the broker's accept path costs here, with an 800-byte body and two indexes beside the key:
//
//	go test -bench . -benchtime 60000x ./internal/sqlite

const benchSchema = `
CREATE TABLE message (
	id     INTEGER PRIMARY KEY,
	mid    TEXT NOT NULL UNIQUE,
	member TEXT NOT NULL,
	seq    INTEGER NOT NULL,
	body   BLOB NOT NULL,
	UNIQUE (member, seq)
) STRICT`

func openBench(b *testing.B) *DB {
	b.Helper()
	opt := Options{Migrations: fstest.MapFS{"0001_message.sql": {Data: []byte(benchSchema)}}, Now: time.Now}
	db, err := Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

var benchBody = make([]byte, 800)

func insertMessage(n int) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO message (mid, member, seq, body) VALUES ($1, $2, $3, $4)",
			strconv.Itoa(n*7919%1_000_003)+"-"+strconv.Itoa(n), "member"+strconv.Itoa(n%64), n, benchBody)
		return err
	}
}

func BenchmarkWrite1(b *testing.B)  { benchWrite(b, 1) }
func BenchmarkWrite64(b *testing.B) { benchWrite(b, 64) }

func benchWrite(b *testing.B, writers int) {
	db := openBench(b)
	each := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			for i := w; i < b.N; i += writers {
				begin := time.Now()
				if err := db.Write(b.Context(), insertMessage(i)); err != nil {
					b.Error(err)
				}
				each[i] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	report(b, time.Since(start), each)
}

func BenchmarkSubmit512(b *testing.B) {
	db := openBench(b)
	each := make([]time.Duration, b.N)
	window := make(chan struct{}, 512)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range b.N {
		window <- struct{}{}
		wg.Add(1)
		begin := time.Now()
		err := db.Submit(b.Context(), insertMessage(i), func(err error) {
			if err != nil {
				b.Error(err)
			}
			each[i] = time.Since(begin)
			<-window
			wg.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	report(b, time.Since(start), each)
}

func BenchmarkRead(b *testing.B) {
	db := openBench(b)
	err := db.Write(b.Context(), func(tx *Tx) error {
		for i := range 1000 {
			if err := insertMessage(i)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	each := make([]time.Duration, b.N)
	start := time.Now()
	for i := range b.N {
		begin := time.Now()
		err := db.Read(b.Context(), func(tx *Tx) error {
			var body []byte
			return tx.QueryRow("SELECT body FROM message WHERE id = $1", i%1000+1).Scan(&body)
		})
		if err != nil {
			b.Fatal(err)
		}
		each[i] = time.Since(begin)
	}
	report(b, time.Since(start), each)
}

// report prints operations per second and latencies instead of the mean.
func report(b *testing.B, took time.Duration, each []time.Duration) {
	slices.Sort(each)
	at := func(q float64) float64 { return float64(each[int(float64(len(each)-1)*q)].Nanoseconds()) / 1e3 }
	b.ReportMetric(float64(len(each))/took.Seconds(), "ops/s")
	b.ReportMetric(at(0.50), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(at(0.999), "p99.9-µs")
	b.ReportMetric(0, "ns/op")
}
