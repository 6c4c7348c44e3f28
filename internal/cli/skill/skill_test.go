package skill_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestSkill(t *testing.T) {
	t.Parallel()
	get := func(change func(*localapi.Skill)) func(*clitest.World) {
		k := clitest.Skill()
		change(&k)
		return clitest.Answer(localapi.SkillGet.Route, localapi.SkillAnswer{Skill: k})
	}
	evil := get(func(k *localapi.Skill) {
		k.Verified, k.AuthorBefore, k.Problem = false, clitest.Key("0b0b"), "its signature is not that of its publisher"
		k.Description, k.Instructions = "x\x1b[2J\nstate  accepted", new("\x1b[1A\x1b[2Kproof  signed\u202e\n---")
	})
	file := func(text string) func(*clitest.World) { return func(w *clitest.World) { w.Stdin = text } }
	clitest.Verbs(t, cli.Run, "skill", []clitest.Line{
		{Args: "skill list"},
		{Args: "skill list dep --mesh team --json"},
		{Args: "skill list", Given: clitest.Answer(localapi.Skills.Route, localapi.SkillsAnswer{Skills: []localapi.Skill{}})},
		{Args: "skill list a b"},
		{Args: "skill get deploy"},
		{Args: "skill get deploy --json"},
		{Args: "skill get deploy", Given: evil},
		{Args: "skill get deploy", Given: get(func(k *localapi.Skill) { k.Instructions, k.Description, k.WhenToUse, k.Tags = nil, "", "", []string{} })},
		{Args: "skill get none", Given: clitest.Answer(localapi.SkillGet.Route, mesh.Errorf(mesh.SkillNotFound, "there is no skill %q", "none"))},
		{Args: "skill accept deploy"},
		{Args: "skill accept deploy --yes"},
		{Args: "skill accept deploy --yes", Given: clitest.Answer(localapi.Skills.Route, localapi.SkillsAnswer{Skills: []localapi.Skill{
			clitest.Skill(), {Name: "deploy", Mesh: "research"},
		}})},
		{Args: "skill accept deploy --yes", Given: clitest.Answer(localapi.SkillAccept.Route, mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session"))},
		{Args: "skill reject deploy --json"},
		{Args: "skill remove deploy"},
		{Args: "skill remove deploy --yes --json"},
		{Args: "skill publish -", Given: file("---\nname: deploy\ndescription: How we deploy\n---\n\n1. Run it.\n")},
		{Args: "skill publish - --json", Given: file("---\nname: deploy\ndescription: How we deploy\n---\nx")},
		{Args: "skill publish -", Given: file("---\nname: deploy\nallowed-tools: Bash\n---\nx")},
		{Args: "skill publish -", Given: file("no front matter")},
		{Args: "skill publish nowhere.md"},
		{Args: "skill publish -", Given: func(w *clitest.World) {
			file("---\nname: deploy\ndescription: d\n---\nx")(w)
			clitest.Answer(localapi.SkillPublish.Route, mesh.Errorf(mesh.SkillTaken, "this name belongs to the member that published it first"))(w)
		}},
	})
}
