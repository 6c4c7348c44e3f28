// Package presence is the verbs about how others see this session or user, and about the meshes themselves: status,
// summary, visible, profile, info, stats, ping.
package presence

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// who says whom these verbs speak for.
const who = "In a host session it is that session which others see so, elsewhere your own member. It is kept, and told again after " +
	"a reconnect."

// meshFlag adds --mesh.
func meshFlag(a *shell.App, cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "mesh", "", "in this mesh only, by its short `name`; otherwise in every one that you are in")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
}

// set makes the call of a verb that changes what others see.
func set(ctx context.Context, a *shell.App, req localapi.ProfileRequest) (localapi.ProfileAnswer, error) {
	answer, err := shell.Call(ctx, a, localapi.ProfileSet, shell.CallTime, req)
	if err == nil && len(answer.Meshes)+len(answer.Waiting) == 0 {
		err = mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	}
	switch {
	case err != nil || answer.Apart == 0:
	case answer.Apart == 1:
		a.Warn("your session is seen as before: it says this for itself")
	default:
		a.Warn("your %d sessions are seen as before: each says this for itself", answer.Apart)
	}
	return answer, err
}

// where says in which meshes it counts, and where it does not yet.
func where(answer localapi.ProfileAnswer) string {
	waiting := ""
	if len(answer.Waiting) > 0 {
		waiting = "in " + strings.Join(answer.Waiting, ", ") + " when it is connected again"
	}
	return shell.Facts(strings.Join(answer.Meshes, ", "), waiting)
}

// reach is what every JSON view of such a verb ends with.
type reach struct {
	Meshes  []string `json:"meshes"`
	Waiting []string `json:"waiting,omitzero"`
}

func reachOf(answer localapi.ProfileAnswer) reach { return reach{answer.Meshes, answer.Waiting} }

// also names the other place of a verb.
func also(path string, cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{shell.AlsoKey: path}
	return cmd
}

// NewStatus is the noun status.
func NewStatus(a *shell.App) *cobra.Command {
	return shell.Noun("status", "Say what you are doing", also("profile status set", newStatusSet(a)))
}

// statuses are the words of status set.
var statuses = []string{string(mesh.Idle), string(mesh.Working), string(mesh.DND)}

func newStatusSet(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "set <idle|working|dnd>",
		Short: "Say what you are doing",
		Long: "Say what you are doing. With dnd, do not disturb, only messages with priority now reach you, and the others wait until you end " +
			"it. Working becomes idle by itself when nothing says it again for a minute. " + who,
		Example:   "claudemesh status set dnd",
		Args:      oneOf("the status", statuses),
		ValidArgs: statuses,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStatus(cmd.Context(), a, localapi.ProfileRequest{Mesh: slug, Status: new(mesh.Status(args[0]))})
		},
	}
	meshFlag(a, cmd, &slug)
	return cmd
}

// oneOf takes one word of a few.
func oneOf(what string, words []string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := shell.Exactly(what)(cmd, args); err != nil {
			return err
		}
		if !slices.Contains(words, args[0]) {
			return shell.Usage(cmd, "%q is none of: %s", args[0], strings.Join(words, ", "))
		}
		return nil
	}
}

// statusView is the JSON of status set.
type statusView struct {
	shell.Header
	Status mesh.Status `json:"status"`
	reach
}

func runStatus(ctx context.Context, a *shell.App, req localapi.ProfileRequest) error {
	answer, err := set(ctx, a, req)
	if err != nil {
		return err
	}
	return a.Print(statusView{shell.NewHeader(), *req.Status, reachOf(answer)}, func(s term.Stream) {
		s.OK("you are "+string(*req.Status), where(answer))
	})
}

// NewSummary says what this session or user is at.
func NewSummary(a *shell.App) *cobra.Command { return also("profile summary", newSummary(a)) }

func newSummary(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "summary <text...>",
		Short: "Say in a sentence what you are at",
		Long: "Say in a sentence what you are at; others see it in their list of peers. At most 500 characters; an empty text takes it " +
			"away. " + who,
		Example: "claudemesh summary moving the ledger to the new schema\n" +
			"claudemesh summary \"\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return shell.Usage(cmd, "the text is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSummary(cmd.Context(), a, localapi.ProfileRequest{Mesh: slug, Summary: new(strings.Join(args, " "))})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	meshFlag(a, cmd, &slug)
	return cmd
}

// summaryView is the JSON of summary.
type summaryView struct {
	shell.Header
	Summary string `json:"summary"`
	reach
}

func runSummary(ctx context.Context, a *shell.App, req localapi.ProfileRequest) error {
	answer, err := set(ctx, a, req)
	if err != nil {
		return err
	}
	return a.Print(summaryView{shell.NewHeader(), *req.Summary, reachOf(answer)}, func(s term.Stream) {
		text := "others see what you are at"
		if *req.Summary == "" {
			text = "others do not see what you are at"
		}
		s.OK(text, where(answer))
	})
}

// yes and no as visible takes them (cli 19).
var (
	yes = []string{"true", "1", "yes", "y"}
	no  = []string{"false", "0", "no", "n"}
)

// NewVisible shows or hides this session or user.
func NewVisible(a *shell.App) *cobra.Command { return also("profile visible", newVisible(a)) }

func newVisible(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "visible <yes|no>",
		Short: "Show yourself to others, or hide",
		Long: "Show yourself in the lists of others, or hide. Who hides gets no messages to groups and to everyone, and still gets those to " +
			"its key or its member. " + who,
		Example:   "claudemesh visible no",
		Args:      oneOf("yes or no", slices.Concat(yes, no)),
		ValidArgs: []string{"yes", "no"},
		RunE: func(cmd *cobra.Command, args []string) error {
			visible := slices.Contains(yes, args[0])
			return runVisible(cmd.Context(), a, localapi.ProfileRequest{Mesh: slug, Visible: &visible})
		},
	}
	meshFlag(a, cmd, &slug)
	return cmd
}

// visibleView is the JSON of visible.
type visibleView struct {
	shell.Header
	Visible bool `json:"visible"`
	reach
}

func runVisible(ctx context.Context, a *shell.App, req localapi.ProfileRequest) error {
	answer, err := set(ctx, a, req)
	if err != nil {
		return err
	}
	return a.Print(visibleView{shell.NewHeader(), *req.Visible, reachOf(answer)}, func(s term.Stream) {
		text := "others see you"
		if !*req.Visible {
			text = "others do not see you"
		}
		s.OK(text, where(answer))
	})
}
