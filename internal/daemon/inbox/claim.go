package inbox

import (
	"context"
	"time"
)

// Surface is a host session that messages are shown to.
type Surface struct {
	ID    string // host session id
	Scope Scope
	Since time.Time // when the session was registered
}

// Claimed is a row that this deliverer, and nobody else for the same surface, writes to the host.
type Claimed struct {
	Row
	Attempt string // random token of this offer
}

// Claim takes the oldest rows that were never offered to s and that admit lets through (nil: all), and returns them
// when the claim is on the disk: each is returned once, whatever happens afterwards. Rows that admit refuses stay and
// are taken when it lets them through. What came to a member key goes to every session that was there when it came,
// else to the first that asks; what was read by list goes to none. limit is 1 to 1000.
func (b *Inbox) Claim(ctx context.Context, s Surface, limit int, admit func(Row) bool) ([]Claimed, error) {
	panic("inbox: in the making")
}

// Offered confirms that claimed rows were written to the host by a path, socket or channel, and counts them. Tokens of
// other surfaces, unknown ones and repeated ones count nothing.
func (b *Inbox) Offered(ctx context.Context, surface string, attempts []string, path string) (int, error) {
	panic("inbox: in the making")
}

// Unconfirmed counts rows that were claimed for a surface and never confirmed: the host may have them or not. Ask
// when a new deliverer comes, before its first Claim.
func (b *Inbox) Unconfirmed(ctx context.Context, surface string) (int, error) {
	panic("inbox: in the making")
}

// Told forgets the unconfirmed rows of a surface after its session was told of them.
func (b *Inbox) Told(ctx context.Context, surface string) error { panic("inbox: in the making") }
