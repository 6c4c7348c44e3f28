package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// grant sets what the peer's member lets the holder of a key do.
func (p *peer) grant(key mesh.Key, caps ...mesh.Cap) {
	p.w.t.Helper()
	if _, err := p.w.q.Guard().Regrant(context.Background(), p.who, mesh.Grants{key: mesh.CapsOf(caps...)}, nil); err != nil {
		p.w.t.Fatalf("grant: %v", err)
	}
	p.w.settle()
}

func (p *peer) reset(key mesh.Key) {
	p.w.t.Helper()
	if _, err := p.w.q.Guard().Regrant(context.Background(), p.who, nil, []mesh.Key{key}); err != nil {
		p.w.t.Fatalf("reset: %v", err)
	}
	p.w.settle()
}

// A queued message bypassed a later block, in the reference (wire 5, lessons 2.2.15).
func TestLesson2215GrantsHoldAtDrain(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cat")
		ann, cat := w.attach("m", "ann", "ann1"), w.attach("m", "cat", "cat1")
		first := ann.send(string(key("bob")), "before the block")
		bob := w.attach("m", "bob", "", daemon)
		bob.pushes() // and not acknowledged: the lease ends, and it would be pushed again
		bob.grant(key("ann"))
		bob.detach()
		second := ann.send(string(key("bob")), "after the block")
		ann.try(request("*", "to everyone"))
		cat.send(string(key("bob")), "of somebody else")
		bob = w.attach("m", "bob", "", daemon)
		bob.ack(wantTexts(t, "while ann is blocked", bob, "of somebody else")...)
		w.pass(2 * w.set.Lease)
		wantTexts(t, "later", bob)
		for _, sent := range []protocol.Ack{first, second} {
			if st := ann.status(string(sent.MessageID)); st.Delivered || st.Recipients[0].State != mesh.StateAccepted || st.Recipients[0].Status != statusDisconnected {
				t.Errorf("got %+v, want it accepted by somebody who is away", st)
			}
		}
		if r := ann.receipts(); len(r) != 0 {
			t.Errorf("got receipts %+v, want none", r)
		}
		w.restart()
		ann = w.attach("m", "ann", "ann1")
		bob = w.attach("m", "bob", "", daemon)
		wantTexts(t, "after a restart", bob)
		bob.reset(key("ann"))
		bob.ack(wantTexts(t, "after the block", bob, "before the block", "after the block", "to everyone")...)
		ann.send(string(key("bob")), "and on")
		bob.ack(wantTexts(t, "live", bob, "and on")...)
		if r := ann.receipts(); len(r) != 4 {
			t.Errorf("got %d receipts, want 4: %+v", len(r), r)
		}
	})
}

// What a blocked sender wrote ends as that to somebody who never came.
func TestBlockedMailExpires(t *testing.T) {
	set := settings()
	set.MessageTTL = time.Hour
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		bob.grant(key("ann"))
		ann.send(string(key("bob1")), "unheard")
		w.pass(2 * time.Hour)
		if r := ann.receipts(); len(r) != 1 || r[0].State != mesh.StateExpired {
			t.Errorf("got %+v, want that it expired", r)
		}
		bob.reset(key("ann"))
		wantTexts(t, "after it expired", bob)
	})
}

// What is on its way when the block comes is given back, and does not come again.
func TestBlockStopsWhatIsHeldInMemory(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		for i := range windowRows + 50 {
			ann.send(string(key("bob")), fmt.Sprintf("message %03d", i))
		}
		pushed := bob.pushes()
		bob.grant(key("ann"))
		bob.ack(pushed...)
		wantTexts(t, "behind the window", bob)
		bob.reset(key("ann"))
		if got := len(bob.pushes()); got != 50 || len(pushed) != windowRows {
			t.Errorf("got %d, then %d pushes; want %d and 50", len(pushed), got, windowRows)
		}
	})
}

// The access list: the member's entry beats the session's, that beats the defaults, own sessions are never kept apart, and
// accept and drain agree. Every step is drawn from a seed.
func TestAccessListProperties(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, settings(), func(t *testing.T, w *world) {
				w.mesh("m", "ann", "bob")
				random := rand.New(rand.NewPCG(seed, 0))
				acl := mesh.Grants{}
				var waiting []string // held by the block, oldest first
				bob := w.attach("m", "bob", "", daemon)
				senders := map[string]*peer{"ann1": w.attach("m", "ann", "ann1"), "ann2": w.attach("m", "ann", "ann2"), "bob1": w.attach("m", "bob", "bob1")}
				for step := range 60 {
					if random.IntN(3) == 0 {
						who := key([]string{"ann", "ann1", "ann2", "bob", "bob1"}[random.IntN(5)])
						if random.IntN(3) == 0 {
							delete(acl, who)
							bob.reset(who)
						} else {
							acl[who] = mesh.Caps(random.IntN(int(mesh.AllCaps) + 1))
							bob.grant(who, acl[who].List()...)
						}
					} else {
						from := []string{"ann1", "ann2", "bob1"}[random.IntN(3)]
						text := fmt.Sprintf("%s %03d", from, step)
						senders[from].send(string(key("bob")), text)
						waiting = append(waiting, text)
					}
					var want, still []string
					for _, text := range waiting {
						from := text[:4]
						if from == "bob1" || expected(acl, key(from)) {
							want = append(want, text)
						} else {
							still = append(still, text)
						}
					}
					waiting = still
					bob.ack(wantTexts(t, fmt.Sprintf("step %d", step), bob, want...)...)
				}
			})
		})
	}
}

// expected says in other words than mesh.Grants.Of whether a session of ann may write.
func expected(acl mesh.Grants, session mesh.Key) bool {
	dm := mesh.CapsOf(mesh.CapDM)
	if member, ok := acl[key("ann")]; ok {
		return member&dm != 0
	}
	if own, ok := acl[session]; ok {
		return own&dm != 0
	}
	return true
}

func TestGrantsAreBounded(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann")
		ann := w.attach("m", "ann", "ann1")
		many := mesh.Grants{}
		for i := range maxGrants + 1 {
			many[key(fmt.Sprint("peer", i))] = 0
		}
		if _, err := w.q.Guard().Regrant(t.Context(), ann.who, many, nil); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("got %v, want bad_request", err)
		}
		if got := w.q.Guard().Grants(ann.who.Member); len(got) != 0 {
			t.Errorf("got %d entries of a refused change", len(got))
		}
		delete(many, key("peer0"))
		if n, err := w.q.Guard().Regrant(t.Context(), ann.who, many, nil); n != maxGrants || err != nil {
			t.Errorf("got %d, %v; want %d", n, err, maxGrants)
		}
	})
}

// ban bans a member of mesh m.
func (w *world) ban(member string) {
	w.t.Helper()
	if ended, err := w.q.Guard().Ban(context.Background(), store.Ban{Member: w.member(member), Reason: "spam", By: key("owner"), At: time.Now()}, []byte(`{"type":"error"}`)); !ended || err != nil {
		w.t.Fatalf("ban %s: %v, %v", member, ended, err)
	}
	w.settle()
}

// member reads a member of mesh m, banned or not.
func (w *world) member(name string) (m store.Member) {
	w.t.Helper()
	err := w.db.Read(context.Background(), func(tx *sqlite.Tx) (err error) {
		m, err = store.FindMember(tx, id("mx"+name))
		return err
	})
	if err != nil {
		w.t.Fatalf("read member: %v", err)
	}
	return m
}

// A ban left queued mail alive, in the reference (lessons 2.2.11, 4.7): what the banned member wrote is withdrawn, what
// waits for it waits on for its return.
func TestLesson2211BanEndsQueuedMail(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cat")
		ann, cat := w.attach("m", "ann", "ann1"), w.attach("m", "cat", "cat1")
		bob := w.attach("m", "bob", "bob1")
		ann.send(string(key("bob")), "for bob, pushed")
		sent := bob.send(string(key("ann")), "of bob, pushed").MessageID
		pushed := ann.pushes()
		w.q.SetStatus(ann.conn.ID, mesh.DND)
		bob.send(string(key("ann")), "of bob, held")
		w.ban("bob")
		if got := bob.closing(); got != "4002 banned" {
			t.Errorf("closed with %q, want 4002 banned", got)
		}
		if a := bob.try(request(string(key("ann")), "too late")); a.Queued || a.Code != mesh.Revoked {
			t.Errorf("a send after the ban: got %+v, want revoked", a)
		}
		w.q.SetStatus(ann.conn.ID, mesh.Idle)
		ann.ack(pushed...)
		wantTexts(t, "of a banned member", ann)
		cat.send(string(key("ann")), "life goes on")
		wantTexts(t, "of others", ann, "life goes on")
		if a := cat.try(request(string(key("bob")), "to bob")); a.Queued || a.Code != mesh.TargetNotFound {
			t.Errorf("a message to a banned member: got %+v, want target_not_found", a)
		}
		w.pass(6 * time.Hour)
		w.restart()
		if lifted, err := w.q.Guard().Unban(t.Context(), w.member("bob")); !lifted || err != nil {
			t.Fatalf("unban: %v, %v", lifted, err)
		}
		bob = w.attach("m", "bob", "bob1")
		bob.ack(wantTexts(t, "after the ban", bob, "for bob, pushed")...)
		st := bob.status(string(sent))
		if len(st.Recipients) != 1 || st.Recipients[0].State != mesh.StateRejected || st.Recipients[0].Reason != string(mesh.Revoked) {
			t.Errorf("got %+v, want that it was rejected because of the ban", st)
		}
		page, err := w.q.ReceiptsSince(t.Context(), bob.who, protocol.ReceiptsRequest{})
		if err != nil || len(page.Receipts) != 2 || page.Receipts[1].State != mesh.StateRejected {
			t.Errorf("got %+v, %v; want two receipts of withdrawn copies", page, err)
		}
		bob.send(string(key("ann")), "sorry")
		ann = w.attach("m", "ann", "ann1")
		if d := cmp.Diff([]string{"life goes on", "sorry"}, texts(ann.pushes())); d != "" {
			t.Errorf("after the ban (-want +got):\n%s", d)
		}
	})
}

// A process that ends between a ban and its effects on the queue does the rest when it begins again.
func TestBanIsFinishedAfterARestart(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		bob := w.attach("m", "bob", "bob1")
		bob.send(string(key("ann")), "of bob")
		w.settle()
		w.write(func(tx *sqlite.Tx) error {
			_, err := store.AddBan(tx, store.Ban{Member: w.member("bob"), At: time.Now()})
			return err
		})
		w.restart()
		ann := w.attach("m", "ann", "", daemon)
		wantTexts(t, "after the restart", ann)
		w.pass(w.set.MessageTTL / 2)
		w.write(func(tx *sqlite.Tx) error {
			left, err := store.ListBannedMail(tx, 10)
			if len(left) != 0 {
				t.Errorf("%d copies still wait", len(left))
			}
			return err
		})
	})
}

// A message to many tells a blocked sender nothing of who is there: of a member who blocks it there is one copy, as of somebody
// who is away.
func TestBroadcastsHideWhoBlocks(t *testing.T) {
	for _, to := range []string{"*", "@dev"} {
		t.Run(to, func(t *testing.T) {
			inWorld(t, settings(), func(t *testing.T, w *world) {
				w.mesh("m", "ann", "bob")
				ann := w.attach("m", "ann", "ann1")
				bob, two := w.attach("m", "bob", "bob1", groups("dev")), w.attach("m", "bob", "bob2", groups("dev"))
				bob.grant(key("ann"), mesh.CapRead)
				if got := ann.send(to, "seen, and not heard"); got.Recipients != 2 {
					t.Errorf("got %d recipients, want both sessions, which ann sees", got.Recipients)
				}
				bob.reset(key("ann"))
				bob.ack(wantTexts(t, "one, which lets ann in", bob, "seen, and not heard")...)
				two.ack(wantTexts(t, "two, which lets ann in", two, "seen, and not heard")...)
				bob.grant(key("ann"), mesh.CapDM)
				sent := ann.send(to, "blocked")
				want := []protocol.RecipientStatus{{Name: "bob", Pubkey: key("bob"), Status: statusDisconnected, State: mesh.StateAccepted}}
				if got := ann.status(string(sent.MessageID)).Recipients; !cmp.Equal(got, want) || sent.Recipients != 1 {
					t.Errorf("got %d recipients, %+v, want the member alone, away", sent.Recipients, got)
				}
				wantTexts(t, "one, while ann is blocked", bob)
				wantTexts(t, "two, while ann is blocked", two)
				bob.reset(key("ann"))
				wantTexts(t, "one", bob)
				wantTexts(t, "two, the newest, which has what came for its member", two, "blocked")
			})
		})
	}
}
