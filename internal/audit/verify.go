package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Fault is the first line that is not as it was written.
type Fault struct {
	File string `json:"file"`
	Line int    `json:"line" jsonschema:"from 1; behind the last one where lines are missing at the end"`
	Text string `json:"text" jsonschema:"what is wrong"`
}

// Report is what came of reading a log.
type Report struct {
	Entries int64  `json:"entries" jsonschema:"that were read, up to a fault"`
	First   int64  `json:"first,omitzero" jsonschema:"number of the oldest entry that is kept"`
	Last    int64  `json:"last,omitzero"`
	Head    string `json:"head,omitzero" jsonschema:"hash of the last entry"`
	Fault   *Fault `json:"fault,omitzero"`
}

// Verify reads the whole log, the oldest part first, up to the first fault.
func (l Log) Verify(ctx context.Context) (Report, error) {
	c := check{last: link{0, genesis}, oldest: l.part(keptFiles)}
	err := l.each(ctx, c.line)
	if err == nil && c.report.Fault == nil {
		c.report.Fault = c.missing(l)
	}
	return c.report, err
}

// List gives the newest entries, the oldest of them first. Lines that cannot be read are left out: Verify names them.
func (l Log) List(ctx context.Context, limit int) ([]Entry, error) {
	all := []Entry{}
	err := l.each(ctx, func(_ string, _ int, line []byte) bool {
		if e, _, err := open(line); err == nil {
			if all = append(all, e); len(all) > 2*limit { // old ones go in one piece
				all = append(all[:0], all[len(all)-limit:]...)
			}
		}
		return true
	})
	return all[max(0, len(all)-limit):], err
}

// each calls visit with every line, until it wants no more. Nobody writes meanwhile.
func (l Log) each(ctx context.Context, visit func(file string, n int, line []byte) bool) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return mesh.Errorf(mesh.IOError, "read the audit log: %w", err)
	}
	defer unlock()
	for part := keptFiles; part >= 0; part-- {
		path := l.part(part)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return mesh.Errorf(mesh.IOError, "read the audit log: %w", err)
		}
		for n := 1; len(data) > 0; n++ {
			line, rest, whole := bytes.Cut(data, []byte("\n"))
			if !whole && part == 0 {
				break // it was never written whole, and the next entry takes its place
			}
			if !visit(path, n, line) {
				return nil
			}
			data = rest
		}
	}
	return nil
}

// check follows the chain.
type check struct {
	report Report
	last   link
	oldest string // file before which there may have been others
	file   string // of the last line
	at     int
}

func (c *check) line(file string, n int, line []byte) bool {
	e, hash, err := open(line)
	text := ""
	switch first := c.report.Entries == 0; {
	case err != nil:
		text = "it is not what was written"
	case first && e.Seq > 1 && file == c.oldest: // older parts are gone
	case e.Seq != c.last.seq+1:
		text = fmt.Sprintf("it has number %d, want %d: lines before it are missing, or were put in", e.Seq, c.last.seq+1)
	case e.Prev != c.last.hash:
		text = "it does not continue the line before it"
	}
	if text != "" {
		c.report.Fault = &Fault{file, n, text}
		return false
	}
	if c.report.Entries == 0 {
		c.report.First = e.Seq
	}
	c.last, c.file, c.at = link{e.Seq, hash}, file, n
	c.report.Entries++
	c.report.Last, c.report.Head = e.Seq, hash
	return true
}

// missing compares the end with what was noted of it.
func (c *check) missing(l Log) *Fault {
	noted, ok := l.noted()
	switch {
	case !ok: // nothing is known of the end
	case noted.seq > c.last.seq:
		return &Fault{l.path, c.at + 1, fmt.Sprintf("the last entry had number %d: lines are missing at the end", noted.seq)}
	case noted.seq == c.last.seq && noted.hash != c.last.hash:
		return &Fault{c.file, c.at, "it is another line than the one that was written last"}
	}
	return nil
}
