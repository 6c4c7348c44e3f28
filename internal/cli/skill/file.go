package skill

import (
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

func openFile(name string) (*os.File, error) { return os.Open(name) }

// fence stands before and after what is said of a skill.
const fence = "---"

// parse reads a skill file: `key: value` lines between two fences, then the instructions. Values are plain, or quoted as in
// JSON; tags are separated by commas, with or without brackets. More of YAML is not understood, and refused.
func parse(text string, req *localapi.SkillPublishRequest) error {
	if !utf8.ValidString(text) {
		return mesh.Errorf(mesh.BadRequest, "the skill is not valid UTF-8")
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	rest, ok := strings.CutPrefix(text, fence+"\n")
	head, body, closed := strings.Cut("\n"+rest, "\n"+fence+"\n")
	if !ok || !closed {
		return mesh.Errorf(mesh.BadRequest, "the skill does not begin with what is said of it, between two lines of %s", fence)
	}
	seen := []string{}
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); !ok || slices.Contains(seen, key) {
			return mesh.Errorf(mesh.BadRequest, "%.60q is no line `key: value`, or stands there twice", line)
		}
		seen = append(seen, key)
		if err := set(req, key, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	req.Instructions = strings.TrimLeft(body, "\n")
	return nil
}

// set takes one line over. What would give a skill rights, and what is unknown, is refused.
func set(req *localapi.SkillPublishRequest, key, value string) error {
	into := map[string]*string{
		"name": &req.Name, "description": &req.Description, "when_to_use": &req.WhenToUse, "when-to-use": &req.WhenToUse,
		"argument-hint": &req.ArgumentHint,
	}[key]
	switch {
	case key == "tags":
		for tag := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(value, "["), "]"), ",") {
			text, err := scalar(key, strings.TrimSpace(tag))
			if err != nil {
				return err
			}
			if text != "" {
				req.Tags = append(req.Tags, text)
			}
		}
		return nil
	case into == nil:
		return mesh.Errorf(mesh.BadRequest, "a published skill says nothing of %.40q: its reader decides that; it has name, description, when_to_use, argument-hint and tags", key)
	}
	text, err := scalar(key, value)
	*into = text
	return err
}

// scalar reads one value.
func scalar(key, value string) (string, error) {
	switch {
	case strings.HasPrefix(value, `"`):
		var text string
		if err := wire.Decode([]byte(value), &text); err != nil {
			return "", mesh.Errorf(mesh.BadRequest, "the value of %s is not closed, or has an escape that is none", key)
		}
		return text, nil
	case strings.HasPrefix(value, "'"):
		inner := strings.TrimPrefix(value, "'")
		text, ok := strings.CutSuffix(inner, "'")
		if !ok {
			return "", mesh.Errorf(mesh.BadRequest, "the value of %s is not closed", key)
		}
		return strings.ReplaceAll(text, "''", "'"), nil
	case value != "" && strings.ContainsAny(value[:1], "|>[{&*!%@`"):
		return "", mesh.Errorf(mesh.BadRequest, "the value of %s is not on its line: put it in quotes", key)
	}
	return value, nil
}
