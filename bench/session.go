package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// session is this process as a host program with a session on the mesh.
type session struct {
	home  *home
	said  string // file with what the host says to a hook
	token string
}

// newSession registers this process with the daemon of a home of its own.
func newSession(ctx context.Context, app, dir string) (*session, error) {
	h, err := newHome(ctx, app, dir)
	if err != nil {
		return nil, err
	}
	s := &session{home: h, said: filepath.Join(dir, "said.json")}
	const said = `{"session_id":"bench","hook_event_name":"UserPromptSubmit","permission_mode":"default","prompt":"go on"}`
	if err := os.WriteFile(s.said, []byte(said), 0o600); err != nil {
		return nil, err
	}
	var answer struct {
		Token string `json:"token"`
	}
	err = s.call(ctx, http.MethodPost, "register", map[string]any{
		"session_id": "bench", "pid": os.Getpid(), "cwd": dir, "display_name": "bench", "host": map[string]string{"name": "claude-code", "version": "1"},
	}, &answer)
	s.token = answer.Token
	return s, err
}

// end makes the home one without a session, and stops it.
func (s *session) end() {
	if err := s.call(context.Background(), http.MethodDelete, s.token, nil, nil); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	s.home.down()
}

func (s *session) call(ctx context.Context, method, path string, body, answer any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost/v1/sessions/"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := unixClient(s.home.socket()).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
