package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// A sealed backup (crypto 15): a header of magic, cost, salt and nonce prefix; then chunks of 64 KiB, each sealed by
// XChaCha20-Poly1305 under a key of Argon2id, with the header as additional data. The nonce of a chunk is the prefix, its
// number, and a byte that says whether it is the last: chunks cannot be moved, left out or cut off.
const (
	backupMagic    = "CMB2"
	oldBackupMagic = "CMB1" // of the TypeScript system: one config.json
	backupSalt     = 16
	backupPrefix   = 16
	backupChunk    = 64 << 10
	oldBackupLimit = 16 << 20 // bytes of an old backup, which is opened in one piece
)

// BackupCost is what guessing a passphrase costs, in the words of Argon2id.
type BackupCost struct {
	Passes, MemoryKiB uint32
	Lanes             uint8
}

// DefaultBackupCost is a second and 256 MiB.
var DefaultBackupCost = BackupCost{3, 256 << 10, 1}

var (
	oldCost = BackupCost{2, 64 << 10, 1}
	maxCost = BackupCost{16, 1 << 20, 16} // of a file that we open: it may be anybody's
)

// backupHeader begins a sealed backup.
type backupHeader struct {
	Magic  [4]byte
	Cost   BackupCost
	Salt   [backupSalt]byte
	Prefix [backupPrefix]byte
}

func (h backupHeader) bytes() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, h) // a buffer takes everything of a fixed size
	return b.Bytes()
}

func (c BackupCost) key(passphrase string, salt []byte) []byte {
	return argon2.IDKey([]byte(passphrase), salt, c.Passes, c.MemoryKiB, c.Lanes, chacha20poly1305.KeySize)
}

// errBackup hides whether the passphrase or the file is wrong: nobody can tell.
var errBackup = mesh.Errorf(mesh.BadPassphrase, "the passphrase is wrong, or the file was changed")

// SealBackup encrypts what is written to it by a passphrase, into w. Close ends the backup; without it what is in w does
// not open.
func SealBackup(w io.Writer, passphrase string, cost BackupCost) (io.WriteCloser, error) {
	h := backupHeader{Magic: [4]byte([]byte(backupMagic)), Cost: cost}
	_, _ = rand.Read(h.Salt[:]) // crypto/rand never returns an error
	_, _ = rand.Read(h.Prefix[:])
	aead, err := chacha20poly1305.NewX(cost.key(passphrase, h.Salt[:]))
	if err != nil {
		return nil, err
	}
	s := &backupSealer{w: w, chunks: chunks{aead: aead, header: h.bytes(), prefix: h.Prefix}}
	_, err = w.Write(s.header)
	return s, err
}

// chunks gives the nonces of one backup.
type chunks struct {
	aead   cipher.AEAD
	header []byte
	prefix [backupPrefix]byte
	number uint64
}

// next is the nonce of the next chunk.
func (c *chunks) next(last bool) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	copy(nonce, c.prefix[:])
	binary.BigEndian.PutUint64(nonce[backupPrefix:], c.number<<8)
	if last {
		nonce[len(nonce)-1] = 1
	}
	c.number++
	return nonce
}

// backupSealer is what SealBackup gives.
type backupSealer struct {
	chunks
	w    io.Writer
	held []byte // less than a chunk
}

// Write seals whole chunks.
func (s *backupSealer) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	for len(s.held) > backupChunk { // the last one is sealed by Close, and may be full
		if _, err := s.w.Write(s.aead.Seal(nil, s.next(false), s.held[:backupChunk], s.header)); err != nil {
			return 0, err
		}
		s.held = append(s.held[:0], s.held[backupChunk:]...)
	}
	return len(p), nil
}

// Close seals what is left.
func (s *backupSealer) Close() error {
	_, err := s.w.Write(s.aead.Seal(nil, s.next(true), s.held, s.header))
	return err
}

// SealedBackup says of the first bytes of a file whether it is an encrypted backup, and whether it is one of the TypeScript
// system, which holds one config.json.
func SealedBackup(begin []byte) (sealed, old bool) {
	sealed, old = bytes.HasPrefix(begin, []byte(backupMagic)), bytes.HasPrefix(begin, []byte(oldBackupMagic))
	return sealed || old, old
}

// OpenBackup reads a backup of either kind. A wrong passphrase and a changed file are bad_passphrase, which may come late:
// what was read before it is authentic but not whole.
func OpenBackup(r io.Reader, passphrase string) (io.Reader, error) {
	in := bufio.NewReaderSize(r, backupChunk+chacha20poly1305.Overhead+1)
	begin, err := in.Peek(len(backupMagic))
	if err != nil {
		return nil, errBackup
	}
	if _, old := SealedBackup(begin); old {
		return openOldBackup(in, passphrase)
	}
	var h backupHeader
	if err := binary.Read(in, binary.BigEndian, &h); err != nil || string(h.Magic[:]) != backupMagic {
		return nil, errBackup
	}
	if c := h.Cost; c.Passes == 0 || c.Lanes == 0 || c.Passes > maxCost.Passes || c.MemoryKiB > maxCost.MemoryKiB || c.Lanes > maxCost.Lanes {
		return nil, errBackup
	}
	aead, err := chacha20poly1305.NewX(h.Cost.key(passphrase, h.Salt[:]))
	if err != nil {
		return nil, err
	}
	o := &backupOpener{in: in, chunks: chunks{aead: aead, header: h.bytes(), prefix: h.Prefix}}
	return o, o.fill() // a wrong passphrase shows at once
}

// openOldBackup opens a backup of the TypeScript system.
func openOldBackup(in io.Reader, passphrase string) (io.Reader, error) {
	const head = len(oldBackupMagic) + backupSalt + chacha20poly1305.NonceSizeX
	data, err := io.ReadAll(io.LimitReader(in, oldBackupLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) <= head+chacha20poly1305.Overhead || len(data) > oldBackupLimit {
		return nil, errBackup
	}
	aead, err := chacha20poly1305.NewX(oldCost.key(passphrase, data[len(oldBackupMagic):len(oldBackupMagic)+backupSalt]))
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, data[len(oldBackupMagic)+backupSalt:head], data[head:], nil)
	if err != nil {
		return nil, errBackup
	}
	return bytes.NewReader(text), nil
}

// backupOpener is what OpenBackup gives for our own.
type backupOpener struct {
	chunks
	in    *bufio.Reader
	text  []byte // opened and not read
	ended bool
}

// Read gives what was opened.
func (o *backupOpener) Read(p []byte) (int, error) {
	for len(o.text) == 0 {
		if o.ended {
			return 0, io.EOF
		}
		if err := o.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.text)
	o.text = o.text[n:]
	return n, nil
}

// fill opens the next chunk.
func (o *backupOpener) fill() error {
	box := make([]byte, backupChunk+chacha20poly1305.Overhead)
	n, err := io.ReadFull(o.in, box)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return errBackup // not even a last chunk
	}
	_, end := o.in.Peek(1)
	o.ended = end != nil
	if o.text, err = o.aead.Open(nil, o.next(o.ended), box[:n], o.header); err != nil {
		return errBackup
	}
	return nil
}
