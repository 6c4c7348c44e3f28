package store

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// TestLesson239QueriesThatRunOftenUseAnIndex asks SQLite how it would run them. A plan that scans a table that grows with every
// message is a defect that no small test shows.
func TestLesson239QueriesThatRunOftenUseAnIndex(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, c := range []struct {
		name, query string
		args        int
		want        []string // in this order in the plan
	}{
		{"drain", listWaiting, 5, []string{"SEARCH d USING INDEX delivery_waiting (member=? AND session=? AND message>?", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"acknowledge", finishDelivery, 7, []string{"SEARCH delivery USING PRIMARY KEY (message=? AND member=? AND session=?)"}},
		{"repeat", findAccepted, 2, []string{"SEARCH message USING INDEX sqlite_autoindex_message_2 (client_id=? AND sender=?)"}},
		{"expire", listOverdue, 2, []string{"USING INDEX delivery_waiting", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"drop bodies", dropBodies, 3, []string{"SEARCH message USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH d USING PRIMARY KEY (message=?)"}},
		{"prune", listOld, 2, []string{"SEARCH message USING COVERING INDEX sqlite_autoindex_message_1 (id<?)", "SEARCH d USING PRIMARY KEY (message=?)"}},
		{"receipts", listRun, 4, []string{"SEARCH d USING INDEX delivery_receipt (run=? AND sender=? AND receipt>?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"first receipt of a run", firstOfRun, 2, []string{"USING COVERING INDEX delivery_receipt (run=? AND sender=?"}},
		{"last run", lastRun, 0, []string{"USING COVERING INDEX delivery_receipt"}},
		{"last receipt", lastReceipt, 2, []string{"USING COVERING INDEX delivery_receipt (run=? AND sender=?"}},
		{"close run", closeRun, 1, []string{"SEARCH member USING INTEGER PRIMARY KEY", "USING COVERING INDEX delivery_receipt (run=?"}},
		{"status", findMessage, 3, []string{"SEARCH m USING INDEX sqlite_autoindex_message_1 (id>? AND id<?)", "SEARCH d USING PRIMARY KEY (message=? AND member=?)"}},
		{"settled receipts", settledOfRun, 4, []string{"SEARCH d USING INDEX settled_receipt (run=? AND sender=? AND last_receipt>?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"settled copies", settledOf, 1, []string{"SEARCH d USING PRIMARY KEY (message=?)"}},
		{"settled, first of a run", firstOfRun, 2, []string{"USING COVERING INDEX settled_receipt (run=? AND sender=?"}},
		{"settled, last run", lastRun, 0, []string{"USING COVERING INDEX settled_receipt"}},
		{"settled, last receipt", lastReceipt, 2, []string{"USING COVERING INDEX settled_receipt (run=? AND sender=?"}},
		{"settled, close run", closeRun, 1, []string{"SEARCH member USING INTEGER PRIMARY KEY", "USING COVERING INDEX settled_receipt (run=?"}},
		{"told receipts", listTold, 4, []string{"SEARCH d USING INDEX told_receipt (run=? AND sender=? AND receipt>?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"told, first of a run", firstOfRun, 2, []string{"USING COVERING INDEX told_receipt (run=? AND sender=?"}},
		{"told, last run", lastRun, 0, []string{"USING COVERING INDEX told_receipt"}},
		{"told, last receipt", lastReceipt, 2, []string{"USING COVERING INDEX told_receipt (run=? AND sender=?"}},
		{"told, close run", closeRun, 1, []string{"SEARCH member USING INTEGER PRIMARY KEY", "USING COVERING INDEX told_receipt (run=?"}},
		{"mailbox of a member", findMailbox, 2, []string{"SEARCH r USING INTEGER PRIMARY KEY", "SEARCH k USING INDEX sqlite_autoindex_session_1 (mesh_id=? AND pubkey=?)"}},
		{"message by its id", findSent, 1, []string{"SEARCH m USING INDEX sqlite_autoindex_message_1 (id=?)"}},
		{"spread", spreadOf, 1, []string{"SEARCH spread USING INTEGER PRIMARY KEY (rowid=?)"}},
		{"drop bodies of spread", dropBodies, 3, []string{"SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"}},
		{"status of spread", findMessage, 3, []string{"SEARCH p USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH p USING PRIMARY KEY (message=?)"}},
		{"copies", listCopiesOf, 2, []string{"SEARCH d USING PRIMARY KEY (message=?)"}},
		{"bequest", listBequest, 3, []string{"SEARCH d USING INDEX delivery_waiting (member=? AND session=?)", "SEARCH o USING PRIMARY KEY (message=? AND member=? AND session=?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"bequest, what the member has", listHad, 5, []string{"SEARCH d USING INDEX delivery_waiting (member=? AND session=?)", "SEARCH o USING PRIMARY KEY (message=? AND member=? AND session=?)"}},
		{"silent sessions", listSilent, 5, []string{"SEARCH d USING INDEX delivery_waiting (member=? AND session>?)", "SEARCH o USING PRIMARY KEY (message=? AND member=? AND session=?)", "SEARCH k USING INTEGER PRIMARY KEY"}},
		{"group", groupMembers, 3, []string{"SEARCH group_seat USING INDEX group_seat_name (name=?)", "SEARCH group_seat USING INDEX group_seat_name (name>? AND name<?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"hello", findCaller, 3, []string{"SEARCH h USING PRIMARY KEY (id=?)", "SEARCH m USING INDEX member_key (mesh_id=? AND peer_pubkey=?)", "SEARCH s USING INDEX sqlite_autoindex_session_1 (mesh_id=? AND pubkey=?)", "SEARCH o USING COVERING INDEX member_key (mesh_id=? AND peer_pubkey=?)"}},
		{"skills", listSkills, 2, []string{"SEARCH s USING INDEX sqlite_autoindex_skill_1 (mesh_id=? AND name>?)", "SEARCH m USING INTEGER PRIMARY KEY"}},
		{"skill", findSkill, 2, []string{"SEARCH s USING INDEX sqlite_autoindex_skill_1 (mesh_id=? AND name=?)"}},
		{"skills of a member", countSkills, 2, []string{"SEARCH s USING INDEX", "SEARCH m USING"}},
		{"sessions", pruneSessions, 1, []string{"SEARCH session USING INDEX session_seen"}},
	} {
		plan := explain(t, db, c.query, c.args)
		rest := plan
		for _, want := range c.want {
			i := -1
			for either := range strings.SplitSeq(want, "|") {
				i = max(i, strings.Index(rest, either))
			}
			if i < 0 {
				t.Errorf("%s: got the plan\n%swant %q in it", c.name, plan, want)
				break
			}
			rest = rest[i:]
		}
		if strings.Contains(plan, "SCAN message") || strings.Contains(plan, "SCAN m ") {
			t.Errorf("%s: got the plan\n%swhich reads every message", c.name, plan)
		}
	}
}

func explain(t *testing.T, db *sqlite.DB, query string, args int) string {
	t.Helper()
	var plan strings.Builder
	err := db.Read(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query("EXPLAIN QUERY PLAN "+query, make([]any, args)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id, parent, unused int64
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				return err
			}
			plan.WriteString(detail + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("explain: %v\n%s", err, query)
	}
	return plan.String()
}
