package rig

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// leftOutbox is the table of the TypeScript daemon at the release that this one takes the place of (daemon 10.1).
const leftOutbox = `CREATE TABLE outbox (id TEXT PRIMARY KEY, client_message_id TEXT NOT NULL UNIQUE, request_fingerprint BLOB NOT NULL,
	payload BLOB NOT NULL, enqueued_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at INTEGER NOT NULL,
	status TEXT NOT NULL CHECK(status IN ('pending','inflight','done','dead','aborted')), last_error TEXT, delivered_at INTEGER,
	broker_message_id TEXT, aborted_at INTEGER, aborted_by TEXT, superseded_by TEXT, mesh TEXT, target_spec TEXT, nonce TEXT,
	ciphertext TEXT, priority TEXT);
	CREATE INDEX outbox_status ON outbox (status, next_attempt_at);
	CREATE INDEX outbox_aborted ON outbox (status, aborted_at) WHERE status = 'aborted';
	PRAGMA journal_mode=WAL;`

// memberSecret is the key of a home's member in a mesh, from its config.json.
func (w *world) memberSecret(h *Home) seal.SecretKey {
	w.T.Helper()
	data, err := os.ReadFile(h.Paths().Config.File())
	w.must(err)
	var doc struct {
		Meshes []struct {
			SecretKey string `json:"secretKey"`
		} `json:"meshes"`
	}
	w.must(wire.Decode(data, &doc))
	key, err := seal.ParseSecretKey(doc.Meshes[0].SecretKey)
	w.must(err)
	return key
}

// An outbox that the TypeScript daemon left is opened and drained: what it had sealed reaches its recipient and opens there,
// what was under way when it died too, in order and once; what was sent is not sent again, and what has no target never is.
func TestOutboxOfTheTypeScriptDaemonIsDrained(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Stop()
		path := ada.Paths().Daemon.Outbox()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(path + suffix) // some are not there
		}
		w.exec(path, leftOutbox)
		to, err := seal.DecodePublicKey(string(ben.Mesh("team").Pubkey))
		w.must(err)
		boxes := seal.NewBoxes(1)
		at := ada.Clock.Now().Add(-time.Hour).UnixMilli()
		for i, row := range []struct{ id, status, text, more string }{
			{"was-sent", "done", "sent before", ", delivered_at = 1, broker_message_id = 'old-broker-id'"},
			{"flies", "inflight", "under way when it died", ", attempts = 3"},
			{"waits", "pending", "still to be sent", ""},
			{"nowhere", "pending", "the secret of a first release", ", mesh = NULL, target_spec = NULL, nonce = NULL, ciphertext = NULL"},
			{"elsewhere", "pending", "for a mesh that was left", ", mesh = 'gone'"},
		} {
			box, err := boxes.Seal(w.memberSecret(ada), to, []byte(row.text))
			w.must(err)
			w.exec(path, fmt.Sprintf(`INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at, next_attempt_at, status, mesh,
				target_spec, nonce, ciphertext, priority) VALUES ('row-%[1]s', '%[1]s', randomblob(32), CAST('%[2]s' AS BLOB), %[3]d, %[3]d, '%[4]s', 'team',
				'%[5]s', '%[6]s', '%[7]s', 'next'); UPDATE outbox SET id = id %[8]s WHERE client_message_id = '%[1]s'`,
				row.id, row.text, at+int64(i), row.status, to, box.Nonce, box.Ciphertext, row.more))
		}
		ada.Start()
		w.wantState(ada, "flies", mesh.StateDelivered)
		w.wantState(ada, "waits", mesh.StateDelivered)
		w.wantTexts(ben, "under way when it died", "still to be sent")
		for _, i := range w.Inbox(ben) {
			if !i.Encrypted || i.SenderPubkey != ada.Mesh("team").Pubkey {
				t.Errorf("got %+v, want a box of ada's member", i)
			}
		}
		if got := w.status(ada, "was-sent"); got.State != mesh.StateAccepted || got.MessageID != "old-broker-id" {
			t.Errorf("got %+v, want what was sent left as it was", got)
		}
		if got := w.inspect(ada, "nowhere"); got.Status != "dead" || *got.LastError != string(mesh.LegacyUnroutable) {
			t.Errorf("got %+v, want a message without a target never sent", got)
		}
		ada.Stop()
		ada.Start()
		pass(2 * time.Hour) // the look at what belongs to no mesh comes every hour
		if got := w.inspect(ada, "elsewhere"); got.Status != "dead" || *got.LastError != string(mesh.NoBrokerForMesh) {
			t.Errorf("got %+v, want a message to a mesh that was left given up", got)
		}
		w.wantTexts(ben, "under way when it died", "still to be sent")
		dead := w.letters(ada)
		if len(dead) != 2 || dead[0].ClientMessageID != "elsewhere" || dead[1].ClientMessageID != "nowhere" || dead[1].Redeliverable {
			t.Errorf("got the dead letters %+v, want the two that got nowhere", dead)
		}
		w.redeliver(ada, "nowhere", mesh.LegacyUnroutable)
	})
}

// What waits for a mesh that nobody is in any more is given up by a daemon that runs, once an hour; what waits for a mesh
// whose broker is only away, is not.
func TestStraysAreGivenUpByTheHour(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, _ *Home) {
		ada.Link(w.broker).Cut()
		pass(time.Second)
		waits := w.Send(ada, "ben", "for a broker that is away").ClientMessageID
		w.exec(ada.Paths().Daemon.Outbox(), fmt.Sprintf(`INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at, next_attempt_at,
			status, mesh, mesh_id, target_spec, nonce, ciphertext, priority, recipient_key) SELECT 'stray', 'stray', request_fingerprint, payload,
			enqueued_at, next_attempt_at, 'pending', 'gone', '%s', target_spec, nonce, ciphertext, priority, recipient_key FROM outbox WHERE client_message_id = '%s'`,
			strings.Repeat("g", 32), waits))
		pass(59 * time.Minute)
		if got := w.inspect(ada, "stray"); got.Status != "pending" {
			t.Errorf("got %+v within the hour, want it to wait", got)
		}
		pass(2 * time.Hour)
		if got := w.inspect(ada, "stray"); got.Status != "dead" || *got.LastError != string(mesh.NoBrokerForMesh) {
			t.Errorf("got %+v, want it given up", got)
		}
		if got := w.inspect(ada, waits); got.Status != "pending" {
			t.Errorf("got %+v, want what has a mesh to wait", got)
		}
		answer, err := localapi.Health.Do(t.Context(), ada, localapi.None{})
		if err != nil || len(answer.Meshes) != 1 || answer.Meshes[0].OutboxPending != 1 {
			t.Errorf("got %+v, %v, want one message that waits", answer, err)
		}
	})
}
