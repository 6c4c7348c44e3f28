// Package audit is the log of what was asked, refused and approved on this machine (cli 10.5): JSON lines, each with the
// hash of the one before, so that a line that was changed, taken out or put in shows. It is evidence against mistakes and
// against who can write only to the file's end; whoever may run programs as this user can write the whole log anew.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// What an entry is about.
const (
	Policy   = "policy"   // a verb that was asked about or refused (cli 10)
	Approval = "approval" // the question of a session, and its answer
)

// Decisions of entries.
const (
	Allowed   = "allow"
	Denied    = "deny"
	Asked     = "prompt"
	Cancelled = "cancelled-at-prompt"
	Expired   = "expired"
	Refused   = "refused" // an answer that was not taken
)

// Entry is one line, without words of a command line and without texts of messages.
type Entry struct {
	Seq      int64    `json:"seq" jsonschema:"from 1, without gaps"`
	TS       string   `json:"ts"`
	Event    string   `json:"event" jsonschema:"policy or approval"`
	Resource string   `json:"resource" jsonschema:"what it is about: peer, mesh, approval and so on"`
	Verb     string   `json:"verb"`
	Mesh     string   `json:"mesh,omitzero"`
	Mode     string   `json:"mode,omitzero" jsonschema:"approval mode"`
	IsWrite  bool     `json:"isWrite"`
	Yes      bool     `json:"yes" jsonschema:"--yes was given"`
	Decision string   `json:"decision" jsonschema:"allow, deny, prompt, cancelled-at-prompt, expired or refused"`
	Reason   string   `json:"reason,omitzero"`
	Session  string   `json:"session,omitzero" jsonschema:"of the host"`
	Tool     string   `json:"tool,omitzero" jsonschema:"of the host, for which a session wanted permission"`
	Input    string   `json:"input_sha256,omitzero" jsonschema:"of what the tool was to be given"`
	By       mesh.Key `json:"by,omitzero" jsonschema:"member key that signed the answer"`
	Prev     string   `json:"prev" jsonschema:"hash of the line before; genesis in the first one"`
}

// Bounds: a file that would grow beyond limitBytes gets a number, and files with a number are kept.
const (
	limitBytes   = 1 << 20
	keptFiles    = 16
	maxLineBytes = 16 << 10
	lockLimit    = 5 * time.Second
	lockRetry    = 10 * time.Millisecond
)

// genesis stands where the first line has no line before it (crypto 13).
const genesis = "genesis"

// Log is the log of one home. Its processes take turns by a lock on a file beside it.
type Log struct {
	path  string
	now   mesh.Clock
	limit int64
}

// New is the log at a path (paths.Config.Audit).
func New(path string, now mesh.Clock) Log { return Log{path, now, limitBytes} }

// Append adds an entry, whose Seq, TS and Prev it sets. It is on disk when Append returns.
func (l Log) Append(ctx context.Context, e Entry) error {
	if err := l.append(ctx, e); err != nil {
		return mesh.Errorf(mesh.IOError, "write the audit log: %w", err)
	}
	return nil
}

func (l Log) append(ctx context.Context, e Entry) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	last, size, err := l.tail()
	if err != nil {
		return err
	}
	if noted, ok := l.noted(); ok && noted.seq >= last.seq {
		last = noted // where the end was cut off or changed, that shows for good
	}
	e.Seq, e.Prev, e.TS = last.seq+1, last.hash, mesh.FormatTime(l.now())
	line, hash, err := seal(e)
	if err != nil {
		return err
	}
	if size > 0 && size+int64(len(line)) > l.limit {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if err := appendFile(l.path, line); err != nil {
		return err
	}
	return os.WriteFile(l.head(), fmt.Appendf(nil, "%d %s\n", e.Seq, hash), paths.FileMode)
}

// lock keeps other processes out.
func (l Log) lock(ctx context.Context) (unlock func(), err error) {
	if err := paths.EnsureDir(filepath.Dir(l.path), paths.DirMode); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	turn := flock.New(l.path+".lock", flock.SetPermissions(paths.FileMode))
	if _, err := turn.TryLockContext(ctx, lockRetry); err != nil {
		return nil, fmt.Errorf("wait for its turn: %w", err)
	}
	return func() { _ = turn.Unlock() }, nil // the file stays
}

// head holds number and hash of the last line, so that an end that is missing shows. It is behind the log after a crash,
// and never before it.
func (l Log) head() string { return l.path + ".head" }

// noted is what head says; false where it says nothing: never written, gone, or cut off by a crash.
func (l Log) noted() (last link, ok bool) {
	data, err := os.ReadFile(l.head())
	if err != nil {
		return link{}, false
	}
	n, err := fmt.Sscanf(string(data), "%d %64s", &last.seq, &last.hash)
	return last, err == nil && n == 2
}

// part is the log itself (0), or an older part of it.
func (l Log) part(n int) string {
	if n == 0 {
		return l.path
	}
	return fmt.Sprintf("%s.%d", l.path, n)
}

// rotate gives every part the next number. The oldest goes.
func (l Log) rotate() error {
	for n := keptFiles - 1; n >= 0; n-- {
		if err := os.Rename(l.part(n), l.part(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// link is what the next line continues.
type link struct {
	seq  int64
	hash string
}

// tail gives the last line and the size of the file that the next one goes to. What stands behind the last line end was
// never written whole, and goes.
func (l Log) tail() (last link, size int64, err error) {
	for n := range keptFiles + 1 {
		line, length, err := lastLine(l.part(n), n == 0)
		if err != nil {
			return link{}, 0, err
		}
		if n == 0 {
			size = length
		}
		if line != nil {
			return linkOf(line), size, nil
		}
	}
	return link{0, genesis}, size, nil
}

// lastLine reads the last whole line of a file, without its end; nil where there is none. mend takes away what is behind it.
func lastLine(path string, mend bool) (line []byte, size int64, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer file.Close() // what was written is a shorter length
	size, err = file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	from := max(0, size-2*maxLineBytes)
	end := make([]byte, size-from)
	if _, err := file.ReadAt(end, from); err != nil {
		return nil, 0, err
	}
	text := string(end)
	whole := strings.LastIndexByte(text, '\n') + 1
	if torn := int64(len(text) - whole); mend && torn > 0 {
		size -= torn
		if err := file.Truncate(size); err != nil {
			return nil, 0, err
		}
	}
	text = strings.TrimSuffix(text[:whole], "\n")
	if text == "" {
		return nil, size, nil
	}
	return []byte(text[strings.LastIndexByte(text, '\n')+1:]), size, nil
}

func appendFile(path string, line []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, paths.FileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// The end of each line: the hash of the line without it.
const (
	hashOpen  = `,"hash":"`
	hashClose = `"}`
)

// seal makes the line of an entry, with its end.
func seal(e Entry) (line []byte, hash string, err error) {
	text, err := wire.Encode(e)
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxLineBytes {
		return nil, "", fmt.Errorf("an entry has %d bytes, want at most %d", len(text), maxLineBytes)
	}
	hash = sum(text)
	return []byte(strings.TrimSuffix(string(text), "}") + hashOpen + hash + hashClose + "\n"), hash, nil
}

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

// open takes a line apart. It fails for one that no Append has written.
func open(line []byte) (e Entry, hash string, err error) {
	text, end, ok := strings.Cut(string(line), hashOpen)
	hash, closed := strings.CutSuffix(end, hashClose)
	if !ok || !closed || sum([]byte(text+"}")) != hash {
		return Entry{}, "", errors.New("it was changed")
	}
	return e, hash, wire.Decode([]byte(text+"}"), &e)
}

// linkOf is what follows a line. One that was changed is followed as it stands: Verify names it.
func linkOf(line []byte) link {
	e, hash, err := open(line)
	if err == nil {
		return link{e.Seq, hash}
	}
	_ = wire.Decode(line, &e) // its number, if it still has one
	return link{e.Seq, sum(line)}
}
