package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Peer is a member, or a session of one, that was seen in a roster or sent something: so that its name still means
// its key when it is offline.
type Peer struct {
	MeshID     mesh.ID
	Key        mesh.Key // session key of a session, else member key
	MemberKey  mesh.Key
	Name       string // display name
	MemberName string
	Session    bool
	FirstSeen  time.Time // set by the first SeePeers, in milliseconds
	LastSeen   time.Time // in milliseconds
}

// sessionIdle is how long a session is known after it was last seen; a member is known for as long as the mesh.
const sessionIdle = 30 * 24 * time.Hour

// peerLimit bounds the peers of one mesh: a broker may invent any number of them.
const peerLimit = 10_000

const peerColumns = "mesh_id, key, member_key, name, member_name, is_session, first_seen, last_seen"

const seePeer = "INSERT INTO peer (" + peerColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (mesh_id, key) DO UPDATE SET
  member_key = excluded.member_key, is_session = excluded.is_session,
  name = CASE excluded.name WHEN '' THEN name ELSE excluded.name END,
  member_name = CASE excluded.member_name WHEN '' THEN member_name ELSE excluded.member_name END,
  last_seen = max(last_seen, excluded.last_seen)`

// SeePeers writes who was seen, each at its LastSeen. Empty names do not replace known ones. A mesh keeps 10,000
// peers; beyond that sessions are forgotten before members, and of each those that were not seen for longest.
func (d *DB) SeePeers(ctx context.Context, peers []Peer) error {
	if len(peers) == 0 {
		return nil
	}
	return d.write(ctx, "save who was seen", func(tx *sqlite.Tx) error {
		seen := map[mesh.ID]bool{}
		for _, p := range peers {
			seen[p.MeshID] = true
			if _, err := tx.Exec(seePeer, p.MeshID, p.Key, p.MemberKey, p.Name, p.MemberName, p.Session, p.LastSeen.UnixMilli()); err != nil {
				return err
			}
		}
		for id := range seen {
			if err := boundPeers(tx, id, peerLimit); err != nil {
				return err
			}
		}
		return nil
	})
}

// boundPeers forgets what is beyond the limit.
func boundPeers(tx *sqlite.Tx, id mesh.ID, limit int) error {
	var count int
	if err := tx.QueryRow("SELECT count(*) FROM peer WHERE mesh_id = $1", id).Scan(&count); err != nil || count <= limit {
		return err
	}
	_, err := tx.Exec(`DELETE FROM peer WHERE mesh_id = $1 AND key IN
		(SELECT key FROM peer WHERE mesh_id = $1 ORDER BY is_session DESC, last_seen LIMIT $2)`, id, count-limit)
	return err
}

// FindPeer returns the peer of a key, and whether it is known.
func (d *DB) FindPeer(ctx context.Context, id mesh.ID, key mesh.Key) (p Peer, found bool, err error) {
	err = d.read(ctx, "find a known peer", func(tx *sqlite.Tx) error {
		var first, last int64
		found, err = find(tx.QueryRow("SELECT "+peerColumns+" FROM peer WHERE mesh_id = $1 AND key = $2", id, key), p.fields(&first, &last)...)
		if found {
			p.seen(first, last)
		}
		return err
	})
	return p, found, err
}

// ListPeers returns the known peers of a mesh, last seen first.
func (d *DB) ListPeers(ctx context.Context, id mesh.ID) ([]Peer, error) {
	return listPeers(ctx, d, "SELECT "+peerColumns+" FROM peer WHERE mesh_id = $1 ORDER BY last_seen DESC, key", id)
}

// ListNames is ListPeers without the sessions after which their member called another one alike.
func ListNames(ctx context.Context, d *DB, id mesh.ID) ([]Peer, error) {
	return listPeers(ctx, d, "SELECT "+peerColumns+` FROM
		(SELECT *, row_number() OVER (PARTITION BY member_key, is_session, lower(name) ORDER BY last_seen DESC, key) AS turn
		FROM peer WHERE mesh_id = $1)
		WHERE turn = 1 OR is_session = 0 ORDER BY last_seen DESC, key`, id)
}

func listPeers(ctx context.Context, d *DB, query string, id mesh.ID) (list []Peer, err error) {
	err = d.read(ctx, "list the known peers", func(tx *sqlite.Tx) error {
		rows, err := tx.Query(query, id)
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			var p Peer
			var first, last int64
			err := rows.Scan(p.fields(&first, &last)...)
			p.seen(first, last)
			list = append(list, p)
			return err
		})
	})
	return list, err
}

func (p *Peer) fields(first, last *int64) []any {
	return []any{&p.MeshID, &p.Key, &p.MemberKey, &p.Name, &p.MemberName, &p.Session, first, last}
}

func (p *Peer) seen(first, last int64) {
	p.FirstSeen, p.LastSeen = time.UnixMilli(first), time.UnixMilli(last)
}

// PrunePeers forgets sessions that were not seen for 30 days, and says how many.
func (d *DB) PrunePeers(ctx context.Context, now time.Time) (int, error) {
	var count int64
	err := d.write(ctx, "forget idle peers", func(tx *sqlite.Tx) (err error) {
		before := now.Add(-sessionIdle)
		if count, err = tx.Exec("DELETE FROM peer WHERE is_session = 1 AND last_seen <= $1", before.UnixMilli()); err != nil {
			return err
		}
		return prunePinnedSessions(tx, before)
	})
	return int(count), err
}
