package seal

import (
	"testing"
	"time"
)

// Every field of a skill is part of what its author signed, and none can be moved into another.
func TestSkillIsSignedWhole(t *testing.T) {
	t.Parallel()
	author := NewSecretKey()
	one := Skill{
		MeshID: "m", Author: author.Public(), At: time.UnixMilli(1_700_000_000_000), Name: "deploy", Description: "d", Instructions: "i",
		WhenToUse: "w", ArgumentHint: "a", Tags: []string{"x", "y"},
	}
	sig, err := one.Sign(author)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Verify(sig); err != nil {
		t.Errorf("as it was signed: %v", err)
	}
	for name, change := range map[string]func(*Skill){
		"mesh": func(s *Skill) { s.MeshID = "n" }, "time": func(s *Skill) { s.At = s.At.Add(time.Millisecond) },
		"name": func(s *Skill) { s.Name = "deplo" }, "description": func(s *Skill) { s.Description, s.Instructions = "", "di" },
		"instructions": func(s *Skill) { s.Instructions = "I" }, "when": func(s *Skill) { s.WhenToUse, s.ArgumentHint = "wa", "" },
		"hint": func(s *Skill) { s.ArgumentHint = "" }, "tags": func(s *Skill) { s.Tags = []string{"xy"} },
		"author": func(s *Skill) { s.Author = NewSecretKey().Public() },
	} {
		other := one
		change(&other)
		if other.Verify(sig) == nil {
			t.Errorf("another %s has the same signature", name)
		}
		if same := other.Digest() == one.Digest(); same != (name == "mesh" || name == "time" || name == "author") {
			t.Errorf("another %s: the same digest is %v", name, same)
		}
	}
	if _, err := one.Sign(NewSecretKey()); err == nil {
		t.Error("somebody else signed as the author")
	}
}
