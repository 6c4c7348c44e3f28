package tidy

import (
	"fmt"
	"slices"
	"strings"
)

func importRules() []rule {
	source := func(pkg string, paths ...string) string {
		text := "package " + pkg + "\nimport (\n"
		for _, p := range paths {
			text += fmt.Sprintf("%q\n", p)
		}
		return text + ")\n"
	}
	our := func(pkg string) string { return module + "internal/" + pkg }
	return []rule{
		{
			"ranks", importRanks,
			map[string]string{
				"internal/mesh/a.go":           source("mesh", our("logkey")),
				"internal/wire/a.go":           source("wire", our("seal")),
				"internal/protocol/b.go":       source("protocol", our("localapi")),
				"internal/protocol/a.go":       source("protocol", our("broker/store")),
				"internal/broker/queue/a.go":   source("queue", our("broker/state")),
				"internal/broker/task/a.go":    source("task", our("broker/topic")),
				"internal/daemon/node/a.go":    source("node", our("daemon")),
				"internal/local/a.go":          source("local", our("daemon/outbox")),
				"internal/mcp/a.go":            source("mcp", our("daemon/inbox")),
				"internal/cli/a.go":            source("cli", our("broker/session")),
				"internal/cli/term/a.go":       source("term", our("cli")),
				"internal/cli/message/a.go":    source("message", our("cli/peer")),
				"internal/cli/peer/a.go":       source("peer", our("cli/clitest")),
				"internal/cli/shell/a.go":      source("shell", our("cli/message")),
				"internal/web/a.go":            source("web", module+"cmd/claudemesh"),
				"internal/unheard/a.go":        source("unheard"),
				"internal/broker/a.go":         source("broker", our("rig")),
				"internal/broker/store/x/a.go": source("x", our("nowhere")),
			},
			map[string]string{
				"internal/wire/a.go":               source("wire", "net/http", our("mesh"), "example.com/x"),
				"internal/broker/bus/natsbus/a.go": source("natsbus", our("broker/bus"), our("config")),
				"internal/broker/task/a.go":        source("task", our("broker/queue"), our("protocol")),
				"internal/localapi/a.go":           source("localapi", our("protocol"), our("wire")),
				"internal/cli/a.go":                source("cli", our("cli/term"), our("local"), our("config"), our("host/claude")),
				"internal/cli/message/a.go":        source("message", our("cli/shell"), our("cli/term"), our("local")),
				"internal/cli/message/a_test.go":   source("message_test", our("cli"), our("cli/clitest")),
				"internal/mcp/a.go":                source("mcp", our("local"), our("localapi")),
				"internal/broker/a_test.go":        source("broker", our("rig")),
				"internal/rig/a.go":                source("rig", our("broker"), our("daemon"), our("rig/net")),
				"cmd/claudemesh/main.go":           source("main", our("cli"), our("broker"), our("daemon")),
			},
		},
		{
			"sides", importSides,
			map[string]string{
				"internal/broker/a.go":             source("broker", our("daemon/uplink")),
				"internal/daemon/ipc/a.go":         source("ipc", our("broker/store")),
				"internal/daemon/uplink/a_test.go": source("uplink", our("broker")),
			},
			map[string]string{
				"internal/broker/a.go": source("broker", our("broker/hub")), "internal/daemon/a_test.go": source("daemon", our("rig")),
				"internal/rig/a.go": source("rig", our("broker"), our("daemon")),
			},
		},
		{
			"libraries", importLibraries,
			map[string]string{
				"internal/broker/store/a.go": source("store", "modernc.org/sqlite/lib"),
				"internal/local/a.go":        source("local", "github.com/coder/websocket"),
				"internal/cli/a_test.go":     source("cli", "github.com/coder/websocket"),
				"internal/mcp/a.go":          source("mcp", "github.com/modelcontextprotocol/go-sdk/mcp"),
				"internal/mesh/a.go":         source("mesh", "github.com/google/go-cmp/cmp"),
				"internal/logkey/a.go":       source("logkey", "example.com/any"),
			},
			map[string]string{
				"internal/sqlite/a.go":   source("sqlite", "modernc.org/sqlite", "modernc.org/sqlite/lib"),
				"internal/cli/root/a.go": source("root", "github.com/spf13/cobra"),
				"internal/rig/a.go":      source("rig", "github.com/coder/websocket"), "internal/mesh/a_test.go": source("mesh", "github.com/google/go-cmp/cmp"),
				"internal/wire/a.go": source("wire", "example.com/any"),
			},
		},
		{
			"blank imports", importBlanks,
			map[string]string{
				"internal/broker/a.go": "package broker\nimport _ \"modernc.org/sqlite\"",
				"internal/web/a.go":    "package web\nimport _ \"net/http/pprof\"",
			},
			map[string]string{
				"internal/sqlite/a.go":       "package sqlite\nimport _ \"modernc.org/sqlite\"",
				"internal/broker/store/a.go": "package store\nimport _ \"embed\"",
			},
		},
	}
}

// eachImport calls visit with every import of files.
func eachImport(files []*file, visit func(f *file, i imported)) {
	for _, f := range files {
		for _, i := range f.imports() {
			visit(f, i)
		}
	}
}

// ours is the package of an import as the tables write it; false for the packages of others.
func (i imported) ours() (string, bool) {
	pkg, ok := strings.CutPrefix(i.path, module)
	return strings.TrimPrefix(pkg, "internal/"), ok
}

// rankOf finds the longest entry of the table that matches. Scaffolding ranks above everything; -1 is unknown.
func rankOf(pkg string) int {
	rank, longest := -1, 0
	for r, patterns := range append(slices.Clone(ranks), scaffolding) {
		for _, pattern := range patterns {
			if weight := len(strings.TrimSuffix(pattern, "/...")); under(pkg, pattern) && (weight > longest || pattern == pkg) {
				rank, longest = r, weight
			}
		}
	}
	return rank
}

func importRanks(t *tree) (found []finding) {
	for _, f := range t.product() {
		if rankOf(f.pkg()) < 0 {
			found = append(found, finding{file: f.dir(), text: "the package has no rank: add it to the table"})
		}
	}
	eachImport(t.product(), func(f *file, i imported) {
		to, ok := i.ours()
		if !ok {
			return
		}
		if fault := importFault(f.pkg(), to); fault != "" {
			found = append(found, finding{f.path, t.line(i.pos), to, fmt.Sprintf("%s imports %s: %s", f.pkg(), to, fault)})
		}
	})
	return found
}

// importFault says why a package may not import another; empty means that it may.
func importFault(from, to string) string {
	rank, above := rankOf(to), rankOf(from)
	near := under(from, to+"/...") || under(to, from+"/...") || neighbours[from] == to
	switch {
	case rank < 0:
		return "it has no rank"
	case underAny(from, scaffolding):
		return ""
	case underAny(to, scaffolding):
		return "it is for test files only"
	case rank > above || rank == above && !near:
		return fmt.Sprintf("rank %d may not import rank %d", above, rank)
	}
	for pattern, allowed := range narrow {
		if under(from, pattern) && rank > vocabularyRank && !underAny(to, allowed) {
			return "it may import only " + strings.Join(allowed, ", ") + " and the vocabulary"
		}
	}
	return ""
}

func importSides(t *tree) (found []finding) {
	eachImport(t.code(), func(f *file, i imported) {
		to, _ := i.ours()
		from := slices.IndexFunc(sides, func(side string) bool { return under(f.pkg(), side) })
		met := slices.IndexFunc(sides, func(side string) bool { return under(to, side) })
		if from >= 0 && met >= 0 && from != met {
			found = append(found, finding{f.path, t.line(i.pos), to, f.pkg() + " imports " + to + ": the two sides meet on the wire only"})
		}
	})
	return found
}

// importLibraries keeps each heavy library to its importer, libraries for tests to tests, and rank 0 to the standard
// library.
func importLibraries(t *tree) (found []finding) {
	eachImport(t.code(), func(f *file, i imported) {
		if _, our := i.ours(); our || underAny(f.pkg(), scaffolding) || !strings.Contains(strings.Split(i.path, "/")[0], ".") {
			return
		}
		fault := ""
		for _, library := range libraries {
			if !under(i.path, library.path+"/...") || underAny(f.pkg(), library.importers) || library.importers == nil && f.isTest() {
				continue
			}
			fault = "its importers are " + strings.Join(library.importers, ", ")
			if library.importers == nil {
				fault = "it is for tests"
			}
		}
		if fault == "" && rankOf(f.pkg()) == 0 && !f.isTest() {
			fault = "rank 0 has the standard library only"
		}
		if fault != "" {
			found = append(found, finding{f.path, t.line(i.pos), i.path, f.pkg() + " imports " + i.path + ": " + fault})
		}
	})
	return found
}

func importBlanks(t *tree) (found []finding) {
	eachImport(t.code(), func(f *file, i imported) {
		if i.name == "_" && !underAny(f.pkg(), blankImports[i.path]) {
			found = append(found, finding{f.path, t.line(i.pos), i.path, "a blank import of " + i.path + " has effects that nobody called for"})
		}
	})
	return found
}
