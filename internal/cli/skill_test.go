package cli

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestSkillIsShort keeps the core to what a session can afford to read: a thousand words, and 1,500 tokens at four bytes
// each.
func TestSkillIsShort(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	core := skillFiles(root)[skillFile]
	if n := len(strings.Fields(core)); n >= 1000 {
		t.Errorf("the core has %d words, want under 1000", n)
	}
	if n := len(core) / 4; n > 1500 {
		t.Errorf("the core has about %d tokens, want at most 1500", n)
	}
	for _, want := range []string{"## Wizard-free spawn templates", "## The daemon", "information", "| Position |", "skill <topic>", "- messages: `send`"} {
		if !strings.Contains(core, want) {
			t.Errorf("the core lacks %q", want)
		}
	}
	if strings.Contains(core, "{{") {
		t.Error("the core has a place that was not filled")
	}
}

// TestSkillNamesVerbsThatAre holds that every command in the skill is one of this version, with its flags.
func TestSkillNamesVerbsThatAre(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	commands := 0
	for name, text := range skillFiles(root) {
		code := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				code = line == "```sh"
				continue
			}
			words := strings.Fields(strings.ReplaceAll(line, `"`, ""))
			if !code || len(words) < 2 || words[0] != "claudemesh" {
				continue
			}
			words, _, _ = cutAt(words[1:], "#", "<", "|")
			if shell.IsInvite(strings.Trim(words[0], "'")) {
				continue
			}
			cmd, rest, err := root.Find(words)
			if err != nil || !cmd.Runnable() {
				t.Errorf("%s: %q is no verb: %v", name, line, err)
				continue
			}
			commands++
			for _, word := range rest {
				if flag, _, _ := strings.Cut(word, "="); word == "--" {
					break
				} else if strings.HasPrefix(flag, "--") && cmd.Flag(flag[2:]) == nil {
					t.Errorf("%s: %q has no flag %s", name, line, flag)
				}
			}
		}
	}
	if commands < 40 {
		t.Errorf("only %d commands were looked at", commands)
	}
}

// TestSkillHasEveryPositionOfLaunch holds the recipe for the user's terminal to the flags that launch has: all of them are
// there, and no other one, but for those of the host behind the dashes.
func TestSkillHasEveryPositionOfLaunch(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	launch, _, err := root.Find([]string{"launch"})
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, found := strings.Cut(skillFiles(root)[skillFile], "## Wizard-free spawn templates\n")
	recipe, _, ends := strings.Cut(recipe, "\n## ")
	if !found || !ends {
		t.Fatal("the core has no recipe")
	}
	for _, name := range flagNames(launch) {
		if name != "help" && !strings.Contains(recipe, "--"+name) {
			t.Errorf("the recipe does not say what --%s is for", name)
		}
	}
	for _, word := range strings.FieldsFunc(recipe, func(r rune) bool { return strings.ContainsRune(" `\n|", r) }) {
		flag, ok := strings.CutPrefix(word, "--")
		if ok && flag != "" && flag != "-" && flag != "model" && strings.Trim(flag, "-") != "" && launch.Flag(flag) == nil {
			t.Errorf("the recipe has --%s, which launch does not", flag)
		}
	}
}

// TestSkillOrdersNothingOfOthers holds the texts for models to what they are to say of messages: none tells a session to do
// what others write, or to answer at once.
func TestSkillOrdersNothingOfOthers(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	for name, text := range skillFiles(root) {
		for _, order := range []string{"immediately", "right away", "at once and", "obey", "you must answer", "stop working", "pause your", "always reply", "urgent"} {
			if strings.Contains(strings.ToLower(text), order) {
				t.Errorf("%s says %q", name, order)
			}
		}
	}
}

// cutAt gives the words before the first that is one of these.
func cutAt(words []string, ends ...string) (before, after []string, found bool) {
	for i, word := range words {
		for _, end := range ends {
			if word == end {
				return words[:i], words[i:], true
			}
		}
	}
	return words, nil, false
}

func TestSkillTopics(t *testing.T) {
	t.Parallel()
	for _, topic := range skillTopics() {
		if r := withDaemon(t).Run("skill", topic); r.Exit != mesh.ExitOK || !strings.HasPrefix(r.Out, "# claudemesh: ") {
			t.Errorf("skill %s: exit %d, %.80q", topic, r.Exit, r.Out)
		}
	}
	if r := withDaemon(t).Run("skill", "SKILL"); r.Exit != mesh.ExitNotFound || !strings.Contains(r.Err, "messages") {
		t.Errorf("an unknown topic: exit %d, %q", r.Exit, r.Err)
	}
	if r := withDaemon(t).Run("skill", "--json=name"); !strings.Contains(r.Out, `"SKILL"`) {
		t.Errorf("as JSON: %q", r.Out)
	}
}
