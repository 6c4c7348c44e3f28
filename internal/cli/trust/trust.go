// Package trust is the verbs about keys: whom this user has met, and what a human decided about them.
package trust

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// New is the noun trust.
func New(a *shell.App) *cobra.Command {
	return shell.Noun("trust", "See whose keys are known, accept them, reject them", newList(a), newAccept(a), newReject(a))
}

const about = "The key of a member is pinned under its name when it is first met. Another key under that name is not believed: nothing " +
	"is sent to it, and what it signs is not shown as verified, until a human decides. Compare `claudemesh verify <peer>` with " +
	"the peer by another way first, such as a call."

func newList(a *shell.App) *cobra.Command {
	var req localapi.TrustRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys that were met, and what was decided about them",
		Long: "List the keys that were met in the joined meshes: first those that wait for a decision, then by name. Seen means pinned " +
			"at the first meeting, accepted and rejected are your own word, replaced is a key in whose place you accepted another one, and " +
			"conflict is a key that is not pinned because its name is another's.\n\n" + about + "\n\nThe JSON is an array of keys.",
		Example: "claudemesh trust list\n" +
			"claudemesh trust list --mesh team --json=name,level,pubkey",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runList(ctx context.Context, a *shell.App, req localapi.TrustRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Trust, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(answer.Keys, func(s term.Stream) { writeKeys(s, answer.Keys, a.Now()) })
}

// waits is the level of keys that a human is to decide about.
const waits = "conflict"

func writeKeys(s term.Stream, keys []localapi.TrustedKey, now time.Time) {
	shown := ""
	for _, k := range keys {
		if k.IsSelf {
			continue
		}
		if k.Mesh != shown {
			s.Heading(k.Mesh, "")
			shown = k.Mesh
		}
		writeKey(s, k, now)
	}
	if shown == "" {
		s.Empty("nobody was met yet")
		return
	}
	if slices.ContainsFunc(keys, func(k localapi.TrustedKey) bool { return k.Level == waits }) {
		s.Line("")
		s.Line("%s", s.Paint(term.Dim, "compare `claudemesh verify <key>` with them by another way, then: claudemesh trust accept <key>, or reject"))
	}
}

func writeKey(s term.Stream, k localapi.TrustedKey, now time.Time) {
	style := term.Dim
	if k.Level == waits {
		style = term.Yellow
	}
	unattended, device, gone := "", "", ""
	if k.Unattended {
		unattended = "reaches unattended sessions"
	}
	if k.Device {
		device = "your device"
	}
	if !k.Present {
		gone = "no member any more"
	}
	s.Line("%s  %s  %s", s.Paint(term.Bold, term.Clean(k.Name)), s.Paint(style, k.Level), s.Paint(term.Dim, shell.Facts(
		k.Pubkey.Short(), shell.Prefixed("now called ", term.Clean(k.Claimed)), gone, device, unattended, strings.Join(k.Features, ", "),
		shell.Prefixed("met ", agoOf(now, k.FirstSeen)))))
	if len(k.Holders) > 0 {
		s.Line("    %s", s.Paint(term.Dim, "the name is pinned to "+shorts(k.Holders)))
	}
}

func agoOf(now time.Time, text string) string {
	if text == "" {
		return ""
	}
	return shell.Ago(now, text)
}

func shorts(keys []mesh.Key) string {
	texts := make([]string, 0, len(keys))
	for _, k := range keys {
		texts = append(texts, k.Short())
	}
	return strings.Join(texts, ", ")
}

func newAccept(a *shell.App) *cobra.Command {
	var req localapi.TrustDecision
	cmd := &cobra.Command{
		Use:   "accept <peer>",
		Short: "Accept a peer's key under the name that it has now",
		Long: "Accept a peer's key under the name that it has now. <peer> is a name, a key, or the first 16 or more characters of one; of " +
			"two keys with one name it is the one that waits for a decision. A key that had the name before and is no member any more " +
			"is replaced.\n\n" + about + "\n\n--unattended also lets its messages reach sessions that act without asking their human. --device says that the key is of " +
			"another device of yours: it is told what sessions here want permission for, and its answers count (`claudemesh approvals`); say it on both devices. " +
			"Accepted again without them it has neither. " +
			"This is for a human in a terminal: a host session is refused.",
		Example: "claudemesh trust accept ben\n" +
			"claudemesh trust accept 5e55102301234567 --unattended",
		Args: shell.Exactly("the peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Peer = args[0]
			return runDecision(cmd.Context(), a, localapi.TrustAccept, "accepted", req)
		},
		ValidArgsFunction: a.CompletePeers,
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`")
	cmd.Flags().BoolVar(&req.Unattended, "unattended", false, "let its messages reach sessions that act without asking")
	cmd.Flags().BoolVar(&req.Device, "device", false, "it is a device of yours, which may answer for sessions here")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func newReject(a *shell.App) *cobra.Command {
	var req localapi.TrustDecision
	cmd := &cobra.Command{
		Use:   "reject <peer>",
		Short: "Reject a key: nothing is sent to it, nothing it signs is verified",
		Long: "Reject a key: nothing is sent to it, nothing that it signs is shown as verified, and it counts for no name. <peer> is a " +
			"name, a key, or the first 16 or more characters of one. Skills that you have accepted of it are offered no more. `claudemesh trust accept` takes the rest back.\n\n" +
			"This is for a human in a terminal: a host session is refused.",
		Example: "claudemesh trust reject ca2010123456789a",
		Args:    shell.Exactly("the peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Peer = args[0]
			return runDecision(cmd.Context(), a, localapi.TrustReject, "rejected", req)
		},
		ValidArgsFunction: a.CompletePeers,
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// decisionView is the JSON of a decision.
type decisionView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.TrustedKey
}

func runDecision(ctx context.Context, a *shell.App, c localapi.Call[localapi.TrustDecision, localapi.TrustedAnswer], done string, req localapi.TrustDecision) error {
	answer, err := shell.Call(ctx, a, c, shell.CallTime, req)
	if err != nil {
		return err
	}
	k := answer.Key
	return a.Print(decisionView{shell.NewHeader(), true, k}, func(s term.Stream) {
		device, unattended := "", ""
		if k.Device {
			device = "your device: its answers to `claudemesh approvals` count"
		}
		if k.Unattended {
			unattended = "reaches sessions that act alone"
		}
		s.OK(done+" "+term.Clean(k.Name), shell.Facts(k.Mesh, k.Pubkey.Short(), device, unattended))
		if len(k.Holders) > 0 {
			s.Line("  %s", s.Paint(term.Dim, "several keys have this name now, so write to a key: "+shorts(k.Holders)))
		}
	})
}
