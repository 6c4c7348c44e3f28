package seal

import "golang.org/x/crypto/blake2b"

// SealAnonymous seals plaintext to an X25519 key so that only its holder can open it and nobody can tell who
// sealed it: 32 bytes of a one-off key, then a box (crypto 8, 10). It is box.SealAnonymous, except that a key
// of low order is ErrWeakKey.
func SealAnonymous(recipient X25519Public, plaintext []byte) ([]byte, error) {
	return sealAnonymous(NewX25519Secret(), recipient, plaintext)
}

func sealAnonymous(ephemeral X25519Secret, recipient X25519Public, plaintext []byte) ([]byte, error) {
	key, err := ephemeral.shared(recipient)
	if err != nil {
		return nil, err
	}
	sender := ephemeral.Public()
	return append(sender[:], key.seal(plaintext, anonymousNonce(sender, recipient))...), nil
}

// OpenAnonymous opens what was sealed to own. The only error is ErrOpen.
func OpenAnonymous(own X25519Secret, sealed []byte) ([]byte, error) {
	if len(sealed) < len(X25519Public{})+tagBytes {
		return nil, ErrOpen
	}
	sender := X25519Public(sealed)
	key, err := own.shared(sender)
	if err != nil {
		return nil, ErrOpen
	}
	return key.open(sealed[len(sender):], anonymousNonce(sender, own.Public()))
}

// anonymousNonce is libsodium's: BLAKE2b-192 of both keys, so that it need not travel.
func anonymousNonce(ephemeral, recipient X25519Public) Nonce {
	h, err := blake2b.New(len(Nonce{}), nil)
	if err != nil {
		panic("24 is a BLAKE2b size: " + err.Error())
	}
	h.Write(ephemeral[:])
	h.Write(recipient[:])
	return Nonce(h.Sum(nil))
}
