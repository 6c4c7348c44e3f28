package splice

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// SetTOML puts a table with these lines of `key = value` into a TOML text, behind all others, or in the place of the one
// that is there. A table that is there and means the same stays as it is written.
func SetTOML(text []byte, lines string, table ...string) ([]byte, error) {
	all, err := readTOML(text)
	if err != nil {
		return nil, err
	}
	var want map[string]any
	if err := toml.Unmarshal([]byte(lines), &want); err != nil {
		return nil, fmt.Errorf("read the new table: %w", err)
	}
	if is, _ := lookup(all, table); reflect.DeepEqual(is, any(want)) {
		return text, nil
	}
	rest, err := DeleteTOML(text, table...)
	if err != nil {
		return nil, err
	}
	eol := lineEnd(text)
	block := "[" + strings.Join(table, ".") + "]" + eol + strings.ReplaceAll(lines, "\n", eol)
	var before string
	switch {
	case len(rest) == 0:
	case bytes.HasSuffix(rest, []byte("\n")):
		before = eol
	default:
		before = eol + eol
	}
	set := append(slices.Clone(rest), before+block...)
	return set, checkTOML(text, set, want, table)
}

// DeleteTOML takes out a table and those within it, with the empty line before it; a text without it comes back as it is.
func DeleteTOML(text []byte, table ...string) ([]byte, error) {
	if _, err := readTOML(text); err != nil {
		return nil, err
	}
	var cuts []cut
	heads := headers(text)
	for i, h := range heads {
		if len(h.key) < len(table) || !slices.Equal(h.key[:len(table)], table) {
			continue
		}
		end := len(text)
		if i+1 < len(heads) {
			end = beforeComments(text, h.start, heads[i+1].start)
		}
		start := h.start
		if n := len(bytes.TrimRight(text[:start], "\r\n")); n < start && n > 0 { // one empty line went in with it
			empty := bytes.LastIndexByte(bytes.TrimSuffix(text[:start], []byte("\n")), '\n') + 1
			if len(bytes.Trim(text[empty:start], blanks)) == 0 {
				start = empty
			}
		}
		cuts = append(cuts, cut{start, end, ""})
	}
	if len(cuts) == 0 {
		return text, nil
	}
	left := apply(text, cuts...)
	return left, checkTOML(text, left, nil, table)
}

// header is the first line of a table.
type header struct {
	start int // of its line
	key   []string
}

func headers(text []byte) (all []header) {
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		h := header{start: -1}
		for keys := e.Key(); keys.Next(); {
			k := keys.Node()
			if h.start < 0 {
				h.start = bytes.LastIndexByte(text[:k.Raw.Offset], '\n') + 1
			}
			h.key = append(h.key, string(k.Data))
		}
		all = append(all, h)
	}
	return all
}

// beforeComments goes back from the line at to over the comments and empty lines before it.
func beforeComments(text []byte, from, to int) int {
	for to > from {
		line := bytes.LastIndexByte(text[:to-1], '\n') + 1
		if s := bytes.Trim(text[line:to], blanks); line <= from || len(s) > 0 && s[0] != '#' {
			break
		}
		to = line
	}
	return to
}

func readTOML(text []byte) (map[string]any, error) {
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read TOML: %w", err)
	}
	return all, nil
}

// lookup finds a table; the parent is nil where there is none.
func lookup(all map[string]any, table []string) (value any, parent map[string]any) {
	for _, name := range table[:len(table)-1] {
		all, _ = all[name].(map[string]any)
	}
	return all[table[len(table)-1]], all
}

// checkTOML holds that a change did what it should, and nothing else: tables can be written in ways that a change of lines
// does not reach.
func checkTOML(before, after []byte, want map[string]any, table []string) error {
	old, err := readTOML(before)
	if err != nil {
		return err
	}
	now, err := readTOML(after)
	if err != nil {
		return fmt.Errorf("%w: %s is written in another way: %w", ErrShape, strings.Join(table, "."), err)
	}
	is, _ := lookup(now, table)
	if want == nil && is != nil || want != nil && !reflect.DeepEqual(is, any(want)) {
		return fmt.Errorf("%w: %s is written in another way", ErrShape, strings.Join(table, "."))
	}
	for _, all := range []map[string]any{old, now} {
		prune(all, table)
	}
	if !reflect.DeepEqual(old, now) {
		return fmt.Errorf("%w: the change would reach more than %s", ErrShape, strings.Join(table, "."))
	}
	return nil
}

// prune takes a table out, and those around it that are empty then.
func prune(all map[string]any, table []string) {
	if len(table) > 1 {
		inner, ok := all[table[0]].(map[string]any)
		if !ok {
			return
		}
		if prune(inner, table[1:]); len(inner) > 0 {
			return
		}
	}
	delete(all, table[0])
}
