package e2e

import (
	"io"
	"path/filepath"
	"testing"
)

// TestClaudeCodeOffersSkills has the real host call a skill that another member published and its user accepted: its text
// reaches the model.
func TestClaudeCodeOffersSkills(t *testing.T) {
	t.Parallel()
	findClaude(t)
	w := newWorld(t)
	anna, ben := w.pair()
	path := filepath.Join(anna.dir, "SKILL.md")
	write(t, path, "---\nname: deploy\ndescription: How we deploy\n---\nShear the seven sheep.\n")
	anna.must("skill", "publish", path)
	ben.must("skill", "accept", "deploy", "--yes")
	c := ben.openClaude(t, newModel(t, func(string) string { return "" }))
	anna.seesSession("claudemesh-session")
	if _, err := io.WriteString(c.in, `{"type":"user","message":{"role":"user","content":"/mcp__claudemesh__deploy"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	ben.eventually("the skill reaches the model", func() bool { return c.model.seen("seven sheep") > 0 })
}
