package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
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

// fingerprintLabel keeps this hash apart from all others.
const fingerprintLabel = "claudemesh-fingerprint-v2"

// MemberFingerprint gives six groups of five digits for one member of a mesh under the name that it goes by there: its
// own program shows the same as those who know it (crypto 14). Names that look alike are one.
func MemberFingerprint(meshID string, member PublicKey, foldedName string) string {
	h := sha256.New()
	for _, part := range []string{fingerprintLabel, meshID, string(member[:]), foldedName} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // a hash takes everything
		_, _ = io.WriteString(h, part)
	}
	sum := h.Sum(nil)
	groups := make([]string, 0, 6)
	for i := 0; i < 30; i += 5 {
		var bits uint64
		for _, c := range sum[i : i+5] {
			bits = bits<<8 | uint64(c)
		}
		groups = append(groups, fmt.Sprintf("%05d", bits%100000))
	}
	return strings.Join(groups, " ")
}
