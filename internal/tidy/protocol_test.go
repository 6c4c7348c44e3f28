package tidy

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// protocolRows is the list of what the other system shows on the wire, and what proves that we keep it.
const protocolRows = "internal/tidy/testdata/wire.txt"

// protocolRow is a line of it.
type protocolRow struct {
	line        int
	id          string
	generations []string
	proof       string   // seen, test, later or differs
	words       []string // what the proof names
}

// conversation is an archive of frames whose header claims rows.
type conversation struct {
	path        string
	generations []string
	covers      []string
	lines       []string // frames and closes
}

func protocolRules() []rule {
	file := "internal/broker/testdata/x.txtar"
	table := func(line string) map[string]string {
		return map[string]string{
			protocolRows: "# A comment.\n\n" + line + "\n", file: "covers: 1/a\ngenerations: seed\n-- b sends --\n{\"type\":\"send\",\"id\":\"$x\"}\n-- then --\nb closed 1008 gone\n",
			"internal/a/a_test.go": "package a\nfunc TestA(t *testing.T) {}", "internal/protocol/a.go": "package protocol\nvar A = wire.Define(wire.Spec{Type: \"send\"})",
		}
	}
	return []rule{{
		"protocol rows", keepProtocol,
		map[string]string{
			protocolRows: "1/a | seed | seen send | nobody covers it\n",
			file:         "covers: 1/unknown\n-- b sends --\n",
		},
		table("1/a | seed | seen send.id send~$x closed~gone | title"),
	}}
}

// TestProtocolRows gives the rule what breaks it together with what a whole tree has besides.
func TestProtocolRows(t *testing.T) {
	t.Parallel()
	good := protocolRules()[0].good
	tests := []struct{ row, want string }{
		{"1/a | seed | seen send ack | title", "names no ack"},
		{"1/a | seed | seen send.nonce | title", "names no send.nonce"},
		{"1/a | seed | seen ack~$x | title", "names no ack~$x"},
		{"1/a | seed | seen closed~here | title", "names no closed~here"},
		{"1/a | seed later | seen send | title", "no conversation with later"},
		{"1/a | seed | seen | title", "has no proof"},
		{"1/b | seed | hope for it | title", "is no proof"},
		{"1/a | seed | later kick | title", "is not to be seen"},
		{"1/b | seed | later kick send | title", "waits for send, which is declared"},
		{"1/b | seed | test internal/a TestB | title", "no TestB"},
		{"1/b | seed | differs | title", "has no proof"},
		{"1/b | new | later kick | title", "is no generation"},
		{"1/b | seed | later kick", "is no row"},
		{"1/b | seed | later kick | title\n1/b | seed | later kick | title", "stands twice"},
	}
	for _, tc := range tests {
		sources := maps.Clone(good)
		sources[protocolRows] = tc.row + "\n"
		if !strings.HasPrefix(tc.row, "1/a") {
			sources[protocolRows] += "1/a | seed | seen send | title\n"
		}
		found := keepProtocol(plant(sources))
		if len(found) != 1 || !strings.Contains(found[0].text, tc.want) {
			t.Errorf("%q: got %v, want one finding with %q", tc.row, found, tc.want)
		}
	}
}

// keepProtocol finds rows that nothing proves, and claims that are not true.
func keepProtocol(t *tree) (found []finding) {
	rows, found := readProtocolRows(t)
	claims := map[string][]conversation{}
	for _, c := range readConversations(t) {
		for _, id := range c.covers {
			claims[id] = append(claims[id], c)
			if i := slices.IndexFunc(rows, func(r protocolRow) bool { return r.id == id }); i < 0 {
				found = append(found, finding{c.path, 0, id, fmt.Sprintf("covers %s, which is no row of %s", id, protocolRows)})
			}
		}
	}
	for _, r := range rows {
		for _, text := range r.judge(t, claims[r.id]) {
			found = append(found, finding{protocolRows, r.line, r.id, r.id + " " + text})
		}
	}
	return found
}

// judge says what is wrong with a row.
func (r protocolRow) judge(t *tree, claims []conversation) []string {
	switch {
	case len(r.words) == 0:
		return []string{"has no proof"}
	case r.proof == "seen":
		return r.judgeSeen(claims)
	case len(claims) > 0:
		return []string{"is not to be seen in conversations, and " + claims[0].path + " covers it"}
	case r.proof == "differs":
		return nil
	case r.proof == "later":
		return waitsInVain(t, r.words)
	case r.proof == "test" && len(r.words) == 2:
		if hasTest(t, r.words[0], r.words[1]) {
			return nil
		}
		return []string{"has no " + r.words[1] + " in " + r.words[0]}
	}
	return []string{fmt.Sprintf("%q is no proof", r.proof+" "+strings.Join(r.words, " "))}
}

// waitsInVain complains of each frame type that something waits for though it is declared.
func waitsInVain(t *tree, types []string) (complaints []string) {
	for _, typ := range types {
		if declared(t)[typ] {
			complaints = append(complaints, "waits for "+typ+", which is declared")
		}
	}
	return complaints
}

var frameType = regexp.MustCompile(`\bType:\s*"(\w+)"`)

// declared is the types of the frames of package protocol.
func declared(t *tree) map[string]bool {
	types := map[string]bool{}
	for _, f := range t.product() {
		if f.pkg() != "protocol" {
			continue
		}
		for _, m := range frameType.FindAllStringSubmatch(f.text, -1) {
			types[m[1]] = true
		}
	}
	return types
}

func (r protocolRow) judgeSeen(claims []conversation) (complaints []string) {
	for _, g := range r.generations {
		if !slices.ContainsFunc(claims, func(c conversation) bool { return slices.Contains(c.generations, g) }) {
			complaints = append(complaints, "is covered by no conversation with "+g)
		}
	}
	for _, c := range claims {
		for _, mark := range r.words {
			if !slices.ContainsFunc(c.lines, func(line string) bool { return marked(line, mark) }) {
				complaints = append(complaints, c.path+" names no "+mark)
			}
		}
	}
	return complaints
}

// marked reports whether a line is what a mark names: type, type.field or type~text of a frame, or closed~text.
func marked(line, mark string) bool {
	typ, text, _ := strings.Cut(mark, "~")
	typ, field, isField := strings.Cut(typ, ".")
	_, frame, isFrame := strings.Cut(line, "{")
	if !isFrame {
		return typ == "closed" && strings.Contains(line, " closed ") && strings.Contains(line, text)
	}
	return strings.HasPrefix(frame, `"type":"`+typ+`"`) && strings.Contains(line, text) && (!isField || strings.Contains(line, `"`+field+`":`))
}

// readProtocolRows reads the list; the findings are about lines that are none.
func readProtocolRows(t *tree) (rows []protocolRow, found []finding) {
	for _, f := range t.files {
		if f.path != protocolRows {
			continue
		}
		ids := map[string]bool{}
		for i, line := range strings.Split(f.text, "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			wrong := func(text string) { found = append(found, finding{f.path, i + 1, line, text}) }
			parts := strings.Split(line, " | ")
			if len(parts) != 4 {
				wrong("the line is no row")
				continue
			}
			proof := strings.Fields(parts[2])
			r := protocolRow{line: i + 1, id: parts[0], generations: strings.Fields(parts[1]), proof: proof[0], words: proof[1:]}
			for _, g := range r.generations {
				if g != "seed" && g != "later" {
					wrong(g + " is no generation")
				}
			}
			if ids[r.id] {
				wrong(r.id + " stands twice")
				continue
			}
			ids[r.id] = true
			rows = append(rows, r)
		}
	}
	return rows, found
}

// readConversations reads those that are held with our broker, and those that are held with our daemon.
func readConversations(t *tree) (all []conversation) {
	for _, f := range t.files {
		if path.Ext(f.path) != ".txtar" || f.dir() != "internal/broker/testdata" && f.dir() != "internal/rig/testdata" {
			continue
		}
		c := conversation{path: f.path, generations: []string{"seed", "later"}}
		header, body, _ := strings.Cut(f.text, "\n-- ")
		for line := range strings.Lines(header) {
			if list, ok := strings.CutPrefix(line, "covers:"); ok {
				c.covers = append(c.covers, strings.Fields(list)...)
			}
			if list, ok := strings.CutPrefix(line, "generations:"); ok {
				c.generations = strings.Fields(list)
			}
		}
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, "-- ") {
				c.lines = append(c.lines, line)
			}
		}
		all = append(all, c)
	}
	return all
}
