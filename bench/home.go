package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// home is a home folder with a daemon, and perhaps the broker.
type home struct {
	app    string
	dir    string
	listen string
	env    []string
}

// open lifts the bounds that would be measured instead of the work.
var open = []string{
	"CLAUDEMESH_BROKER_SEND_PER_SECOND=10000000", "CLAUDEMESH_BROKER_SEND_BURST=10000000",
	"CLAUDEMESH_BROKER_PAIR_ROWS=100000000", "CLAUDEMESH_BROKER_PAIR_BYTES=1099511627776",
	"CLAUDEMESH_BROKER_RECIPIENT_BYTES=1099511627776", "CLAUDEMESH_BROKER_MESH_BYTES=1099511627776",
	"CLAUDEMESH_BROKER_DEDUPE_ROWS=100000000", "CLAUDEMESH_BROKER_MEMBER_CONNECTIONS=20000",
	"CLAUDEMESH_BROKER_MEMBER_HELLOS=10000000", "CLAUDEMESH_BROKER_MESH_CONNECTIONS=20000",
}

func homeAt(app, dir, listen string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	env := []string{"HOME=" + dir, "USER=" + filepath.Base(dir), "PATH=" + os.Getenv("PATH"), "NO_COLOR=1",
		"CLAUDEMESH_BROKER_LISTEN=" + listen, "CLAUDEMESH_BROKER_URL=ws://" + listen + "/ws"}
	return &home{app: app, dir: dir, listen: listen, env: append(env, open...)}, nil
}

// newHome sets up broker, mesh and daemon.
func newHome(ctx context.Context, app, dir string) (*home, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := ln.Addr().String()
	if err := ln.Close(); err != nil {
		return nil, err
	}
	h, err := homeAt(app, dir, listen)
	if err != nil {
		return nil, err
	}
	return h, h.run(ctx, nil, "up")
}

// secondMember joins the mesh of h from another home.
func (h *home) secondMember(ctx context.Context, dir string) (*home, error) {
	var share struct {
		URL string `json:"url"`
	}
	if err := h.run(ctx, &share, "share"); err != nil {
		return nil, err
	}
	g, err := homeAt(h.app, dir, h.listen)
	if err != nil {
		return nil, err
	}
	return g, g.run(ctx, nil, "join", share.URL)
}

// nameOf is the member key of another home, as this one sees it.
func (h *home) nameOf(ctx context.Context, other *home) (string, error) {
	var who struct {
		Local struct {
			Meshes []struct {
				Pubkey string `json:"pubkey"`
			} `json:"meshes"`
		} `json:"local"`
	}
	if err := other.run(ctx, &who, "whoami"); err != nil {
		return "", err
	}
	return who.Local.Meshes[0].Pubkey, nil
}

func (h *home) run(ctx context.Context, v any, args ...string) error {
	var out, diag bytes.Buffer
	cmd := exec.CommandContext(ctx, h.app, append([]string{"--json"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env, &out, &diag
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("claudemesh %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), diag.String())
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(out.Bytes(), v)
}

// down stops the home's processes; the folder is removed by whoever made it.
func (h *home) down() {
	if err := h.run(context.Background(), nil, "down"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

func (h *home) socket() string { return filepath.Join(h.dir, ".claudemesh", "daemon", "daemon.sock") }

// alone makes a home whose broker runs and whose daemon does not, for clients that speak to the broker themselves as its
// member.
func (p plan) alone(ctx context.Context, name string) (*home, member, error) {
	h, err := newHome(ctx, p.app, filepath.Join(p.dir, name))
	if err != nil {
		return nil, member{}, err
	}
	err = h.run(ctx, nil, "daemon", "down")
	var m member
	if err == nil {
		m, err = h.member()
	}
	if err != nil {
		h.down()
	}
	return h, m, err
}
