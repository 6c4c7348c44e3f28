package mcp

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
)

// bring gives the messages that wait for a session which only answers of its tools can show it, each in its frame. A
// call is not kept waiting for them: what cannot be had now comes with the next one.
func (v *session) bring(ctx context.Context) []content {
	if v.screen.allowed() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	taken, err := localapi.InboxTake.Do(ctx, v.client, localapi.TakeRequest{})
	if err != nil {
		v.log.Warn("no messages with the answer of a tool", slog.Any(logkey.Err, err))
		return nil
	}
	var all []content
	for _, item := range taken.Items {
		all = append(all, textOf(host.Message(item, host.MaxBodyBytes)))
		v.offers.add(ctx, offer{item.Attempt, localapi.PathTool})
	}
	for _, n := range taken.Notices {
		all = append(all, textOf(host.WrapNotice(n.Text)))
	}
	return all
}
