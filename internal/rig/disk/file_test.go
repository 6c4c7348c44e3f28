package disk

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// What survives a power cut is of what was written, in whole sectors: a byte is synced, or pending, or a zero that fills a gap.
func TestSurvivorsAreOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := &file{}
		f.note(change{op: Open})
		synced := rapid.IntRange(0, 6).Draw(t, "synced")
		for i := range rapid.IntRange(0, 12).Draw(t, "writes") {
			if i == synced {
				f.sync()
			}
			size := rapid.IntRange(1, 3*sectorBytes).Draw(t, "size")
			f.note(change{Write, int64(rapid.IntRange(0, 4*sectorBytes).Draw(t, "at")), bytes.Repeat([]byte{byte(i + 1)}, size)})
		}
		sound, whole := f.clone().synced, f.current()
		f.pending = f.survivors(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		left := f.current()
		if sound.there && !left.there {
			t.Fatal("a file that was synced is gone")
		}
		if len(left.data) > len(whole.data) || len(left.data) < len(sound.data) {
			t.Fatalf("%d bytes are left of %d, of which %d were synced", len(left.data), len(whole.data), len(sound.data))
		}
		for at := range sound.data {
			if left.data[at] < sound.data[at] && left.data[at] != 0 { // writes are numbered: no older one comes back
				t.Fatalf("byte %d is of write %d, after %d was synced", at, left.data[at], sound.data[at])
			}
		}
	})
}

// Some power cuts leave everything, some nothing, some a part of a write.
func TestSurvivorsVary(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(200) {
		f := &file{synced: content{there: true}}
		for i := range 4 {
			f.note(change{Write, int64(i * 8 * sectorBytes), bytes.Repeat([]byte{1}, 8*sectorBytes)})
		}
		left := f.survivors(rand.New(rand.NewPCG(seed, 0)))
		whole, bytes := 0, 0
		for _, c := range left {
			if bytes += len(c.data); len(c.data) == 8*sectorBytes {
				whole++
			}
		}
		switch {
		case whole == 4:
			seen["all"]++
		case bytes == 0:
			seen["nothing"]++
		case bytes > whole*8*sectorBytes:
			seen["torn"]++
		default:
			seen["some"]++
		}
	}
	if len(seen) != 4 {
		t.Errorf("got %v, want all, nothing, some and torn", seen)
	}
}
