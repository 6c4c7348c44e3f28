// Package peer is the verbs about who is there: the peers of a mesh, and who this user is among them.
package peer

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewPeers lists who is in the joined meshes.
func NewPeers(a *shell.App) *cobra.Command {
	cmd := newPeerList(a)
	cmd.Use, cmd.Annotations = "peers", map[string]string{shell.AlsoKey: "peer list"}
	return cmd
}

// New is the noun peer.
func New(a *shell.App) *cobra.Command {
	return shell.Noun("peer", "See the peers of a mesh", shell.CopyOf("peers", newPeerList(a)), shell.CopyOf("verify", NewVerify(a)))
}

func newPeerList(a *shell.App) *cobra.Command {
	var req localapi.PeersRequest
	var watch bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who is in the joined meshes",
		Long: "List who is in the joined meshes, own rows first. A message goes to a name or to a key; the first 16 characters of a " +
			"key, as they are listed, are enough. A member without a session is a person whose daemon runs: messages wait in their " +
			"inbox. The name of who is verified is signed by a key that you have met; other names are claimed by the relay: `claudemesh verify " +
			"<peer>`.\n\nWith one mesh the JSON is an array of peers, with several an array of {mesh, peers}. With --watch each change is an object on a " +
			"line of its own: first all who are there, then ready, then what changes, until you press Ctrl-C. A " +
			"restart of the daemon does not end it.",
		Example: "claudemesh peers --offline\n" +
			"claudemesh peers --watch\n" +
			"claudemesh peers --json=name,status,pubkey",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return watchPeers(cmd.Context(), a, req)
			}
			return runPeers(cmd.Context(), a, req)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	fl.BoolVar(&req.All, "all", false, "daemons too")
	fl.BoolVar(&req.Offline, "offline", false, "known peers without a connection too")
	fl.BoolVar(&watch, "watch", false, "keep the list up to date; piped, print each change")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// meshPeers is the roster of one mesh, as several meshes print it.
type meshPeers struct {
	Mesh  string          `json:"mesh"`
	Peers []localapi.Peer `json:"peers"`
	away  string          // status of a mesh that did not answer; empty for one that did
}

func runPeers(ctx context.Context, a *shell.App, req localapi.PeersRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Peers, shell.CallTime, req)
	if err != nil {
		return err
	}
	for _, m := range answer.Meshes {
		if m.Code != "" {
			a.Warn("%s: %s", m.Detail, m.Code.Hint())
		}
		if !m.OK && a.Flags.JSON.On { // the text says it above each list
			a.Warn("%s does not answer (%s): the list is who was known last", m.Mesh, m.Status)
		}
	}
	rosters := byMesh(answer)
	human := func(s term.Stream) { writePeers(s, rosters, a.Now()) }
	if len(rosters) == 1 {
		return a.Print(rosters[0].Peers, human)
	}
	return a.Print(rosters, human)
}

func byMesh(answer localapi.PeersAnswer) []meshPeers {
	rosters := make([]meshPeers, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		r := meshPeers{Mesh: m.Mesh, Peers: []localapi.Peer{}}
		if !m.OK {
			r.away = cmp.Or(m.Status, "closed")
		}
		for _, p := range answer.Peers {
			if p.Mesh == m.Mesh {
				r.Peers = append(r.Peers, p)
			}
		}
		rosters = append(rosters, r)
	}
	return rosters
}

// Columns of the list: marks and names of common length leave room for the key within 80.
const (
	maxNameColumn = 26
	statusColumn  = len("offline")
	detailIndent  = "    "
)

// writePeers prints rosters: under each mesh this session, the other own rows, who is online, who is not.
func writePeers(s term.Stream, rosters []meshPeers, now time.Time) {
	if len(rosters) == 0 {
		shell.NothingJoined(s)
		return
	}
	claimed := false
	for _, r := range rosters {
		s.Heading(r.Mesh, rosterSummary(r))
		switch {
		case len(r.Peers) == 0 && r.away == "":
			s.Empty("nobody")
		case len(r.Peers) == 0:
			s.Empty("nobody is known")
		}
		width := nameColumn(r.Peers)
		for _, p := range slices.SortedStableFunc(slices.Values(r.Peers), peerOrder) {
			writePeer(s, p, width, now)
			claimed = claimed || !p.Verified && !p.IsSelf
		}
	}
	if claimed {
		s.Blank()
		s.Line("%s", s.Paint(term.Dim, "claimed: by the relay alone. What you send is sealed to the key beside it."))
	}
}

// rosterSummary counts a roster; of one that did not answer nobody can say who is online.
func rosterSummary(r meshPeers) string {
	peers, on := r.Peers, 0
	if r.away != "" {
		return r.away + ": who was known last"
	}
	for _, p := range peers {
		if shell.Online(p) {
			on++
		}
	}
	text := strconv.Itoa(on) + " online"
	if off := len(peers) - on; off > 0 {
		text += ", " + strconv.Itoa(off) + " offline"
	}
	return text
}

func nameColumn(peers []localapi.Peer) int {
	width := 0
	for _, p := range peers {
		if n := term.Width(term.Clean(p.DisplayName)); n <= maxNameColumn {
			width = max(width, n)
		}
	}
	return width
}

func peerOrder(x, y localapi.Peer) int {
	return cmp.Or(cmp.Compare(peerRank(x), peerRank(y)), cmp.Compare(strings.ToLower(x.DisplayName), strings.ToLower(y.DisplayName)), cmp.Compare(x.Pubkey, y.Pubkey))
}

func peerRank(p localapi.Peer) int {
	switch {
	case p.IsThisSession:
		return 0
	case p.IsSelf && shell.Online(p):
		return 1
	case shell.Online(p):
		return 2
	case p.IsSelf:
		return 3
	}
	return 4
}

// writePeer prints one peer: what to call it, how it is, its key, whose it is; below it what else is known.
func writePeer(s term.Stream, p localapi.Peer, width int, now time.Time) {
	name := s.Paint(term.Bold, p.DisplayName)
	n := term.Width(term.Clean(p.DisplayName))
	tail := strings.TrimRight(term.Pad(peerState(p), statusColumn)+"  "+term.Clean(p.Pubkey.Short())+"  "+s.Paint(term.Dim, whose(p)), " ")
	if n > width {
		s.Line("%s %s", presenceDot(s, p), name)
		s.Line("  %s%s", strings.Repeat(" ", width+2), tail)
	} else {
		s.Line("%s %s%s%s", presenceDot(s, p), name, strings.Repeat(" ", width-n+2), tail)
	}
	for _, detail := range []string{peerFacts(p, now), shell.Deref(p.Summary)} {
		if detail != "" {
			s.Line("%s%s", detailIndent, s.Paint(term.Dim, term.Fit(term.Clean(detail), term.Columns-2-len(detailIndent))))
		}
	}
}

// whose says to whom a row belongs, as far as its name does not.
func whose(p localapi.Peer) string {
	member := ""
	if p.MemberName != "" && p.MemberName != p.DisplayName {
		member = "of " + term.Short(p.MemberName, 20)
	}
	proof := "claimed"
	if p.Verified {
		proof = "verified"
	}
	switch {
	case p.IsThisSession:
		return "this session"
	case p.PeerRole == mesh.ControlPlane && p.IsSelf:
		return shell.Facts("daemon", member)
	case p.PeerRole == mesh.ControlPlane:
		return shell.Facts("daemon", member, proof)
	case p.IsSelf && isMember(p):
		return "you, no session"
	case p.IsSelf:
		return "yours"
	case isMember(p):
		return shell.Facts("no session", proof)
	}
	return shell.Facts(member, proof)
}

// isMember reports whether a row stands for a member and not for one of their sessions.
func isMember(p localapi.Peer) bool {
	return p.Pubkey == p.MemberPubkey && p.PeerRole != mesh.ControlPlane
}

// peerFacts is the second line: groups and role, the program, the folder, when it was last there.
func peerFacts(p localapi.Peer, now time.Time) string {
	var facts []string
	if p.Blocked {
		facts = append(facts, "blocked")
	}
	if p.Visible != nil && !*p.Visible {
		facts = append(facts, "hidden from others")
	}
	facts = append(facts, groupTags(p)...)
	facts = append(facts, p.Role, p.Channel, p.Model, p.CWD)
	if !shell.Online(p) && p.LastSeenAt != "" {
		facts = append(facts, "seen "+shell.Ago(now, p.LastSeenAt))
	}
	return shell.Facts(facts...)
}

// peerState is the status as a word: colours are not seen by everyone.
func peerState(p localapi.Peer) string {
	if !shell.Online(p) {
		return "offline"
	}
	return term.Clean(string(cmp.Or(p.Status, mesh.Idle)))
}

func presenceDot(s term.Stream, p localapi.Peer) string {
	switch {
	case !shell.Online(p):
		return s.Paint(term.Dim, "○")
	case p.Status == mesh.Working:
		return s.Paint(term.Yellow, "●")
	case p.Status == mesh.DND:
		return s.Paint(term.Red, "●")
	}
	return s.Paint(term.Green, "●")
}

// groupTags are the groups of a peer as a list shows them, each with the role that the peer has in it.
func groupTags(p localapi.Peer) []string {
	var tags []string
	for _, g := range p.Groups {
		tags = append(tags, "@"+g.Name+shell.Prefixed(":", g.Role))
	}
	return tags
}
