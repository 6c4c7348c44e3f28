package ipc

import (
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/claudemesh/claudemesh/internal/host"
)

// transcripts remembers how far the transcripts of sessions were read. What they prove is asked for only while something
// that was offered is not proved.
type transcripts struct {
	mu   sync.Mutex
	read map[string]place
}

// place is a place in a file.
type place struct {
	path  string
	bytes int64
}

// How much of a transcript is read at once: of one that was not read before, its end.
const (
	transcriptTail = 1 << 20
	transcriptPart = 16 << 20
)

// tokens gives the attempt tokens that the host wrote into a session's transcript since the last time. A file that cannot
// be read proves nothing.
func (t *transcripts) tokens(session, path string) []string {
	if !filepath.IsAbs(path) || filepath.Ext(path) != ".jsonl" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	t.mu.Lock()
	from, known := t.read[session]
	t.mu.Unlock()
	if !known || from.path != path || from.bytes > info.Size() {
		from = place{path, max(0, info.Size()-transcriptTail)}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // only read
	tokens, n, err := host.Transcript(io.NewSectionReader(file, from.bytes, transcriptPart))
	if err != nil {
		return nil
	}
	if from.bytes += n; n == 0 && info.Size()-from.bytes > transcriptPart { // one line without an end
		from.bytes = info.Size()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read[session] = from
	return tokens
}

// path is the transcript of a session that was read last; empty where none was.
func (t *transcripts) path(session string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read[session].path
}
