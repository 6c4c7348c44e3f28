package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newPeers(a *app) *cobra.Command {
	return newPeerList(a, "peers", "List who is in the joined meshes")
}

func newPeer(a *app) *cobra.Command {
	return noun("peer", "See the peers of a mesh", newPeerList(a, "list", "List who is in the joined meshes"))
}

func newPeerList(a *app, use, short string) *cobra.Command {
	var req localapi.PeersRequest
	cmd := &cobra.Command{
		Use: use, Short: short,
		Long: short + ", own rows first.\n\nWith one mesh the JSON is an array of peers, with several an array of {mesh, peers}.",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Mesh = a.global.mesh
			return a.peers(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVar(&req.All, "all", false, "daemons too")
	cmd.Flags().BoolVar(&req.Offline, "offline", false, "known peers without a connection too")
	return cmd
}

// meshPeers is the roster of one mesh, as several meshes print it.
type meshPeers struct {
	Mesh  string          `json:"mesh"`
	Peers []localapi.Peer `json:"peers"`
}

func (a *app) peers(ctx context.Context, req localapi.PeersRequest) error {
	answer, err := call(ctx, a, localapi.Peers, callTime, req)
	if err != nil {
		return err
	}
	rosters := byMesh(answer)
	if len(rosters) == 1 {
		return a.print(rosters[0].Peers, func(s term.Stream) { writePeers(s, rosters, answer.Meshes) })
	}
	return a.print(rosters, func(s term.Stream) { writePeers(s, rosters, answer.Meshes) })
}

func byMesh(answer localapi.PeersAnswer) []meshPeers {
	rosters := make([]meshPeers, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		r := meshPeers{Mesh: m.Mesh, Peers: []localapi.Peer{}}
		for _, p := range answer.Peers {
			if p.Mesh == m.Mesh {
				r.Peers = append(r.Peers, p)
			}
		}
		rosters = append(rosters, r)
	}
	return rosters
}

func writePeers(s term.Stream, rosters []meshPeers, states []localapi.MeshState) {
	if len(rosters) == 0 {
		s.Empty("no mesh joined")
		return
	}
	for i, r := range rosters {
		s.Section(r.Mesh)
		if !states[i].OK {
			s.Warn("not connected to the broker (" + states[i].Status + "): this is what was known last")
		}
		if len(r.Peers) == 0 {
			s.Empty("nobody")
		}
		for _, p := range r.Peers {
			writePeer(s, p)
		}
	}
}

func writePeer(s term.Stream, p localapi.Peer) {
	self := ""
	switch {
	case p.IsThisSession:
		self = "this session"
	case p.IsSelf:
		self = "yours"
	}
	facts := joinFacts(self, p.Channel, p.PeerType, p.Pubkey.Short(), memberFact(p), claimed(p), lastSeen(p))
	s.Line("%s %s %s", presenceDot(s, p), s.Paint(term.Bold, p.DisplayName), s.Paint(term.Dim, facts))
	for _, g := range p.Groups {
		s.Line("    %s", s.Paint(term.Dim, joinFacts("@"+g.Name, g.Role)))
	}
	if p.Summary != nil && *p.Summary != "" {
		s.Line("    %s", term.Clean(*p.Summary))
	}
	if p.CWD != "" {
		s.Line("    %s", s.Paint(term.Dim, p.CWD))
	}
}

func memberFact(p localapi.Peer) string {
	if p.MemberName == "" || p.MemberName == p.DisplayName {
		return ""
	}
	return "of " + p.MemberName
}

func claimed(p localapi.Peer) string {
	if p.Verified || p.IsSelf {
		return ""
	}
	return "name claimed by the relay"
}

func lastSeen(p localapi.Peer) string {
	if online(p) {
		return ""
	}
	return joinFacts("offline", p.LastSeenAt)
}

// online is what the row says; brokers that list only connections say nothing.
func online(p localapi.Peer) bool { return p.Online == nil || *p.Online }

func presenceDot(s term.Stream, p localapi.Peer) string {
	switch {
	case !online(p):
		return s.Paint(term.Dim, "○")
	case p.Status == mesh.Working:
		return s.Paint(term.Yellow, "●")
	case p.Status == mesh.DND:
		return s.Paint(term.Red, "●")
	}
	return s.Paint(term.Green, "●")
}
