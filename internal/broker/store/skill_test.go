package store

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// What a member published is gone with its membership, and its names stay its own.
func TestSkillsOfWhoLeft(t *testing.T) {
	t.Parallel()
	db := openFirst(t)
	names := func(tx *sqlite.Tx) (all []string) {
		if err := EachSkill(tx, "m1", func(s Skill) bool { all = append(all, s.Name); return true }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	must(t, db, func(tx *sqlite.Tx) error {
		for _, s := range []Skill{{Name: "b", AuthorKey: key("ben")}, {Name: "a", AuthorKey: key("ada")}, {Name: "c", AuthorKey: key("ben")}} {
			s.Mesh, s.Instructions, s.UpdatedAt = "m1", "x", time.UnixMilli(3000)
			if err := PutSkill(tx, s); err != nil {
				return err
			}
		}
		if got := names(tx); len(got) != 3 || got[0] != "a" {
			t.Errorf("got %v, want three by name", got)
		}
		if err := RemoveSkill(tx, "m1", "c", time.UnixMilli(4000)); err != nil {
			return err
		}
		_, err := RevokeMember(tx, "ben", time.UnixMilli(5000))
		return err
	})
	must(t, db, func(tx *sqlite.Tx) error {
		if got := names(tx); len(got) != 1 || got[0] != "a" {
			t.Errorf("after ben left: got %v, want ada's", got)
		}
		if n, err := CountSkills(tx, "m1", key("ben")); n != 2 || err != nil {
			t.Errorf("ben has %d names, %v; want 2", n, err)
		}
		s, err := FindSkill(tx, "m1", "b")
		if err != nil || s.Active || s.AuthorKey != key("ben") {
			t.Errorf("got %+v, %v", s, err)
		}
		if _, err := FindSkill(tx, "m1", "none"); !mesh.IsCode(err, mesh.SkillNotFound) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}
