package seal

// SealTopicKey seals a topic's key from a member to another: the ciphertext is the sender's X25519 key, then
// the box, 80 bytes (crypto 7).
func SealTopicKey(topic SymmetricKey, own SecretKey, peer PublicKey) (Sealed, error) {
	if topic.IsZero() {
		return Sealed{}, ErrMalformed
	}
	return sealTopicKey(topic, own, peer, NewNonce())
}

func sealTopicKey(topic SymmetricKey, own SecretKey, peer PublicKey, n Nonce) (Sealed, error) {
	recipient, err := peer.Exchange()
	if err != nil {
		return Sealed{}, err
	}
	key, err := own.Exchange().shared(recipient)
	if err != nil {
		return Sealed{}, err
	}
	sender := own.Exchange().Public()
	blob := append(sender[:], key.seal(topic.Bytes(), n)...)
	return Sealed{Nonce: n.String(), Ciphertext: Base64(blob)}, nil
}

// OpenTopicKey opens what SealTopicKey sealed to own. Who sealed it is not proved: the sender's key is
// whatever the blob says (crypto 7). The only error is ErrOpen.
func OpenTopicKey(own SecretKey, s Sealed) (SymmetricKey, error) {
	n, blob, err := s.parse()
	if err != nil || len(blob) != 2*len(sharedKey{})+tagBytes {
		return SymmetricKey{}, ErrOpen
	}
	key, err := own.Exchange().shared(X25519Public(blob))
	if err != nil {
		return SymmetricKey{}, ErrOpen
	}
	raw, err := key.open(blob[len(X25519Public{}):], n)
	if err != nil {
		return SymmetricKey{}, err
	}
	return SymmetricKeyOf(raw)
}
