package seal

import (
	"encoding/hex"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

type safetyInputs struct {
	Mine   string `json:"my_public_hex"`
	Theirs string `json:"peer_public_hex"`
}

type safetyExpected struct {
	Number string `json:"safety_number"`
	Hex    string `json:"safety_number_hex"`
}

func testSafetyNumber(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[safetyInputs, safetyExpected]) {
		mine, theirs := publicKey(t, c.Inputs.Mine), publicKey(t, c.Inputs.Theirs)
		for _, got := range []string{SafetyNumber(mine, theirs), SafetyNumber(theirs, mine)} {
			if got != c.Expected.Number || hex.EncodeToString([]byte(got)) != c.Expected.Hex {
				t.Errorf("got %s, want %s", got, c.Expected.Number)
			}
		}
	})
}

func TestMemberFingerprint(t *testing.T) {
	t.Parallel()
	ada, ben := NewSecretKey().Public(), NewSecretKey().Public()
	base := MemberFingerprint("m1", ada, "ada")
	if again := MemberFingerprint("m1", ada, "ada"); again != base || len(base) != 35 {
		t.Errorf("got %q and %q, want the same six groups of five digits", base, again)
	}
	for what, other := range map[string]string{
		"another mesh": MemberFingerprint("m2", ada, "ada"), "another key": MemberFingerprint("m1", ben, "ada"),
		"another name": MemberFingerprint("m1", ada, "adb"), "a part moved": MemberFingerprint("m", ada, "1ada"),
	} {
		if other == base {
			t.Errorf("%s: got the same, %q", what, other)
		}
	}
}
