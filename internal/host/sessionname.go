package host

import (
	"path/filepath"
	"strconv"

	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// SessionName is the name that the host shows for a session; empty when it has none. Claude Code keeps it in a file per
// process (host 0).
func (r *Reader) SessionName(sessionID string) string {
	if r.subject.Program != claudeCode {
		return ""
	}
	folder, err := configFolder(r.subject.PID)
	if err != nil {
		return ""
	}
	data, _, err := paths.ReadSecret(filepath.Join(folder, "sessions", strconv.Itoa(r.subject.PID)+".json"))
	if err != nil {
		return "" // the file is the host's own business: without it the session is called otherwise
	}
	var entry struct {
		SessionID string `json:"sessionId"`
		Name      string `json:"name"`
	}
	if wire.Decode(data, &entry) != nil || entry.SessionID != sessionID {
		return ""
	}
	return entry.Name
}
