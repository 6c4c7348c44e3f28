package wire

import (
	"fmt"
	"strings"
	"testing"
)

// worstFrames are frames of the largest size that cost as much as one can (performance 4, row 13).
func worstFrames() map[string][]byte {
	const size = 64 << 10
	fill := func(head, tail string, part func(i int) string) []byte {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; ; i++ {
			p := part(i)
			if b.Len()+len(p)+len(tail) > size {
				break
			}
			b.WriteString(p)
		}
		b.WriteString(tail)
		return []byte(b.String())
	}
	return map[string][]byte{
		"unknown names":     fill(`{"type":"plain","_reqId":"r"`, `}`, func(i int) string { return fmt.Sprintf(`,"k%d":0`, i) }),
		"one unknown name":  fill(`{"type":"plain","x":0,"text":"`, `"}`, func(int) string { return `\u0041` }),
		"a long number":     fill(`{"type":"plain","n":1`, `}`, func(int) string { return "0" }),
		"a deep value":      fill(`{"type":"plain","x":`, ``, func(int) string { return "[" }),
		"brackets in text":  fill(`{"type":"plain","text":"`, `"}`, func(int) string { return "[{" }),
		"empty objects":     fill(`{"type":"plain","x":[{}`, `]}`, func(int) string { return ",{}" }),
		"duplicate at last": fill(`{"type":"plain"`, `,"k0":0}`, func(i int) string { return fmt.Sprintf(`,"k%d":0`, i) }),
	}
}

func TestThreat13WorstFrames(t *testing.T) {
	t.Parallel()
	m := testMux()
	taken := map[string]bool{"unknown names": true, "one unknown name": true, "brackets in text": true, "empty objects": true}
	for name, frame := range worstFrames() {
		o := dispatch(m, true, string(frame))
		if (o.Seen != nil) != taken[name] {
			t.Errorf("%s: got %.200v, want it taken %v", name, o, taken[name])
		}
	}
}

func BenchmarkWorstFrames(b *testing.B) {
	m := testMux()
	for name, frame := range worstFrames() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dispatch(m, true, string(frame))
			}
		})
	}
}
