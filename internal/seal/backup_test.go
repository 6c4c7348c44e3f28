package seal

import (
	"bytes"
	"crypto/rand"
	"io"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

var cheap = BackupCost{1, 64, 1}

func sealed(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := SealBackup(&b, "correct horse", cheap)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(text, 1000) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(data []byte, passphrase string) ([]byte, error) {
	r, err := OpenBackup(bytes.NewReader(data), passphrase)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestBackupOpens(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, backupChunk - 1, backupChunk, backupChunk + 1, 3 * backupChunk} {
		text := make([]byte, size)
		_, _ = rand.Read(text) // never fails
		box := sealed(t, text)
		if got, err := open(box, "correct horse"); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: got %d, %v, want the same", size, len(got), err)
		}
		if is, old := SealedBackup(box[:4]); !is || old {
			t.Errorf("%d bytes: got %t, %t, want it known", size, is, old)
		}
	}
}

// Whatever is changed in a backup, it does not open.
func TestBackupDoesNotOpen(t *testing.T) {
	t.Parallel()
	box := sealed(t, make([]byte, 2*backupChunk+100))
	head := len(backupHeader{}.bytes())
	piece := backupChunk + chacha20poly1305.Overhead
	changed := func(at int) []byte {
		b := bytes.Clone(box)
		b[at] ^= 1
		return b
	}
	costly := bytes.Clone(box)
	costly[4] = 0x7f
	for name, c := range map[string]struct {
		data       []byte
		passphrase string
	}{
		"another passphrase": {box, "correct horsE"}, "no passphrase": {box, ""}, "nothing": {nil, "correct horse"}, "half a header": {box[:20], "correct horse"},
		"magic": {changed(0), "correct horse"}, "cost": {changed(12), "correct horse"}, "salt": {changed(15), "correct horse"},
		"prefix": {changed(head - 1), "correct horse"}, "first chunk": {changed(head), "correct horse"}, "last byte": {changed(len(box) - 1), "correct horse"},
		"cut in a chunk": {box[:len(box)-1], "correct horse"}, "cut between chunks": {box[:head+2*piece], "correct horse"}, "the header alone": {box[:head], "correct horse"},
		"chunks in another order": {slices.Concat(box[:head], box[head+piece:head+2*piece], box[head:head+piece], box[head+2*piece:]), "correct horse"},
		"a chunk left out":        {slices.Concat(box[:head], box[head+piece:]), "correct horse"}, "something behind it": {append(bytes.Clone(box), 0), "correct horse"},
		"a cost beyond measure": {costly, "correct horse"},
	} {
		if _, err := open(c.data, c.passphrase); !mesh.IsCode(err, mesh.BadPassphrase) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BadPassphrase)
		}
	}
}

// A backup of the TypeScript system opens with the passphrase that made it.
func TestOldBackupOpens(t *testing.T) {
	t.Parallel()
	salt, nonce := make([]byte, backupSalt), make([]byte, chacha20poly1305.NonceSizeX)
	aead, err := chacha20poly1305.NewX(oldCost.key("twelve letters", salt))
	if err != nil {
		t.Fatal(err)
	}
	box := slices.Concat([]byte(oldBackupMagic), salt, nonce, aead.Seal(nil, nonce, []byte(`{"version":1}`), nil))
	if got, err := open(box, "twelve letters"); err != nil || string(got) != `{"version":1}` {
		t.Errorf("got %q, %v, want the config", got, err)
	}
	for name, data := range map[string][]byte{"changed": append(bytes.Clone(box[:len(box)-1]), box[len(box)-1]^1), "short": box[:60]} {
		if _, err := open(data, "twelve letters"); !mesh.IsCode(err, mesh.BadPassphrase) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BadPassphrase)
		}
	}
}
