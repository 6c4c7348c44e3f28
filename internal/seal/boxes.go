package seal

import (
	"container/list"
	"sync"
	"unicode/utf8"
)

// Boxes seals and opens direct messages (crypto 4). It remembers the shared keys of the pairs it met, so
// that only the first message between two keys pays for curve arithmetic. It may be used from several
// goroutines.
type Boxes struct {
	limit int

	mu    sync.Mutex
	pairs map[pair]*list.Element
	order *list.List // of *entry, last used first
}

type pair struct{ own, peer PublicKey }

type entry struct {
	pair pair
	key  *sharedKey
}

// NewBoxes remembers up to limit pairs, about 400 bytes each; at least one. At the bound the pair that was
// not used for longest is forgotten, and its next message derives the key again.
func NewBoxes(limit int) *Boxes {
	return &Boxes{limit: max(limit, 1), pairs: make(map[pair]*list.Element), order: list.New()}
}

// Seal boxes plaintext from own to peer under a fresh nonce. ErrMalformed or ErrWeakKey when peer is no key
// that a box can be sealed to.
func (b *Boxes) Seal(own SecretKey, peer PublicKey, plaintext []byte) (Sealed, error) {
	key, err := b.shared(own, peer)
	if err != nil {
		return Sealed{}, err
	}
	return key.sealed(plaintext), nil
}

// Open opens a box that peer sealed to own. The only error is ErrOpen.
func (b *Boxes) Open(own SecretKey, peer PublicKey, s Sealed) ([]byte, error) {
	n, ciphertext, err := s.parse()
	if err != nil {
		return nil, err
	}
	return b.open(own, peer, n, ciphertext)
}

// Inbound is a message as it came, with every key that could open it.
type Inbound struct {
	Sealed  Sealed
	Senders []PublicKey // in the order to try: senderPubkey, senderMemberPubkey; zero keys are skipped
	Secrets []SecretKey // in the order to try: own session keys, newest first, member key; zero keys are skipped
	Direct  bool        // addressed to a key, so that plain text is refused
}

// Opened is what an Inbound said, and which keys prove it.
type Opened struct {
	Plaintext []byte
	Boxed     bool      // false: base64 text that anyone on the way could have written
	Sender    PublicKey // the key that sealed the box; zero when not Boxed
	Recipient PublicKey // the own key that opened it; zero when not Boxed
}

// OpenInbound tries each sender key with each own key, then reads base64 as plain text if the message is
// not direct and its bytes are UTF-8 (daemon 14.2). The only error is ErrOpen; nothing of a message that
// did not open is ever returned (design C10).
func (b *Boxes) OpenInbound(in Inbound) (Opened, error) {
	if n, ciphertext, err := in.Sealed.parse(); err == nil {
		for _, sender := range in.Senders {
			for _, own := range in.Secrets {
				if plaintext, err := b.open(own, sender, n, ciphertext); err == nil {
					return Opened{Plaintext: plaintext, Boxed: true, Sender: sender, Recipient: own.Public()}, nil
				}
			}
		}
	}
	if in.Direct {
		return Opened{}, ErrOpen
	}
	text, err := ParseBase64(in.Sealed.Ciphertext)
	if err != nil || !utf8.Valid(text) {
		return Opened{}, ErrOpen
	}
	return Opened{Plaintext: text}, nil
}

func (b *Boxes) open(own SecretKey, peer PublicKey, n Nonce, ciphertext []byte) ([]byte, error) {
	if own.IsZero() || peer.IsZero() {
		return nil, ErrOpen
	}
	key, err := b.shared(own, peer)
	if err != nil {
		return nil, ErrOpen
	}
	return key.open(ciphertext, n)
}

// shared finds or derives the key of a pair. Two goroutines may derive the same key at once; that costs
// time and changes nothing.
func (b *Boxes) shared(own SecretKey, peer PublicKey) (*sharedKey, error) {
	id := pair{own.Public(), peer}
	if key := b.find(id); key != nil {
		return key, nil
	}
	public, err := peer.Exchange()
	if err != nil {
		return nil, err
	}
	key, err := own.Exchange().shared(public)
	if err != nil {
		return nil, err
	}
	b.add(id, key)
	return key, nil
}

func (b *Boxes) find(id pair) *sharedKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.pairs[id]
	if !ok {
		return nil
	}
	b.order.MoveToFront(e)
	return e.Value.(*entry).key
}

func (b *Boxes) add(id pair, key *sharedKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.pairs[id]; ok {
		b.order.MoveToFront(e)
		return
	}
	if b.order.Len() >= b.limit {
		last := b.order.Back()
		delete(b.pairs, last.Value.(*entry).pair)
		b.order.Remove(last)
	}
	b.pairs[id] = b.order.PushFront(&entry{id, key})
}
