package presence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

const severalNote = "\n\nWith one mesh the JSON is an object, with several an array of them."

// NewInfo prints overviews of the meshes.
func NewInfo(a *shell.App) *cobra.Command {
	var req localapi.InfoRequest
	cmd := &cobra.Command{
		Use:         "info",
		Short:       "See what a mesh is and what there is in it",
		Long:        "See what a mesh is and what there is in it, as its broker tells it." + severalNote,
		Example:     "claudemesh info --mesh team",
		Annotations: map[string]string{shell.AlsoKey: "workspace info"},
		Args:        a.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return runInfo(cmd.Context(), a, req) },
	}
	ofMesh(a, cmd, &req.Mesh)
	return cmd
}

// ofMesh adds --mesh to a verb that only reads.
func ofMesh(a *shell.App, cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "mesh", "", "of this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
}

// infoView is the JSON of info, in the words of the first system (cli 15), followed by what the broker tells.
type infoView struct {
	Slug        string             `json:"slug"`
	MeshID      mesh.ID            `json:"meshId"`
	MemberID    mesh.ID            `json:"memberId"`
	BrokerURL   string             `json:"brokerUrl"`
	DisplayName string             `json:"displayName"`
	Status      string             `json:"status"`
	PeerCount   int                `json:"peerCount"`
	StateCount  int                `json:"stateCount"`
	Error       string             `json:"error,omitzero"`
	Broker      *protocol.MeshInfo `json:",embed"`
}

func runInfo(ctx context.Context, a *shell.App, req localapi.InfoRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Info, shell.CallTime, req)
	if err != nil {
		return err
	}
	views := make([]infoView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		v := infoView{
			Slug: m.Slug, MeshID: m.MeshID, MemberID: m.MemberID, BrokerURL: m.BrokerURL, DisplayName: m.DisplayName, Status: m.Status,
			Error: m.Error, Broker: m.Info,
		}
		if m.Info != nil {
			v.PeerCount, v.StateCount = m.Info.Peers, len(m.Info.StateKeys)
		}
		views = append(views, v)
	}
	return shell.Several(a, views, func(s term.Stream) {
		if len(answer.Meshes) == 0 {
			shell.NothingJoined(s)
		}
		for _, m := range answer.Meshes {
			writeInfo(s, m)
		}
	})
}

func writeInfo(s term.Stream, m localapi.MeshInfo) {
	s.Heading(m.Slug, m.BrokerURL)
	pairs := [][2]string{
		{"mesh id", string(m.MeshID)}, {"member id", string(m.MemberID)}, {"you", m.DisplayName},
		{"connection", strings.TrimSpace(m.Status + shell.Prefixed(": ", m.Error))},
	}
	if i := m.Info; i != nil {
		pairs = append(
			pairs, [2]string{"name", i.Name}, [2]string{"made", i.CreatedAt}, [2]string{"peers", strconv.Itoa(i.Peers)},
			[2]string{"members", some(i.Members)}, [2]string{"groups", strings.Join(i.Groups, ", ")},
			[2]string{"your groups", strings.Join(i.YourGroups, ", ")}, [2]string{"state keys", some(len(i.StateKeys))},
			[2]string{"memories", some(i.MemoryCount)}, [2]string{"files", some(i.FileCount)},
			[2]string{"tasks", tasks(i.Tasks)}, [2]string{"streams", strings.Join(i.Streams, ", ")}, [2]string{"tables", strings.Join(i.Tables, ", ")},
		)
	}
	s.Pairs(pairs...)
}

// some is a number, or nothing for none.
func some(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func tasks(t protocol.TaskCounts) string {
	if t == (protocol.TaskCounts{}) {
		return ""
	}
	return fmt.Sprintf("%d open, %d claimed, %d done", t.Open, t.Claimed, t.Done)
}

// NewStats prints what the peers count.
func NewStats(a *shell.App) *cobra.Command {
	var req localapi.PeersRequest
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "See what each peer counts",
		Long: "See how many messages came in and went out of each peer since its daemon started, how long that is ago, and how many could not " +
			"be sent. Peers report it themselves, once a minute. A peer that has not is not listed." + severalNote,
		Example: "claudemesh stats --json",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStats(cmd.Context(), a, req) },
	}
	ofMesh(a, cmd, &req.Mesh)
	return cmd
}

// statsView is the JSON of stats.
type statsView struct {
	Mesh  string      `json:"mesh"`
	Peers []peerStats `json:"peers"`
}

type peerStats struct {
	Name   string         `json:"name"`
	Pubkey mesh.Key       `json:"pubkey"`
	Stats  protocol.Stats `json:"stats"`
}

func runStats(ctx context.Context, a *shell.App, req localapi.PeersRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Peers, shell.CallTime, req)
	if err != nil {
		return err
	}
	views := make([]statsView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		v := statsView{Mesh: m.Mesh, Peers: []peerStats{}}
		for _, p := range answer.Peers {
			if p.Mesh == m.Mesh && p.Stats != nil {
				v.Peers = append(v.Peers, peerStats{p.DisplayName, p.Pubkey, *p.Stats})
			}
		}
		slices.SortStableFunc(v.Peers, func(x, y peerStats) int { return cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)) })
		views = append(views, v)
	}
	return shell.Several(a, views, func(s term.Stream) {
		if len(views) == 0 {
			shell.NothingJoined(s)
		}
		for _, v := range views {
			writeStats(s, v)
		}
	})
}

const nameColumn = 26

func writeStats(s term.Stream, v statsView) {
	s.Heading(v.Mesh, "")
	if len(v.Peers) == 0 {
		s.Empty("nobody has reported yet")
		return
	}
	s.Line("%s", s.Paint(term.Dim, term.Pad("", nameColumn)+fmt.Sprintf("%8s %8s %8s %8s %8s", "in", "out", "tools", "minutes", "errors")))
	for _, p := range v.Peers {
		name := term.Pad(term.Fit(term.Clean(p.Name), nameColumn-1), nameColumn)
		st := p.Stats
		s.Line("%s%8d %8d %8d %8d %8d", s.Paint(term.Bold, name), st.MessagesIn, st.MessagesOut, st.ToolCalls, int64(st.Uptime/60), st.Errors)
	}
}

// NewPing measures the way to the brokers.
func NewPing(a *shell.App) *cobra.Command {
	var req localapi.PingRequest
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Measure the way to the brokers and back",
		Long: "Measure the way to the broker of each mesh and back, on the connection that messages take. It fails when no broker answers." +
			severalNote,
		Example: "claudemesh ping --mesh team",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPing(cmd.Context(), a, req) },
	}
	ofMesh(a, cmd, &req.Mesh)
	return cmd
}

// pingView is the JSON of ping, with the words of the first system (cli 15).
type pingView struct {
	Mesh        string  `json:"mesh"`
	Status      string  `json:"ws_status"`
	OK          bool    `json:"ok"`
	RoundTripMS float64 `json:"round_trip_ms,omitzero"`
	PeersOnline int     `json:"peers_online"`
	Waiting     int     `json:"push_buffer"`
	Error       string  `json:"error,omitzero"`

	Code mesh.Code `json:"code,omitzero"`
}

func runPing(ctx context.Context, a *shell.App, req localapi.PingRequest) error {
	answer, err := shell.Call(ctx, a, localapi.PingBrokers, shell.CallTime, req)
	if err != nil {
		return err
	}
	if err := nobodyAnswers(answer.Meshes); err != nil {
		return err
	}
	views := make([]pingView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		views = append(views, pingView(m))
	}
	return shell.Several(a, views, func(s term.Stream) {
		for _, m := range answer.Meshes {
			if !m.OK {
				s.Off(m.Mesh + ": " + m.Status + shell.Prefixed(", ", m.Error))
				continue
			}
			s.OK(fmt.Sprintf("%s answers in %.1f ms", m.Mesh, m.RoundTripMS), shell.Facts(strconv.Itoa(m.PeersOnline)+" online", shell.Waiting(m.Waiting)))
		}
	})
}

// nobodyAnswers says why no broker answers; nil where one does.
func nobodyAnswers(meshes []localapi.Ping) error {
	if len(meshes) == 0 {
		return mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	}
	var why []string
	code := cmp.Or(meshes[0].Code, mesh.BrokerDown)
	for _, m := range meshes {
		if m.OK {
			return nil
		}
		why = append(why, m.Mesh+" is "+m.Status+shell.Prefixed(": ", m.Error))
		if m.Code != code {
			code = mesh.BrokerDown
		}
	}
	return mesh.Errorf(code, "no broker answers: %s", strings.Join(why, "; "))
}
