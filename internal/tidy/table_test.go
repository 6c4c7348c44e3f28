package tidy

// module is the path before every package of ours.
const module = "github.com/claudemesh/claudemesh/"

// The limits. Tests keep them as well, but in a test function the lines of tables and texts do not count.
const (
	maxFileLines     = 500
	maxFunctionLines = 70
	maxNesting       = 4
	maxParameters    = 5
	maxFields        = 15
	maxMethods       = 25
	maxPackageLines  = 4000
)

// exceptions are findings that stand. Each says why; one that matches nothing any more fails.
var exceptions = []exception{
	{"parameters", "internal/rig/disk/vfs.go", "", "SQLite calls its functions with that many"},
}

// exception names a finding by its rule, its file (or folder) and its name; an empty name matches all.
type exception struct{ rule, file, name, reason string }

// fieldsFree are the packages whose structs are declarations or rows (design A2), and have as many fields as
// what they describe. So are structs called …Row, and those in which every field has a tag.
var fieldsFree = []string{"protocol", "localapi", "config", "broker/store"}

// ranks says who may import whom: a package imports lower ranks only, and its own parents and children. "/..."
// means the package and all below it; the longest entry that matches counts. Paths are below internal/, but cmd.
var ranks = [][]string{
	0: {"mesh", "logkey", "buildinfo"},
	1: {"wire", "seal", "paths", "sqlite", "splice"},
	2: {"protocol", "localapi", "config", "upkeep", "audit", "policy"},
	3: {
		"broker/store/...", "broker/session", "broker/hub", "broker/bus/...",
		"daemon/membership", "daemon/uplink", "daemon/localdb", "daemon/address", "daemon/pathway", "local", "unit", "install", "host/...", "cli/term", "cli/projection", "reference",
	},
	4: {"broker/queue", "broker/presence", "broker/authority", "daemon/outbox", "daemon/inbox", "daemon/enroll", "daemon/registry", "daemon/gate", "daemon/events", "daemon/order", "daemon/trust", "daemon/approval", "cli/shell", "cli/prompt"},
	5: {"broker/...", "daemon/..."},
	6: {"broker", "daemon", "daemon/ipc", "web", "mcp"},
	7: {"cli/...", "demo"},
	8: {"cmd/..."},
}

// neighbours may be imported within one rank: answers of the socket repeat what frames say.
var neighbours = map[string]string{"localapi": "protocol"}

// scaffolding is what only test files import. It may import everything.
var scaffolding = []string{"rig/...", "tidy", "e2e/...", "cli/clitest"}

// vocabularyRank is the highest rank that everybody above it may import.
const vocabularyRank = 2

// narrow are packages that import less than their rank would allow: the vocabulary and these.
var narrow = map[string][]string{
	"cli/...": {"local", "unit", "install", "install", "host/...", "cli/...", "reference"},
	"mcp":     {"local", "host/..."},
	"demo":    {"cli/term", "local"},
}

// sides never meet but in what both know.
var sides = []string{"broker/...", "daemon/..."}

// libraries are heavy, and have the one importer that wraps them; those without are for tests. The scaffolding may
// use all of them.
var libraries = []struct {
	path      string
	importers []string
}{
	{"modernc.org/sqlite", []string{"sqlite"}},
	{"github.com/coder/websocket", []string{"broker", "daemon/uplink"}},
	{"github.com/spf13/cobra", []string{"cli/..."}},
	{"github.com/spf13/pflag", []string{"cli/..."}},
	{"github.com/fsnotify/fsnotify", []string{"daemon/..."}},
	{"rsc.io/qr", []string{"cli/term"}},                     // decision 0009
	{"github.com/tailscale/hujson", []string{"splice"}},     // decision 0014
	{"github.com/pelletier/go-toml/v2", []string{"splice"}}, // decision 0014
	{"github.com/modelcontextprotocol/go-sdk", nil},         // decision 0002
	{"github.com/google/jsonschema-go", nil},                // decision 0001
	{"github.com/prometheus", nil},                          // decision 0001
	{"github.com/google/go-cmp", nil},
	{"go.uber.org/goleak", nil},
	{"pgregory.net/rapid", nil},
	{"github.com/anishathalye/porcupine", nil},
	{"github.com/rogpeppe/go-internal", nil},
}

// blankImports have an effect that cannot be had otherwise: a driver, and permission to embed a file.
var blankImports = map[string][]string{
	"modernc.org/sqlite": {"sqlite"},
	"embed":              {"..."},
}

// packageNames say nothing about what is in the package.
var packageNames = []string{
	"util", "utils", "common", "helper", "helpers", "shared", "type", "types", "model", "models", "base", "core",
	"manager", "managers", "service", "services", "misc", "impl",
}

// calls are functions of the standard library that few may use. An empty list of names means the whole package.
var calls = []struct {
	rule    string
	path    string
	names   []string
	allowed []string // packages
	tests   bool     // tests of other packages may, too
	instead string
}{
	{"clock", "time", []string{"Now", "Since", "Until"}, []string{"cmd/...", "rig/...", "cli/..."}, true, "take a mesh.Clock"},
	{
		"environment", "os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv", "UserHomeDir", "UserConfigDir", "UserCacheDir"},
		[]string{"config", "paths", "cmd/...", "rig/...", "e2e/...", "cli/clitest"}, true, "take it from config.Env or paths.Home",
	},
	{"exit", "os", []string{"Exit"}, []string{"cmd/..."}, true, "return an error"},
	{"signals", "os/signal", nil, []string{"cmd/..."}, true, "end when the context does"},
	{"log", "log/slog", []string{"Default", "SetDefault", "Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "With"}, nil, false, "take a *slog.Logger"},
	{"log", "log", []string{"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"}, nil, false, "take a *slog.Logger"},
}

// commentWords mean that something is not done.
const commentWords = `(?i)\b(todo|fixme|xxx|hack|hacks|hacky|stub|stubs|stubbed|for now|not implemented|unimplemented)\b`

// workplaceWords tell of where and by whom this tree was written, not of the product. The hint, in lower case, is
// what a line has that may match; it saves the slow search in most. Neither is spelt so that it finds itself.
var workplaceWords = []struct{ hint, pattern string }{
	{"/wor", `/[w]ork/`},
	{"/tmp/c", `/[t]mp/cm\b`},
	{"/tmp/b", `/[t]mp/bash_jobs`},
	{"proxy.gol", `\bproxy[.]golang[.]org\b`},
	{"sum.gol", `\bsum[.]golang[.]org\b`},
	{"registry.n", `\bregistry[.]npmjs[.]org\b`},
	{"registry.y", `\bregistry[.]yarnpkg[.]com\b`},
	{"deb.d", `\bdeb[.]debian[.]org\b`},
	{"pypi.", `\bpypi[.]org\b`},
	{"index.crates", `\bindex[.]crates[.]io\b`},
	{"issue", `(?i)\bissues? #?[0-9]+\b`},
	{"issue", `(?i)\bissue #`},
	{"es #", `(?i)\b(fixes|closes|resolves) #[0-9]+`},
	{"helper", `(?i)\bhelper[ -](session|agent)s?\b`},
	{"assistant", `(?i)\bassistant[ -]sessions?\b`},
	{"authored", `(?i)\bco-authored[-]by\b`},
	{"generated", `(?i)\bgenerated (by|with) (an? )?(ai|llm|claude|assistant)\b`},
	{"written", `(?i)\bwritten (by|with) (an? )?(ai|llm|claude|assistant)\b`},
	{"brief", `\bB[R]IEF\b`},
	{"as an", `(?i)\bas an a[i]\b`},
}
