package mcp

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// permissionCapability tells hosts that permissions may be asked for by this server (host 2). Only who has switched the
// relay on gets it: who answers is authenticated by the daemon.
const permissionCapability = "claude/channel/permission"

// permissionTime is a little more than a question lives; permissionLimit is how many wait at once, beyond which the host
// asks at the session alone.
const (
	permissionTime  = seal.ApprovalLimit + 10*time.Second
	permissionLimit = 16
)

// permissionRequest is what a host asks.
type permissionRequest struct {
	ID          string `json:"request_id"`
	Tool        string `json:"tool_name"`
	Description string `json:"description"`
	Preview     string `json:"input_preview"`
}

// permissionAnswer is what it is told.
type permissionAnswer struct {
	ID       string `json:"request_id"`
	Behavior string `json:"behavior"`
}

// redacted stands in a preview in the place of what looks like a secret; previewLimit is how many code points a host gives of
// one at most (host 2).
const (
	redacted     = "[REDACTED]"
	previewLimit = 3500
)

// question is what the daemon is asked. A preview that is a JSON object, with nothing taken out and below what a host cuts
// off, is the whole input; of everything else nobody knows what it leaves out.
func (r permissionRequest) question() (localapi.ApprovalAskRequest, error) {
	q := localapi.ApprovalAskRequest{Tool: r.Tool, Channel: true}
	var object map[string]wire.RawMessage
	cut := strings.Contains(r.Preview, redacted) || utf8.RuneCountInString(r.Preview) >= previewLimit
	if wire.Decode([]byte(r.Preview), &object) == nil && object != nil && !cut {
		q.Input = wire.RawMessage(r.Preview)
		return q, nil
	}
	input, err := wire.Encode(struct {
		Description string `json:"description"`
		Preview     string `json:"input_preview"`
	}{r.Description, r.Preview})
	q.Input, q.Partial = input, true
	return q, err
}

// servePermissions has the daemon ask the user what the host asks, and gives the answer to the host. Where nobody answers
// it says nothing: the dialog of the host is open all the time, and the first answer counts.
func servePermissions(s *server, d *door, log *slog.Logger) {
	places := make(chan struct{}, permissionLimit)
	handle(s, "notifications/claude/channel/permission_request", func(ctx context.Context, req permissionRequest) (empty, error) {
		select {
		case places <- struct{}{}:
		default:
			log.Warn("too many permissions are asked for at once", slog.Int(logkey.Limit, permissionLimit))
			return empty{}, nil
		}
		s.wait.Go(func() { // lines are read meanwhile
			defer func() { <-places }()
			if err := askPermission(ctx, s, d, req); err != nil {
				log.Warn("permission not asked for elsewhere", slog.Any(logkey.Err, err))
			}
		})
		return empty{}, nil
	})
}

func askPermission(ctx context.Context, s *server, d *door, req permissionRequest) error {
	q, err := req.question()
	if err != nil {
		return err
	}
	client, err := d.enter(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, permissionTime)
	defer cancel()
	answer, err := localapi.ApprovalAsk.Do(ctx, client, q)
	if err != nil || answer.Decision == "" {
		return err
	}
	return s.notify("notifications/claude/channel/permission", permissionAnswer{req.ID, answer.Decision})
}
