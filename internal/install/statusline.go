package install

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/splice"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// statusMember is where Claude Code's settings name the command that prints its status line; there is room for one.
const statusMember = "statusLine"

// statusPart is the status line of Claude Code. One of somebody else is left alone.
func statusPart(path, program string) part {
	ours := oursAsStatus(program)
	foreign := func(text []byte) bool {
		value, ok, err := splice.JSON(text, statusMember)
		return ok && err == nil && !ours(value)
	}
	return part{
		what: StatusLine, path: path, follows: true, foreign: foreign,
		set: func(text []byte) ([]byte, error) {
			value, err := wire.Encode(command{Type: "command", Command: shellWord(program) + statusWords})
			if err != nil {
				return nil, err
			}
			return splice.SetJSON(text, string(value), statusMember)
		},
		unset: func(text []byte, _ []string) ([]byte, error) {
			if foreign(text) {
				return text, nil
			}
			return splice.DeleteJSON(text, statusMember)
		},
		in: func([]byte) bool { return false }, // it is no server
	}
}

// statusWords are those of our verb behind the program.
const statusWords = " status-line"

// oursAsStatus tells a status line that is this program's, wherever it lay when it was written.
func oursAsStatus(program string) func(value []byte) bool {
	return func(value []byte) bool {
		var c command
		if wire.Decode(value, &c) != nil {
			return false
		}
		word, ok := strings.CutSuffix(c.Command, statusWords)
		return ok && isProgram(word, program)
	}
}
