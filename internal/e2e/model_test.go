//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// model stands in for the model API, on this machine: it notes what it is asked, and says "ok", or what it was told to
// do where it sees a sign.
type model struct {
	*httptest.Server
	reply func(request string) string // a shell command, or nothing; called from any goroutine

	serverEnv map[string]string // for our MCP server in the host; nil: as install has it

	mu       sync.Mutex
	requests []string
	tools    int // calls of tools so far: their ids are toolu_1, toolu_2 and so on
}

func newModel(t *testing.T, reply func(request string) string) *model {
	t.Helper()
	m := &model{reply: reply}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// ServeHTTP answers what a host asks (http.Handler).
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/v1/messages"):
		http.NotFound(w, r)
	case strings.HasSuffix(r.URL.Path, "/count_tokens"):
		_, _ = io.WriteString(w, `{"input_tokens": 10}`) // a host that has gone needs no answer
	default:
		m.mu.Lock()
		m.requests = append(m.requests, string(body))
		m.mu.Unlock()
		m.answer(w, string(body))
	}
}

// first gives the first request that holds a text; empty when there is none.
func (m *model) first(text string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.requests, func(r string) bool { return strings.Contains(r, text) })
	if i < 0 {
		return ""
	}
	return m.requests[i]
}

// seen counts the requests that hold a text.
func (m *model) seen(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(m.requests), func(r string) bool { return !strings.Contains(r, text) }))
}

// answer writes a turn of the model as server-sent events.
func (m *model) answer(w http.ResponseWriter, request string) {
	block, delta, stop := `{"type":"text","text":""}`, `{"type":"text_delta","text":"ok"}`, "end_turn"
	if command := m.reply(request); command != "" {
		input, err := json.Marshal(map[string]string{"command": command, "description": "answer"})
		if err != nil {
			panic(err)
		}
		partial, err := json.Marshal(string(input))
		if err != nil {
			panic(err)
		}
		m.mu.Lock()
		m.tools++
		block = fmt.Sprintf(`{"type":"tool_use","id":"toolu_%d","name":"Bash","input":{}}`, m.tools)
		m.mu.Unlock()
		delta, stop = `{"type":"input_json_delta","partial_json":`+string(partial)+`}`, "tool_use"
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range []struct{ kind, data string }{
		{"message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-test","content":[],"stop_reason":null,` +
			`"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}`},
		{"content_block_start", `"index":0,"content_block":` + block},
		{"content_block_delta", `"index":0,"delta":` + delta},
		{"content_block_stop", `"index":0`},
		{"message_delta", `"delta":{"stop_reason":"` + stop + `","stop_sequence":null},"usage":{"output_tokens":1}`},
		{"message_stop", `"end":true`},
	} {
		_, _ = fmt.Fprintf(w, "event: %s\ndata: {\"type\":\"%s\",%s}\n\n", e.kind, e.kind, e.data) // a host that has gone needs no answer
	}
}

// last is the last request that holds a text.
func (m *model) last(text string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range slices.Backward(m.requests) {
		if strings.Contains(r, text) {
			return r
		}
	}
	return ""
}
