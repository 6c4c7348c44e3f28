package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// member is a joined mesh as config.json has it.
type member struct {
	MeshID    string `json:"meshId"`
	MemberID  string `json:"memberId"`
	SecretKey string `json:"secretKey"`
	BrokerURL string `json:"brokerUrl"`
}

func (h *home) member() (member, error) {
	data, err := os.ReadFile(filepath.Join(h.dir, ".claudemesh", "config.json"))
	if err != nil {
		return member{}, err
	}
	var file struct {
		Meshes []member `json:"meshes"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Meshes) == 0 {
		return member{}, fmt.Errorf("no mesh in config.json: %w", err)
	}
	return file.Meshes[0], nil
}

func sessionHello(m member, parent, session seal.SecretKey, name string) ([]byte, error) {
	word, err := attest(parent, session)
	if err != nil {
		return nil, err
	}
	return helloWith(m, word, session, name)
}

// attest gives a session its member's word, which holds for longer than the measurement.
func attest(parent, session seal.SecretKey) (protocol.Attestation, error) {
	expires := time.Now().Add(time.Hour)
	sig, err := seal.Attestation{Parent: parent.Public(), Session: session.Public(), ExpiresAt: expires}.Sign(parent)
	return protocol.Attestation{
		SessionPubkey: session.Public().String(), ParentMemberPubkey: parent.Public().String(),
		ExpiresAt: expires.UnixMilli(), Signature: sig.String(),
	}, err
}

// helloWith is a hello of this moment, with a word that was given before.
func helloWith(m member, word protocol.Attestation, session seal.SecretKey, name string) ([]byte, error) {
	now := time.Now()
	parent, err := seal.ParsePublicKey(word.ParentMemberPubkey)
	if err != nil {
		return nil, err
	}
	sig, err := seal.SessionHello{MeshID: m.MeshID, Parent: parent, Session: session.Public(), At: now}.Sign(session)
	if err != nil {
		return nil, err
	}
	return protocol.SessionHello.Encode("", protocol.SessionHelloRequest{
		Capabilities: protocol.SessionCapabilities(), MeshID: m.MeshID, ParentMemberID: m.MemberID,
		ParentMemberPubkey: word.ParentMemberPubkey, SessionPubkey: session.Public().String(), ParentAttestation: word,
		Presence:  protocol.Presence{DisplayName: name, SessionID: name, Channel: "claudemesh-session", PeerType: "ai"},
		Timestamp: now.UnixMilli(), Signature: sig.String(),
	})
}

// payload is the ciphertext of 1 KiB of text, as base64.
var payload = seal.Base64(make([]byte, 1024+16))

// idMark stands in a prepared frame where the id goes.
const idMark = "ID-OF-THE-MESSAGE"

// prepare makes the frame of a message, cut where its id goes.
func prepare(target string) ([]string, error) {
	frame, err := protocol.Send.Encode("", protocol.SendRequest{
		ID: idMark, TargetSpec: target, Priority: mesh.Now, Nonce: seal.NewNonce().String(), Ciphertext: payload,
		ClientMessageID: idMark, RequestFingerprint: strings.Repeat("0", 64),
	})
	return strings.Split(string(frame), idMark), err
}
