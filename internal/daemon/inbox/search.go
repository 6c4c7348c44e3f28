package inbox

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxSearch bounds the text that is looked for.
const maxSearch = 200

// search looks for a text in messages, whatever its case. It reads: the rows are those of the last weeks, and an index
// of their words would be a second copy of every text.
type search struct {
	text  string
	reads func(Row) bool
}

// newSearch is ready to match; reads says of which rows the caller may read the text, nil: of all.
func newSearch(text string, reads func(Row) bool) search {
	return search{strings.ToLower(text), reads}
}

func checkSearch(text string) error {
	if len(text) > maxSearch {
		return mesh.Errorf(mesh.BadRequest, "the text to look for is longer than %d bytes", maxSearch)
	}
	return nil
}

// matches reports whether sender, topic or text has what is looked for. A text that the caller may not read counts as
// none: else it could be guessed letter by letter.
func (s search) matches(r Row) bool {
	if s.text == "" {
		return true
	}
	if strings.Contains(strings.ToLower(r.SenderName), s.text) || strings.Contains(strings.ToLower(r.Topic), s.text) {
		return true
	}
	return r.Body != nil && strings.Contains(strings.ToLower(*r.Body), s.text) && (s.reads == nil || s.reads(r.gated()))
}
