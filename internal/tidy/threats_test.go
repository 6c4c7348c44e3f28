package tidy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// threats are the bad inputs that every release is given, by their row. A test named TestThreat<row>… gives it to the
// part that must withstand it. Those of frames that are not there yet say so; the list of them only shrinks.
var threats = []struct {
	input string
	later string // types of the frames that will take it, none of which is declared; empty when they are there
}{
	1:  {"a hello that is replayed", ""},
	2:  {"a hello, or a claim, that was signed for another mesh or broker", ""},
	3:  {"a hello of another time", ""},
	4:  {"keys and signatures of another length, case or encoding", ""},
	5:  {"an Ed25519 key of small order", ""},
	6:  {"an X25519 key of low order", ""},
	7:  {"a sender's name or key in a frame of somebody else", ""},
	8:  {"a box that was moved, altered or sent again", ""},
	9:  {"the same client id for another message", ""},
	10: {"the same client id from another member", ""},
	11: {"messages over the limit, by their length or by what they announce", ""},
	12: {"a message that would inflate", ""},
	13: {"JSON that is deep, wide, doubled, in another case or followed by more", ""},
	14: {"text that is not UTF-8, and names that command a terminal", ""},
	15: {"frames against the protocol", ""},
	16: {"connections that say nothing, or say it slowly", ""},
	17: {"a thousand connections, and ten thousand sends a second, of one member", ""},
	18: {"more for an absent member than it may keep", ""},
	19: {"groups with names that mean something else", ""},
	20: {"a target that could mean several", ""},
	21: {"state keys of odd names, sizes and versions", "set_state claim_task"},
	22: {"search texts with operators", "recall"},
	23: {"names that lead out of a folder", ""},
	24: {"a link that is swapped between check and use", ""},
	25: {"bundles that lead out, link out or inflate", "mcp_deploy skill_deploy"},
	26: {"watched addresses on this machine or its network", "watch"},
	27: {"watched names that change their address, and redirects", "watch"},
	28: {"watched pages without an end", "watch"},
	29: {"webhooks with a wrong secret, a replayed or a huge body", "create_webhook"},
	30: {"text that closes the frame it is shown in", ""},
	31: {"text that tells its reader what to do", ""},
	32: {"a local caller of another user, and a socket that is not ours", ""},
	33: {"requests of pages, by other names, without a token", ""},
	34: {"two services at once, and what a dead one left behind", ""},
	35: {"a database that cannot be used", ""},
	36: {"odd files of configuration and keys", ""},
	37: {"arguments that a shell or a flag parser would take for something else", ""},
	38: {"invites that cannot be used, or are used twice at once", ""},
	39: {"a member that is one no more", ""},
	40: {"answers of a broker that lies", ""},
	41: {"permissions answered by others, twice, too late or for something else", ""},
}

// Every bad input has a test that is named after it, or waits for the frames that take it.
func TestEveryBadInputIsGiven(t *testing.T) {
	t.Parallel()
	given := map[int][]string{}
	name := regexp.MustCompile(`(?m)^func (TestThreat(\d+)[A-Z]\w*)\(`)
	tree := read(t)
	for _, f := range tree.code() {
		for _, m := range name.FindAllStringSubmatch(f.text, -1) {
			row, err := strconv.Atoi(m[2])
			if err != nil || row < 1 || row >= len(threats) {
				t.Errorf("%s: %s is named after a bad input that is not listed", f.path, m[1])
				continue
			}
			given[row] = append(given[row], m[1])
		}
	}
	for row, threat := range threats {
		switch tests := given[row]; {
		case row == 0:
		case len(tests) == 0 && threat.later == "":
			t.Errorf("no test is named TestThreat%d…: %s", row, threat.input)
		case len(tests) > 0 && threat.later != "":
			t.Errorf("%s gives what is listed to wait for %s: %s", slices.Sorted(slices.Values(tests)), threat.later, threat.input)
		}
		for _, complaint := range waitsInVain(tree, strings.Fields(threat.later)) {
			t.Errorf("row %d %s: %s", row, complaint, threat.input)
		}
	}
}
