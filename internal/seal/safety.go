package seal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

// SafetyNumber gives two people six groups of five digits to compare by voice; the order of the keys does
// not matter (crypto 14). Both must be member keys: session keys differ from one session to the next.
func SafetyNumber(a, b PublicKey) string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	sum := sha256.Sum256(append(a[:], b[:]...))
	groups := make([]string, 0, 6)
	for i := 0; i < 15; i += 5 { // 40 bits hold two groups of 20
		var bits uint64
		for _, c := range sum[i : i+5] {
			bits = bits<<8 | uint64(c)
		}
		groups = append(groups, fmt.Sprintf("%05d", bits>>20%100000), fmt.Sprintf("%05d", bits&(1<<20-1)%100000))
	}
	return strings.Join(groups, " ")
}
