package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coder/websocket"

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

// client is a raw WebSocket client: one session of the member, with frames that are prepared as far as can be.
type client struct {
	conn  *websocket.Conn
	key   seal.PublicKey
	frame [][]byte // of the address, cut where the id goes
	buf   bytes.Buffer
}

// readLimit is more than any frame of the broker.
const readLimit = 16 << 20

func dial(ctx context.Context, m member, name string) (*client, error) {
	conn, _, err := websocket.Dial(ctx, m.BrokerURL, nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(readLimit)
	parent, err := seal.ParseSecretKey(m.SecretKey)
	if err != nil {
		return nil, err
	}
	session := seal.NewSecretKey()
	hello, err := sessionHello(m, parent, session, name)
	if err != nil {
		return nil, err
	}
	if err := conn.Write(ctx, websocket.MessageText, hello); err != nil {
		return nil, err
	}
	_, answer, err := conn.Read(ctx)
	if err != nil || !bytes.Contains(answer, []byte(`"hello_ack"`)) {
		return nil, fmt.Errorf("hello refused: %s %w", answer, err)
	}
	return &client{conn: conn, key: session.Public()}, nil
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

// address prepares the frames for a key.
func (c *client) address(to seal.PublicKey) error {
	frame, err := protocol.Send.Encode("", protocol.SendRequest{
		ID: idMark, TargetSpec: to.String(), Priority: mesh.Now, Nonce: seal.NewNonce().String(), Ciphertext: payload,
		ClientMessageID: idMark, RequestFingerprint: strings.Repeat("0", 64),
	})
	c.frame = bytes.Split(frame, []byte(idMark))
	return err
}

// send writes the next message to the address.
func (c *client) send(ctx context.Context) error {
	id := []byte(mesh.NewClientID(time.Now())) // as a daemon makes them
	return c.conn.Write(ctx, websocket.MessageText, bytes.Join(c.frame, id))
}

// read gives the next frame; it is valid until the next read.
func (c *client) read(ctx context.Context) ([]byte, error) {
	_, r, err := c.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	c.buf.Reset()
	_, err = c.buf.ReadFrom(r)
	return c.buf.Bytes(), err
}

// acked reads until the next ack; a refusal is an error.
func (c *client) acked(ctx context.Context) error {
	for {
		data, err := c.read(ctx)
		switch {
		case err != nil:
			return err
		case !bytes.HasPrefix(data, []byte(`{"type":"ack"`)):
			continue
		case !bytes.Contains(data, []byte(`"queued":true`)) || bytes.Contains(data, []byte(`"duplicate"`)):
			return fmt.Errorf("not accepted: %s", data)
		}
		return nil
	}
}

// receive acknowledges every push as a daemon does, and calls got for each.
func (c *client) receive(ctx context.Context, got func()) error {
	for {
		data, err := c.read(ctx)
		if err != nil {
			return err
		}
		_, rest, ok := bytes.Cut(data, []byte(`{"type":"push","messageId":"`))
		id, _, _ := bytes.Cut(rest, []byte(`"`))
		if !ok {
			continue
		}
		ack := append([]byte(`{"type":"client_ack","brokerMessageId":"`), id...)
		got()
		if err := c.conn.Write(ctx, websocket.MessageText, append(ack, `"}`...)); err != nil {
			return err
		}
	}
}
