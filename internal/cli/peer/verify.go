package peer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// NewVerify shows safety numbers.
func NewVerify(a *shell.App) *cobra.Command {
	var req localapi.VerifyRequest
	qr := false
	cmd := &cobra.Command{
		Use:   "verify [peer]",
		Short: "Show the safety number of a peer, to compare with theirs",
		Long: "Show the safety number of a peer, or of everybody: six groups of five digits over your member key and theirs, the same on " +
			"both sides. Compare it by a way that the mesh has no part in, such as a call. Where it differs, somebody stands between " +
			"you. Where it is the same, `claudemesh trust accept <peer>` remembers it. A fingerprint is of one member of one mesh under its name: " +
			"what you see as theirs, they see as their own.\n\n" +
			"--legacy shows the numbers over the keys of the peer's sessions, as older clients do: they differ from side to side, and " +
			"change with each session.\n\nThe JSON is an array of {mesh, peer, pubkey, safetyNumber, level, fingerprint, own_fingerprint}.",
		Example: "claudemesh verify ben\n" +
			"claudemesh verify ben --qr",
		Annotations: map[string]string{shell.AlsoKey: "peer verify"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return shell.Exactly("the peer")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				req.Peer = args[0]
			}
			return runVerify(cmd.Context(), a, req, qr)
		},
		ValidArgsFunction: a.CompletePeers,
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`")
	fl.BoolVar(&req.Legacy, "legacy", false, "over session keys, as older clients show it")
	fl.BoolVar(&qr, "qr", false, "also as a code, to be scanned from one screen to the other")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runVerify(ctx context.Context, a *shell.App, req localapi.VerifyRequest, qr bool) error {
	answer, err := shell.Call(ctx, a, localapi.Verify, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(answer.Numbers, func(s term.Stream) { writeNumbers(s, answer.Numbers, qr) })
}

func writeNumbers(s term.Stream, numbers []localapi.SafetyNumber, qr bool) {
	shown := ""
	for _, n := range numbers {
		if n.Mesh != shown {
			s.Heading(n.Mesh, "")
			shown = n.Mesh
		}
		s.Line("%s  %s", s.Paint(term.Bold, term.Clean(n.Peer)), s.Paint(term.Dim, shell.Facts(n.Pubkey.Short(), n.Level)))
		s.Line("    %s", n.Number)
		s.Line("    %s", s.Paint(term.Dim, "their fingerprint here "+n.Fingerprint))
		s.Line("    %s", s.Paint(term.Dim, "yours                  "+n.Own))
		if qr && s.QR(n.Number) == nil { // 35 digits and spaces always fit
			s.Line("")
		}
	}
	if shown == "" {
		s.Empty("nobody was met yet")
		return
	}
	s.Line("")
	s.Line("%s", s.Paint(term.Dim, "the same on both sides: claudemesh trust accept <peer> · another number: do not trust the connection"))
}
