package order

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Entries gives what the member lets others do; the map is not to be changed. This daemon is the one that knows them: the
// broker is told, so that it need not send what would be dropped here, and is not believed, for it could forget.
func (o *Order) Entries() mesh.Grants {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.grants
}

// set changes one entry: on the disk, here, and at the broker where it is connected. It reports whether the broker knows.
func (o *Order) set(ctx context.Context, row localdb.Grant) (told bool, err error) {
	if err := localdb.GrantsOf(o.DB, o.ID).Save(ctx, []localdb.Grant{row}); err != nil {
		return false, err
	}
	o.take(row)
	if err := o.tell(ctx); err != nil {
		o.Log.Info("grants not told", logkey.Mesh, o.Slug, logkey.Err, err) // the next connection does
		return false, nil
	}
	return true, nil
}

// take puts an entry into the list.
func (o *Order) take(row localdb.Grant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.grants = maps.Clone(o.grants)
	if row.Gone {
		delete(o.grants, row.Key)
	} else {
		o.grants[row.Key] = row.Caps
	}
}

// Telling: one question may take grantTime, and has so many entries.
const (
	grantTime  = 5 * time.Second
	grantChunk = 200
)

// tell brings the broker up to date. Without a connection, and to a broker that keeps no grants, that is an error.
func (o *Order) tell(ctx context.Context) error {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !o.Link.Has(protocol.CapGo) {
		return mesh.Errorf(mesh.BrokerDown, "there is no broker that keeps grants")
	}
	table := localdb.GrantsOf(o.DB, o.ID)
	rows, err := table.List(ctx)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r localdb.Grant) bool { return r.Told })
	for part := range slices.Chunk(rows, grantChunk) {
		req := protocol.GrantsUpdateRequest{Grants: map[mesh.Key][]mesh.Cap{}}
		for _, r := range part {
			if r.Gone {
				req.Reset = append(req.Reset, r.Key)
			} else {
				req.Grants[r.Key] = r.Caps.List()
			}
		}
		if _, err := ask(ctx, o, grantTime, protocol.GrantsUpdate, req); err != nil {
			return err
		}
		if err := table.Told(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// Meet compares with a broker that has just been reached: what it does not have any more it is told again, and what it has
// and this daemon has lost is taken over where it lets less through than the defaults. More than that only the user grants.
func (o *Order) Meet(ctx context.Context) error {
	if !o.Link.Has(protocol.CapGo) {
		return nil
	}
	err := o.compare(ctx)
	if err == nil {
		err = o.tell(ctx)
	}
	if err != nil && ctx.Err() == nil {
		o.Log.Info("grants not compared", logkey.Mesh, o.Slug, logkey.Err, err) // the next connection does
	}
	return nil
}

func (o *Order) compare(ctx context.Context) error {
	theirs, err := o.read(ctx)
	if err != nil {
		return err
	}
	table := localdb.GrantsOf(o.DB, o.ID)
	rows, err := table.List(ctx)
	if err != nil {
		return err
	}
	var changed []localdb.Grant
	for _, row := range rows {
		has, ok := theirs[row.Key]
		delete(theirs, row.Key)
		if row.Told && (!ok || has != row.Caps) {
			row.Told = false
			changed = append(changed, row)
		}
	}
	for key, caps := range theirs {
		if less := caps & mesh.DefaultCaps; less != mesh.DefaultCaps {
			row := localdb.Grant{Key: key, Caps: less, Told: less == caps}
			changed = append(changed, row)
			o.take(row)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return table.Save(ctx, changed)
}

// maxGrantPages bounds what a broker can make us read.
const maxGrantPages = 20

func (o *Order) read(ctx context.Context) (mesh.Grants, error) {
	all := mesh.Grants{}
	req := protocol.GrantsListRequest{}
	for range maxGrantPages {
		page, err := ask(ctx, o, grantTime, protocol.GrantsList, req)
		if err != nil {
			return nil, err
		}
		for key, list := range page.Grants {
			if mesh.IsKey(string(key)) {
				all[key] = mesh.CapsOf(list...)
			}
		}
		if req.After = page.Next; req.After == "" {
			break
		}
	}
	return all, nil
}

// Admits reports whether a message may come in; direct is one to a key, not to many. Beside what the broker says of the sender counts the key that its box was
// opened with, and whose that was when it was met: a relay that lies about who wrote gets no blocked peer past.
func (o *Order) Admits(ctx context.Context, msg protocol.PushedMessage, direct bool, opened mesh.Key) bool {
	grants := o.Entries()
	if len(grants) == 0 {
		return true
	}
	need := mesh.CapsOf(mesh.CapBroadcast)
	if direct {
		need = mesh.CapsOf(mesh.CapDM)
	}
	sender := cmp.Or(opened, msg.SenderPubkey)
	if o.Own()[sender] {
		return true
	}
	members := []mesh.Key{msg.SenderMemberPubkey}
	if known, found, err := o.DB.FindPeer(ctx, o.ID, sender); err == nil && found {
		members = append(members, known.MemberKey)
	}
	return !slices.ContainsFunc(members, func(m mesh.Key) bool { return !grants.Of(m, sender).Has(need) })
}
