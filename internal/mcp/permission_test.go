package mcp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// TestPermissionByChannel: what a host asks by its channel is asked of the daemon, and the answer goes back under its id.
// A preview that is not whole says so.
func TestPermissionByChannel(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, t.TempDir())
	asked := make(chan string, 8)
	d.more = func(mux *http.ServeMux) {
		mux.HandleFunc(localapi.ApprovalAsk.Route, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked <- string(body)
			decision := ""
			for _, word := range []string{"allow", "deny"} {
				if strings.Contains(string(body), "please "+word) {
					decision = word
				}
			}
			_, _ = fmt.Fprintf(w, `{"decision":%q}`, decision) // who asked may have gone
		})
	}
	d.start(t)
	opt := d.options()
	opt.Approvals = true
	h := run(t, t.Context(), opt)
	answer := h.call(1, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-ai","version":"1"}}`)
	if text, _ := json.Marshal(answer); !strings.Contains(string(text), `"claude/channel/permission":{}`) {
		t.Errorf("got %s, want the capability", text)
	}
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	ask := func(id, preview string) {
		params, err := json.Marshal(map[string]string{"request_id": id, "tool_name": "Bash", "description": "Run", "input_preview": preview})
		if err != nil {
			t.Fatal(err)
		}
		h.send(`{"jsonrpc":"2.0","method":"notifications/claude/channel/permission_request","params":` + string(params) + `}`)
	}
	for _, tt := range []struct{ id, preview, want, behavior string }{
		{"abcde", `{"command":"please allow"}`, `{"tool":"Bash","input":{"command":"please allow"},"channel":true}`, "allow"},
		{"fghij", `{"command":"please deny`, `{"tool":"Bash","input":{"description":"Run","input_preview":"{\"command\":\"please deny"},"channel":true,"partial":true}`, "deny"},
		{"kmnop", `{"command":"please deny [REDACTED]"}`, `"partial":true`, "deny"},
		{"qqqqq", `{"command":"please deny ` + strings.Repeat("é", previewLimit-26) + `"}`, `"partial":true`, "deny"}, // a host may have cut it
	} {
		ask(tt.id, tt.preview)
		if got := <-asked; !strings.Contains(got, tt.want) {
			t.Errorf("the daemon is asked %s, want %s", got, tt.want)
		}
		m := h.next()
		params, _ := m["params"].(map[string]any)
		if m["method"] != "notifications/claude/channel/permission" || params["request_id"] != tt.id || params["behavior"] != tt.behavior {
			t.Errorf("got %v, want %s for %s", m, tt.behavior, tt.id)
		}
	}
	ask("qrstu", `{"command":"nobody is there"}`)
	<-asked
	if m := h.call(2, "ping", "{}"); m["result"] == nil { // the next message: nothing was said about the last question
		t.Errorf("got %v, want silence where nobody answered", m)
	}
}

// TestNoPermissionByChannel: without the setting the host is not told that it may ask, and the daemon is asked nothing.
func TestNoPermissionByChannel(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, t.TempDir())
	d.more = func(mux *http.ServeMux) {
		mux.HandleFunc(localapi.ApprovalAsk.Route, func(http.ResponseWriter, *http.Request) { t.Error("the daemon was asked") })
	}
	d.start(t)
	h := run(t, t.Context(), d.options())
	answer := h.call(1, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-ai","version":"1"}}`)
	if text, _ := json.Marshal(answer); strings.Contains(string(text), "permission") {
		t.Errorf("got %s, want no such capability", text)
	}
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	h.send(`{"jsonrpc":"2.0","method":"notifications/claude/channel/permission_request","params":{"request_id":"abcde","tool_name":"Bash","description":"","input_preview":"{}"}}`)
	h.call(2, "ping", "{}")
}
