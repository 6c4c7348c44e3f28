package skill

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestSkillFile reads files as people write them.
func TestSkillFile(t *testing.T) {
	t.Parallel()
	var got localapi.SkillPublishRequest
	err := parse("\ufeff---\r\nname: 'it''s'\r\n# a comment\r\n\r\ndescription: \"two\\nlines: \\\"x\\\"\"\r\nwhen_to_use: plain: with colon\r\n"+
		"argument-hint: <v>\r\ntags: [ops, \"ci\", 'x', ]\r\n---\r\n\r\n# Title\r\n\r\n---\r\nbody\r\n", &got)
	want := localapi.SkillPublishRequest{
		Name: "it's", Description: "two\nlines: \"x\"", WhenToUse: "plain: with colon", ArgumentHint: "<v>", Tags: []string{"ops", "ci", "x"},
		Instructions: "# Title\n\n---\nbody\n",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestSkillFileGivesNoRights refuses what a publisher has no say in, and what would be read as something else.
func TestSkillFileGivesNoRights(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"allowed-tools: Bash", "allowed_tools: [Bash]", "disallowed-tools: Read", "model: opus", "hooks: x", "context: fork", "agent: x", "Name: x", "name: |",
		"description: >", "name: {a: b}", "metadata:", "name x", "description: \"x", "description: 'x", "name: a\nname: b", "tags: [{a}]", "allowed-tools : Bash",
	} {
		var req localapi.SkillPublishRequest
		if err := parse("---\n"+head+"\n---\nx", &req); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%q: got %v, want it refused", head, err)
		}
	}
	for _, text := range []string{"", "x", "---\nname: x\n", "---\nname: x\n----\nx", " ---\nname: x\n---\nx", "---\nname: \xff\n---\nx"} {
		var req localapi.SkillPublishRequest
		if err := parse(text, &req); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%q: got %v, want it refused", text, err)
		}
	}
}
