package hub

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

var update = flag.Bool("update", false, "write what the hub does into the scripts")

// TestScripts runs testdata/*.txt: a block is commands, ----, and the effects up to an empty line. Mailboxes are
// written member or member.session, rows by their number, with ! when urgent and ? when without a frame.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got scripts %v, %v; want some", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("the hub does something else (-script +hub); -update writes it down:\n%s", d)
			}
		})
	}
}

// runScript returns the script with the effects that it really has.
func runScript(t *testing.T, text string) string {
	s := &script{t: t, now: time.Unix(0, 0)}
	var out strings.Builder
	inOutput := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case inOutput:
			inOutput = line != ""
			if line == "" {
				out.WriteString("\n")
			}
		case line == "----":
			out.WriteString("----\n" + s.printed())
			inOutput = true
		default:
			out.WriteString(line + "\n")
			if line != "" && line[0] != '#' {
				s.run(strings.Fields(line))
			}
		}
	}
	return out.String()
}

type script struct {
	t   *testing.T
	h   *Hub
	now time.Time
	out []string
}

// printed gives the effects since the last block.
func (s *script) printed() string {
	if len(s.out) == 0 {
		return "-\n"
	}
	text := strings.Join(s.out, "\n") + "\n"
	s.out = nil
	return text
}

func (s *script) run(words []string) {
	verb, args := words[0], words[1:]
	switch verb {
	case "new":
		s.h = New(Options{Lease: 30 * time.Second, Rows: s.number(args, "rows"), Bytes: s.number(args, "bytes"), Held: s.optional(args, "held")})
	case "attach":
		s.effects(s.h.Attach(s.now, s.conn(args)))
	case "detach":
		s.effects(s.h.Detach(s.now, s.connID(args[0])))
	case "closemember":
		s.effects(s.h.Close(s.now, mesh.ID(args[0]), OfMember(mesh.ID(args[1])), mesh.CloseKicked, "kicked"))
	case "insert":
		s.insert(args)
	case "loaded":
		more := args[len(args)-1] == "more"
		if more {
			args = args[:len(args)-1]
		}
		s.effects(s.h.Loaded(s.now, boxOf(args[0]), s.rows(args[1:]), more))
	case "loadfailed":
		s.effects(s.h.LoadFailed(boxOf(args[0])))
	case "ack":
		s.effects(s.h.Ack(s.now, s.connID(args[0]), mesh.ID(value(args, "id")), mesh.ClientID(value(args, "client"))))
	case "written":
		s.effects(s.h.Written(s.now, s.connID(args[0]), s.row(args[1]).N))
	case "settled":
		s.effects(s.h.Settled(boxOf(args[0]), s.row(args[1]).N, !has(args, "failed")))
	case "reread":
		s.effects(s.h.Reread(s.now, OfBoxes(mesh.ID(args[0]))))
	case "withdraw":
		s.effects(s.h.Reread(s.now, OfSender(int64(s.number(args, "sender")))))
	case "status":
		s.effects(s.h.Change(s.now, s.connID(args[0]), func(c *Conn) { c.Status = mesh.Status(args[1]) }))
	default:
		s.look(verb, args)
	}
}

// look runs what only asks, and the clock.
func (s *script) look(verb string, args []string) {
	switch verb {
	case "advance":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		s.effects(s.h.Tick(s.now))
	case "watchers":
		s.out = append(s.out, fmt.Sprint(s.h.Watchers(mesh.ID(args[0]))))
	case "conns":
		for _, c := range s.h.Conns(mesh.ID(args[0])) {
			s.out = append(s.out, fmt.Sprintf("%d %s %s", c.ID, c.Member, c.Status))
		}
	case "known":
		s.out = append(s.out, fmt.Sprintf("%d connections, %d mailboxes, %d bytes held", len(s.h.conns), len(s.h.boxes), s.h.memory.used))
	default:
		s.t.Fatalf("no such command: %s", verb)
	}
}

func (s *script) effects(effects []Effect) {
	for _, e := range effects {
		s.out = append(s.out, printEffect(e))
	}
}

func printEffect(e Effect) string {
	switch e.Kind {
	case Push:
		text := fmt.Sprintf("push %d %s %d", e.Conn, boxName(e.Box), e.Row.N)
		if e.Confirm {
			text += " confirm"
		}
		return text
	case Load:
		text := fmt.Sprintf("load %s after=%d limit=%d", boxName(e.Box), e.Page.After, e.Page.Limit)
		if e.Page.UrgentOnly {
			text += " urgent"
		}
		return text
	case Finish:
		return fmt.Sprintf("finish %s %d %s", boxName(e.Box), e.Row.N, map[Outcome]string{Delivered: "delivered", HandedOver: "handed-over"}[e.Outcome])
	case Close:
		return fmt.Sprintf("close %d %d %s", e.Conn, e.Code, e.Reason)
	}
	return fmt.Sprintf("effect %d", e.Kind)
}

func (s *script) conn(args []string) Conn {
	c := Conn{
		ID: s.connID(args[0]), Mesh: "m", Member: mesh.ID(args[1]), SessionKey: mesh.Key(value(args, "session")),
		SessionID: value(args, "sid"), Role: mesh.PeerRole(value(args, "role")), Lease: has(args, "lease"),
		Receipts: has(args, "receipts"), Go: has(args, "go"), Status: mesh.Status(value(args, "status")),
	}
	if m := value(args, "mesh"); m != "" {
		c.Mesh = mesh.ID(m)
	}
	return c
}

func (s *script) insert(args []string) {
	var rows []Placed
	for _, arg := range args {
		name, row, _ := strings.Cut(arg, "/")
		rows = append(rows, Placed{Box: boxOf(name), Row: s.row(row)})
	}
	s.effects(s.h.Insert(s.now, rows))
}

func (s *script) rows(args []string) []Row {
	var rows []Row
	for _, arg := range args {
		rows = append(rows, s.row(arg))
	}
	return rows
}

// row makes row N with the ids mN and cN and a frame of 100 bytes.
func (s *script) row(text string) Row {
	digits := strings.TrimRight(text, "!?")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		s.t.Fatalf("row %q: %v", text, err)
	}
	r := Row{N: n, ID: mesh.ID("m" + digits), ClientID: mesh.ClientID("c" + digits), Urgent: strings.Contains(text, "!")}
	r.Sender.N = 1 + n%2 // who sends the even numbers is 1
	if !strings.Contains(text, "?") {
		r.Frame = make([]byte, 100)
	}
	return r
}

func (s *script) connID(text string) ConnID {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatalf("connection %q: %v", text, err)
	}
	return ConnID(n)
}

func (s *script) number(args []string, name string) int {
	n, err := strconv.Atoi(value(args, name))
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return n
}

func (s *script) optional(args []string, name string) int {
	if value(args, name) == "" {
		return 0
	}
	return s.number(args, name)
}

func boxOf(name string) Mailbox {
	member, sess, _ := strings.Cut(name, ".")
	return Mailbox{Member: mesh.ID(member), Session: mesh.Key(sess)}
}

func boxName(b Mailbox) string {
	if b.Session == "" {
		return string(b.Member)
	}
	return string(b.Member) + "." + string(b.Session)
}

func value(args []string, name string) string {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
	}
	return ""
}

func has(args []string, word string) bool {
	for _, a := range args {
		if a == word {
			return true
		}
	}
	return false
}
