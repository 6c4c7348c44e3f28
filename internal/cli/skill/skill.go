// Package skill is the verbs about skills that members publish for the sessions of the others. What is published is the
// word of others: sessions are offered what the human has read and said yes to.
package skill

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Verbs are those under skill.
func Verbs(a *shell.App) []*cobra.Command {
	return []*cobra.Command{newList(a), newGet(a), newPublish(a), newRemove(a), newAccept(a), newReject(a)}
}

const about = "A skill that a member has published is a text for your sessions. It is signed by its publisher, and its name belongs to " +
	"who published it first; the broker's operator can read it. Your sessions are offered it, as a prompt (/mcp__claudemesh__<name> in Claude Code) and as a resource, when " +
	"you have read it and said yes, and each change of it when you have said yes to that."

const forHumans = "This is for a human in a terminal: a host session is refused."

// meshFlag adds the flag that narrows a verb to one mesh.
func meshFlag(a *shell.App, cmd *cobra.Command, slug *string, text string) *cobra.Command {
	cmd.Flags().StringVar(slug, "mesh", "", text+", by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func newList(a *shell.App) *cobra.Command {
	var req localapi.SkillsRequest
	return meshFlag(a, &cobra.Command{
		Use:   "list [query]",
		Short: "List the skills that members published",
		Long: "List the skills that members published: with [query] those in whose name, description or tags it is. new: nobody has said yes; " +
			"accepted: your sessions are offered it; changed: they are offered what you said yes to, and another text is published now; own: published " +
			"by you.\n\n" + about + "\n\nThe JSON is an array of skills.",
		Example: "claudemesh skill list\nclaudemesh skill list deploy --json=name,author,state",
		Args:    shell.AtMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				req.Query = args[0]
			}
			return runList(cmd.Context(), a, req)
		},
	}, &req.Mesh, "of this mesh only")
}

func runList(ctx context.Context, a *shell.App, req localapi.SkillsRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Skills, shell.CallTime, req)
	if err != nil {
		return err
	}
	for _, m := range answer.Meshes {
		if !m.OK {
			a.Warn("%s does not answer (%s): its skills are not listed", m.Mesh, m.Status)
		}
	}
	return a.Print(answer.Skills, func(s term.Stream) { writeSkills(s, answer.Skills) })
}

func writeSkills(s term.Stream, skills []localapi.Skill) {
	shown := ""
	for _, k := range skills {
		if k.Mesh != shown {
			s.Heading(k.Mesh, "")
			shown = k.Mesh
		}
		style := term.Dim
		if k.State == localapi.SkillChanged {
			style = term.Yellow
		}
		s.Line("%s  %s  %s", s.Paint(term.Bold, term.Clean(k.Name)), s.Paint(style, k.State), s.Paint(term.Dim, shell.Facts(
			shell.Prefixed("by ", term.Clean(k.Author)), k.AuthorPubkey.Short(), term.Clean(strings.Join(k.Tags, ", ")), term.Clean(k.Problem))))
		if k.Description != "" {
			s.Line("    %s", s.Paint(term.Dim, term.Fit(term.Clean(k.Description), term.Columns-6)))
		}
	}
	if shown == "" {
		s.Empty("no skill is published")
	}
}

// skillView is the JSON of one skill.
type skillView struct {
	shell.Header
	localapi.Skill
}

func newGet(a *shell.App) *cobra.Command {
	var req localapi.SkillRequest
	return meshFlag(a, &cobra.Command{
		Use:   "get <name>",
		Short: "Print a skill that is published",
		Long: "Print a skill that is published: who wrote it, and its whole text, as it is now. In a host session the text of one that you have " +
			"not said yes to is left out.\n\n" + about,
		Example: "claudemesh skill get deploy",
		Args:    shell.Exactly("the skill"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			answer, err := shell.Call(cmd.Context(), a, localapi.SkillGet, shell.CallTime, req)
			if err != nil {
				return err
			}
			k := answer.Skill
			return a.Print(skillView{shell.NewHeader(), k}, func(s term.Stream) { writeSkill(s, k) })
		},
	}, &req.Mesh, "in this mesh only")
}

// writeSkill prints all that a human needs for a yes. The text is indented: nothing in it can look like a line of ours.
func writeSkill(s term.Stream, k localapi.Skill) {
	signed := "signed, by a key that you have met"
	if !k.Verified {
		signed = "the broker's word: not signed by a key that you have met"
	}
	before := ""
	if k.AuthorBefore != "" {
		before = "another member than before, who had " + k.AuthorBefore.Short()
	}
	s.Pairs(
		[2]string{"skill", k.Name}, [2]string{"mesh", k.Mesh}, [2]string{"author", shell.Facts(k.Author, k.AuthorPubkey.Short(), before)},
		[2]string{"proof", signed}, [2]string{"state", k.State}, [2]string{"problem", k.Problem}, [2]string{"updated", k.UpdatedAt},
		[2]string{"description", k.Description}, [2]string{"when to use", k.WhenToUse}, [2]string{"argument", k.ArgumentHint},
		[2]string{"tags", strings.Join(k.Tags, ", ")},
	)
	s.Blank()
	if k.Instructions == nil {
		s.Line("%s", "the text is kept from sessions until your user says yes: claudemesh skill accept "+term.Clean(k.Name))
		return
	}
	s.Block("  ", *k.Instructions)
}

func newAccept(a *shell.App) *cobra.Command {
	var req localapi.SkillRequest
	return meshFlag(a, &cobra.Command{
		Use:   "accept <name>",
		Short: "Say yes to a skill, after reading it",
		Long: "Print a skill, and offer it to your sessions when you say yes: this text, and no other one that comes under its name. On a terminal " +
			"it asks, elsewhere it needs --yes.\n\n" + about + "\n\n" + forHumans,
		Example: "claudemesh skill accept deploy\nclaudemesh skill accept deploy --mesh team --yes",
		Args:    shell.Exactly("the skill"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return runAccept(cmd, a, req)
		},
	}, &req.Mesh, "in this mesh only")
}

func runAccept(cmd *cobra.Command, a *shell.App, req localapi.SkillRequest) error {
	ctx := cmd.Context()
	answer, err := shell.Call(ctx, a, localapi.SkillGet, shell.CallTime, req)
	if err != nil {
		return err
	}
	k := answer.Skill
	if !a.Flags.Yes && a.Err.TTY {
		writeSkill(a.Err, k)
		a.Err.Blank()
	}
	if err := shell.Confirm(cmd, a, "your sessions are offered "+term.Clean(k.Name)+", as "+term.Clean(k.Author)+" wrote it"); err != nil {
		return err
	}
	accepted, err := shell.Call(ctx, a, localapi.SkillAccept, shell.CallTime, localapi.SkillAcceptRequest{Name: k.Name, Mesh: k.Mesh, Digest: k.Digest})
	if err != nil {
		return err
	}
	all, _ := shell.Call(ctx, a, localapi.Skills, shell.CallTime, localapi.SkillsRequest{Accepted: true}) // without it the name is told
	return a.Print(skillView{shell.NewHeader(), accepted.Skill}, func(s term.Stream) {
		s.OK("your sessions are offered "+term.Clean(k.Name), shell.Facts(k.Mesh, "/mcp__claudemesh__"+localapi.OfferedAs(accepted.Skill, all.Skills)))
	})
}

// dropView is the JSON of remove and reject.
type dropView struct {
	shell.Header
	localapi.SkillDropAnswer
}

func newReject(a *shell.App) *cobra.Command {
	var req localapi.SkillDropRequest
	return meshFlag(a, &cobra.Command{
		Use:     "reject <name>",
		Short:   "Take your yes to a skill back",
		Long:    "Take your yes to a skill back: your sessions are no longer offered it. It stays published.\n\n" + forHumans,
		Example: "claudemesh skill reject deploy",
		Args:    shell.Exactly("the skill"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return drop(cmd.Context(), a, localapi.SkillReject, req, "your sessions are no longer offered ")
		},
	}, &req.Mesh, "in this mesh only")
}

func newRemove(a *shell.App) *cobra.Command {
	var req localapi.SkillDropRequest
	return meshFlag(a, &cobra.Command{
		Use:   "remove <name>",
		Short: "Remove a skill of yours from its mesh",
		Long: "Remove a skill of yours from its mesh: nobody's sessions are offered it any more. Its name stays yours. On a terminal it asks first, " +
			"elsewhere it needs --yes.\n\n" + forHumans,
		Example: "claudemesh skill remove deploy --yes",
		Args:    shell.Exactly("the skill"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			if err := shell.Confirm(cmd, a, "the sessions of everybody who uses "+term.Clean(req.Name)+" lose it"); err != nil {
				return err
			}
			return drop(cmd.Context(), a, localapi.SkillRemove, req, "removed ")
		},
	}, &req.Mesh, "from this mesh only")
}

func drop(ctx context.Context, a *shell.App, call localapi.Call[localapi.SkillDropRequest, localapi.SkillDropAnswer], req localapi.SkillDropRequest, done string) error {
	answer, err := shell.Call(ctx, a, call, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(dropView{shell.NewHeader(), answer}, func(s term.Stream) { s.OK(done+term.Clean(answer.Name), answer.Mesh) })
}

func newPublish(a *shell.App) *cobra.Command {
	var req localapi.SkillPublishRequest
	return meshFlag(a, &cobra.Command{
		Use:   "publish <file>",
		Short: "Publish a skill, or a change of one of yours",
		Long: "Publish a skill, or a change of one of yours, signed by your key. <file> is a SKILL.md, or - for standard input: between two lines " +
			"of --- name, description, and where you like when_to_use, argument-hint and tags; then the instructions, at most 32 KiB. Whoever " +
			"reads it is to decide what it may do: with allowed-tools, model, hooks or anything else there it is refused.\n\n" + about + "\n\n" + forHumans,
		Example: "claudemesh skill publish deploy/SKILL.md\nclaudemesh skill publish --mesh team - < review.md",
		Args:    shell.Exactly("the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := read(a, args[0])
			if err != nil {
				return err
			}
			if err := parse(text, &req); err != nil {
				return err
			}
			return runPublish(cmd.Context(), a, req)
		},
	}, &req.Mesh, "in this mesh")
}

func runPublish(ctx context.Context, a *shell.App, req localapi.SkillPublishRequest) error {
	answer, err := shell.Call(ctx, a, localapi.SkillPublish, shell.CallTime, req)
	if err != nil {
		return err
	}
	k := answer.Skill
	a.Warn("the broker's operator can read skills")
	return a.Print(skillView{shell.NewHeader(), k}, func(s term.Stream) {
		s.OK("published "+term.Clean(k.Name), k.Mesh)
		s.Hint("others are offered it when they have said yes: claudemesh skill accept " + term.Clean(k.Name))
	})
}

// maxFile is more than a skill can have.
const maxFile = 256 << 10

// read reads a file, or standard input.
func read(a *shell.App, name string) (string, error) {
	in := a.Sys.Stdin
	if name != "-" {
		file, err := openFile(name)
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the skill: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the skill: %w", err)
	}
	if len(data) > maxFile {
		return "", mesh.Errorf(mesh.PayloadTooLarge, "the file is over %d bytes", maxFile).With(mesh.Details{LimitBytes: maxFile})
	}
	return string(data), nil
}
