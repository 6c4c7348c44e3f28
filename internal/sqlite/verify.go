package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// Rule is what must hold in a file beyond its structure. Count is a query that gives the number of rows that break it.
type Rule struct {
	Broken string // what is wrong with such a row
	Count  string
}

// maxFaults bounds what Verify lists of one kind.
const maxFaults = 20

// Verify reads the whole file at path, also while another process writes it, and lists what is wrong in it: its structure,
// rows without the row they belong to, broken rules. Nothing of it is changed. The rules are asked of a file with the newest
// schema only. It fails as Open does with what it does not understand.
func Verify(ctx context.Context, path string, opt Options, rules []Rule) ([]string, error) {
	set, err := readMigrations(opt.Migrations)
	if err == nil {
		err = present(path)
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", path, err)
	}
	faults, err := verify(ctx, path, plan{set, opt.Adopt != nil, rules})
	if err = named(err); errors.Is(err, ErrCorrupt) {
		return append(faults, err.Error()), nil
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", path, err)
	}
	return faults, nil
}

// plan is what a file is checked against.
type plan struct {
	set    []migration
	adopts bool
	rules  []Rule
}

func verify(ctx context.Context, path string, p plan) (faults []string, err error) {
	c, err := connect(ctx, dsn(path, readOnly, defaultBusyTimeout))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.exec(ctx, "BEGIN"); err != nil { // one snapshot
		return nil, err
	}
	found, err := readHistory(ctx, c)
	if err == nil {
		err = found.judge(p.set, p.adopts)
	}
	if err != nil {
		return nil, err
	}
	if err := integrity(ctx, c); err != nil {
		return nil, err
	}
	if faults, err = strays(ctx, c); err != nil || len(found.sums) != len(p.set) {
		return faults, err
	}
	for _, r := range p.rules {
		n, err := c.number(ctx, r.Count)
		if err != nil {
			return faults, err
		}
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%d: %s", n, r.Broken))
		}
	}
	return faults, nil
}

// integrity reads everything and reports damage, also of indexes and constraints.
func integrity(ctx context.Context, c *conn) error {
	var found []string
	err := c.query(ctx, fmt.Sprintf("PRAGMA integrity_check(%d)", maxFaults), func(vals []driver.Value) error {
		found = append(found, fmt.Sprint(vals[0]))
		return nil
	})
	if err != nil || len(found) == 1 && found[0] == "ok" {
		return err
	}
	return fmt.Errorf("%w: %s", ErrCorrupt, strings.Join(found, "; "))
}

// strays lists the tables with rows that belong to rows that are not there.
func strays(ctx context.Context, c *conn) ([]string, error) {
	type pair struct{ child, parent any }
	counts, order := map[pair]int{}, []pair{}
	err := c.query(ctx, "PRAGMA foreign_key_check", func(v []driver.Value) error {
		p := pair{v[0], v[2]}
		if counts[p]++; counts[p] == 1 {
			order = append(order, p)
		}
		return nil
	})
	var faults []string
	for _, p := range order {
		faults = append(faults, fmt.Sprintf("%d: row of %v without its %v", counts[p], p.child, p.parent))
	}
	return faults, err
}
