package outbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// vectors reads one section of the known answers.
func vectors(t *testing.T, section string, into any) {
	t.Helper()
	data, err := os.ReadFile("../../seal/testdata/vectors.json")
	if err != nil {
		t.Fatalf("read vectors: %v", err)
	}
	var file map[string]jsontext.Value
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatalf("parse vectors: %v", err)
	}
	if err := json.Unmarshal(file[section], into); err != nil {
		t.Fatalf("parse section %s: %v", section, err)
	}
}

// force puts a row into a status as no transition would.
func force(t testing.TB, o *Outbox, id mesh.ClientID, to Row) {
	t.Helper()
	err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`UPDATE outbox SET status = $2, broker_message_id = nullif($3, ''), last_error = nullif($4, '')
			WHERE client_message_id = $1`, id, to.Status, to.BrokerID, to.LastError)
		return err
	})
	if err != nil {
		t.Fatalf("force %s to %s: %v", id, to.Status, err)
	}
}

func countRows(t testing.TB, o *Outbox) int {
	t.Helper()
	rows, err := o.List(context.Background(), Filter{Limit: 500})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return len(rows)
}

// tableRow is one line of ipc_duplicate_table.
type tableRow struct {
	Existing    *string `json:"existing_status"`
	Fingerprint *string `json:"fingerprint"`
	HTTP        int     `json:"http"`
	Inserts     bool    `json:"inserts_row"`
	Wakes       bool    `json:"wakes_drain"`
	Body        struct {
		ClientID  mesh.ClientID `json:"client_message_id"`
		Status    string        `json:"status"`
		Error     string        `json:"error"`
		Conflict  string        `json:"conflict"`
		BrokerID  *string       `json:"broker_message_id"`
		Duplicate bool          `json:"duplicate"`
	} `json:"body"`
}

func TestDuplicateTable(t *testing.T) {
	t.Parallel()
	var table []tableRow
	vectors(t, "ipc_duplicate_table", &table)
	if len(table) != 11 {
		t.Fatalf("the table has %d rows, want 11", len(table))
	}
	for _, want := range table {
		name := "none"
		if want.Existing != nil {
			name = *want.Existing + " " + *want.Fingerprint
		}
		t.Run(name, func(t *testing.T) { t.Parallel(); testTableRow(t, want) })
	}
}

func testTableRow(t *testing.T, want tableRow) {
	o := open(t)
	d := draft("key-A", bob, "hello")
	before := 0
	if want.Existing != nil {
		accept(t, o, d)
		before = 1
		force(t, o, "key-A", Row{Status: Status(*want.Existing), BrokerID: brokerOf(Status(*want.Existing)), LastError: "why it failed"})
		if *want.Fingerprint == "mismatch" {
			d.Fingerprint[31] ^= 1
		}
	}
	wake, err := o.wakes.add(meshA)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Accept(context.Background(), d)
	checkAnswer(t, want, d, out, err)
	if got := countRows(t, o) - before; got != 0 != want.Inserts {
		t.Errorf("%d rows were inserted, want insertion: %t", got, want.Inserts)
	}
	if woken := len(wake) > 0; woken != want.Wakes {
		t.Errorf("drain was woken: %t, want %t", woken, want.Wakes)
	}
}

func brokerOf(s Status) mesh.ID {
	if s == Done {
		return "bm-1"
	}
	return ""
}

func checkAnswer(t *testing.T, want tableRow, d Draft, out Outcome, err error) {
	t.Helper()
	if want.HTTP == 409 {
		var e *mesh.Error
		if !errors.As(err, &e) || string(e.Code) != want.Body.Error || e.Code.Status() != 409 {
			t.Fatalf("got %v, want %s", err, want.Body.Error)
		}
		wantID := mesh.ID("")
		if want.Body.BrokerID != nil && !strings.HasPrefix(*want.Body.BrokerID, "<") {
			wantID = mesh.ID(*want.Body.BrokerID)
		}
		if e.Details.Conflict != want.Body.Conflict || e.Details.Prefix != d.Fingerprint.Prefix() || e.Details.BrokerID != wantID {
			t.Errorf("got details %+v, want conflict %s, prefix %s, id %q", e.Details, want.Body.Conflict, d.Fingerprint.Prefix(), wantID)
		}
		return
	}
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	if out.ClientID != want.Body.ClientID || out.Status != want.Body.Status || out.Duplicate != want.Body.Duplicate || want.HTTP == 200 != out.Duplicate {
		t.Errorf("got %+v, want %+v", out, want.Body)
	}
	if want.Body.BrokerID != nil && string(out.BrokerID) != *want.Body.BrokerID {
		t.Errorf("got broker id %q, want %q", out.BrokerID, *want.Body.BrokerID)
	}
}

func TestDuplicateCases(t *testing.T) {
	t.Parallel()
	var cases []struct {
		ID       string `json:"id"`
		Existing string `json:"existing"`
		Expect   string `json:"expect"`
		Stored   string `json:"stored_fingerprint_hex"`
		Request  string `json:"request_fingerprint_hex"`
	}
	vectors(t, "ipc_duplicate_cases", &cases)
	if len(cases) != 15 {
		t.Fatalf("%d cases, want 15", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			d := draft("key-A", bob, "hello")
			d.Fingerprint = parse(t, c.Stored)
			existing, _, _ := strings.Cut(strings.TrimSuffix(strings.Fields(c.Existing)[0], ","), " ")
			if existing == "no" {
				testFirst(t, o, d, strings.Contains(c.Existing, "omitted"))
				return
			}
			accept(t, o, d)
			force(t, o, "key-A", Row{Status: Status(existing), BrokerID: brokerOf(Status(existing))})
			d.Fingerprint = parse(t, c.Request)
			out, err := o.Accept(context.Background(), d)
			checkCase(t, c.Expect, out, err)
			if n := countRows(t, o); n != 1 {
				t.Errorf("%d rows, want 1", n)
			}
			if r := row(t, o, "key-A"); r.Status != Status(existing) {
				t.Errorf("the row is %s now, was %s", r.Status, existing)
			}
		})
	}
}

func parse(t *testing.T, s string) seal.Fingerprint {
	t.Helper()
	fp, err := seal.ParseFingerprint(s)
	if err != nil {
		t.Fatal(err)
	}
	return fp
}

// testFirst is t01 and t02: the id source gives the client id first where none is given, then the row's.
func testFirst(t *testing.T, o *Outbox, d Draft, mint bool) {
	ids := []mesh.ClientID{"first-id", "second-id"}
	o.newID = func(time.Time) mesh.ClientID { id := ids[0]; ids = ids[1:]; return id }
	wantID, wantRow := mesh.ClientID("key-A"), "first-id"
	if mint {
		d.ClientID, wantID, wantRow = "", "first-id", "second-id"
	}
	out := accept(t, o, d)
	r := row(t, o, wantID)
	if out.Status != "queued" || out.ClientID != wantID || r.Status != Pending || r.ID != wantRow {
		t.Errorf("got %+v and row %s %s %s; want %s queued, row %s pending", out, r.ID, r.ClientID, r.Status, wantID, wantRow)
	}
	if hex.EncodeToString(r.fingerprint) != d.Fingerprint.String() {
		t.Errorf("stored fingerprint %x, want %s", r.fingerprint, d.Fingerprint)
	}
}

func checkCase(t *testing.T, expect string, out Outcome, err error) {
	t.Helper()
	want := strings.Fields(strings.NewReplacer(";", "", ",", "").Replace(expect))
	var e *mesh.Error
	switch {
	case want[0] == "409":
		if !errors.As(err, &e) || e.Code != mesh.Reused || len(e.Details.Prefix) != 16 {
			t.Fatalf("got %v, want %s", err, expect)
		}
		if len(want) > 1 && e.Details.Conflict != want[1] {
			t.Errorf("got conflict %s, want %s", e.Details.Conflict, want[1])
		}
		if strings.Contains(expect, "bm-1") && e.Details.BrokerID != "bm-1" {
			t.Errorf("got broker id %q, want bm-1", e.Details.BrokerID)
		}
	case err != nil:
		t.Fatalf("got %v, want %s", err, expect)
	case want[0] == "200":
		if !out.Duplicate || out.BrokerID != "bm-1" {
			t.Errorf("got %+v, want %s", out, expect)
		}
	case out.Status != want[1]:
		t.Errorf("got %+v, want %s", out, expect)
	}
}

func TestAcceptKeepsMeshesApart(t *testing.T) {
	t.Parallel()
	o := open(t)
	d := draft("one", bob, "hello")
	accept(t, o, d)
	d.MeshID, d.Mesh = "meshB", "b"
	_, err := o.Accept(context.Background(), d)
	var e *mesh.Error
	if !errors.As(err, &e) || e.Details.Conflict != "outbox_pending_fingerprint_mismatch" {
		t.Errorf("the same id in another mesh: got %v, want a fingerprint mismatch", err)
	}
	if _, found, err := o.Lookup(context.Background(), "one", d.Fingerprint, ""); !found || err != nil {
		t.Errorf("lookup without a mesh: found %t, %v; want the row", found, err)
	}
	if _, _, err := o.Lookup(context.Background(), "one", d.Fingerprint, "meshB"); !mesh.IsCode(err, mesh.Reused) {
		t.Errorf("lookup in another mesh: got %v, want %s", err, mesh.Reused)
	}
	if _, found, err := o.Lookup(context.Background(), "two", d.Fingerprint, ""); found || err != nil {
		t.Errorf("lookup of a free id: found %t, %v", found, err)
	}
}

func TestAcceptOfOneIDByMany(t *testing.T) {
	t.Parallel()
	o := open(t)
	d := draft("one", bob, "hello")
	var wg sync.WaitGroup
	rows := make([]string, 50)
	for i := range rows {
		wg.Go(func() {
			out, err := o.Accept(context.Background(), d)
			if err != nil || out.Status != "queued" {
				t.Errorf("accept %d: %+v, %v", i, out, err)
			}
			rows[i] = out.Row.ID
		})
	}
	wg.Wait()
	for i, id := range rows {
		if id != rows[0] {
			t.Errorf("accept %d gave row %s, the first %s", i, id, rows[0])
		}
	}
	if n := countRows(t, o); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	if got := o.open.Load(); got != 1 {
		t.Errorf("%d rows are counted as waiting, want 1", got)
	}
}

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	o := open(t)
	for name, spoil := range map[string]func(*Draft){
		"no mesh":      func(d *Draft) { d.MeshID = "" },
		"no target":    func(d *Draft) { d.TargetSpec = "" },
		"bad id":       func(d *Draft) { d.ClientID = "a b" },
		"bad priority": func(d *Draft) { d.Priority = "urgent" },
	} {
		d := draft("one", bob, "hello")
		spoil(&d)
		if _, err := o.Accept(context.Background(), d); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BadRequest)
		}
	}
	accept(t, o, draft("one", bob, "hello"))
	o.open.Store(maxOpen)
	if _, err := o.Accept(context.Background(), draft("two", bob, "hello")); !mesh.IsCode(err, mesh.QueueFull) {
		t.Errorf("at the bound: got %v, want %s", err, mesh.QueueFull)
	}
	if out := accept(t, o, draft("one", bob, "hello")); out.Status != "queued" {
		t.Errorf("a retry at the bound: got %+v, want queued", out)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var table []struct {
		Attempt int   `json:"attempt"`
		WaitMs  int64 `json:"wait_ms"`
	}
	vectors(t, "drain_backoff", &table)
	for _, v := range table {
		if got := backoff(v.Attempt).Milliseconds(); got != v.WaitMs {
			t.Errorf("backoff(%d) = %d ms, want %d", v.Attempt, got, v.WaitMs)
		}
	}
	if got := backoff(1 << 30); got != maxBackoff {
		t.Errorf("backoff of very many = %s, want %s", got, maxBackoff)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	var table []struct {
		Days  *int64 `json:"dedupe_retention_days"`
		Hours *int64 `json:"max_age_hours"`
		V7    *int64 `json:"max_age_hours_v7_strict"`
	}
	vectors(t, "outbox_max_age", &table)
	for _, v := range table {
		var l protocol.Limits
		if v.Days != nil {
			l.DedupeTTLMs = *v.Days * 24 * 3600 * 1000
		}
		got := int64(maxAge(l) / time.Hour)
		want := v.Hours
		if want == nil {
			want = v.V7
		}
		if want == nil { // too short for the rule: strictly inside the window is what counts
			if got <= 0 || got >= *v.Days*24 {
				t.Errorf("memory of %d days: %d h is not inside it", *v.Days, got)
			}
			continue
		}
		if got != *want {
			t.Errorf("memory of %v days: got %d h, want %d", v.Days, got, *want)
		}
	}
	for hours := int64(1); hours < 14*24; hours++ {
		memory := time.Duration(hours) * time.Hour
		if got := maxAge(protocol.Limits{DedupeTTLMs: memory.Milliseconds()}); got <= 0 || got >= memory {
			t.Errorf("memory of %s: age %s is not inside it", memory, got)
		}
	}
}

func TestFrameSize(t *testing.T) {
	t.Parallel()
	var v struct {
		Overhead int `json:"ws_frame_overhead_bytes_dm_uuid_ids"`
		MaxBody  int `json:"max_dm_plaintext_bytes_by_frame_cap"`
	}
	vectors(t, "size_limits", &v)
	id := mesh.NewClientID(time.Now())
	box := func(body int) string { return strings.Repeat("A", (body+16+2)/3*4) }
	req := protocol.SendRequest{
		ID: string(id), ClientMessageID: id, RequestFingerprint: strings.Repeat("0", 64), TargetSpec: bob, Priority: mesh.Next,
		Nonce: seal.NewNonce().String(), Ciphertext: box(v.MaxBody),
	}
	data, err := protocol.Send.Encode("", req)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(data) - len(req.Ciphertext); got != v.Overhead {
		t.Errorf("overhead of a frame is %d bytes, want %d", got, v.Overhead)
	}
	if tooBig(req, protocol.Limits{}) {
		t.Errorf("a body of %d bytes is too big, want it to fit", v.MaxBody)
	}
	req.Ciphertext = box(v.MaxBody + 3)
	if !tooBig(req, protocol.Limits{}) {
		t.Errorf("a body of %d bytes fits, want it too big", v.MaxBody+3)
	}
	if tooBig(req, protocol.Limits{FrameBytes: 1 << 20}) {
		t.Error("the same body is too big for a broker that takes 1 MiB")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ack  protocol.Ack
		want verdict
	}{
		{protocol.Ack{MessageID: "m"}, accepted},
		{protocol.Ack{MessageID: "m", Duplicate: true}, accepted},
		{protocol.Ack{Code: mesh.QueueFull, Error: "queue_full: x"}, refused},
		{protocol.Ack{Code: mesh.QueueFull}, refused},
		{protocol.Ack{Code: mesh.StoreFailed, Error: "store_failed: x"}, refused},
		{protocol.Ack{Code: mesh.RateLimited, Error: "rate_limit: x"}, throttled},
		{protocol.Ack{Code: mesh.OutOfOrder, Error: "out_of_order: x"}, overtaking},
		{protocol.Ack{Code: mesh.ShuttingDown, Error: "shutting_down: x"}, unanswered},
		{protocol.Ack{Code: mesh.TargetNotFound, Error: "target_not_found: x (invalid)"}, final},
		{protocol.Ack{Code: mesh.Reused, Error: "idempotency_key_reused: x (invalid)"}, final},
		{protocol.Ack{Code: "of_a_newer_release", Error: "of_a_newer_release: x (invalid)"}, final},
		{protocol.Ack{Code: "of_a_newer_release", Error: "of_a_newer_release: x"}, refused},
		{protocol.Ack{Error: "rate_limit: 60/min"}, throttled},
		{protocol.Ack{Error: "payload too large: 70000"}, final},
		{protocol.Ack{Error: "no connected peer for target"}, refused},
		{protocol.Ack{Error: "blocked by recipient grants"}, final},
		{protocol.Ack{Error: "Unauthorized"}, final},
		{protocol.Ack{Error: "db gone"}, refused},
	} {
		if got := judge(c.ack); got != c.want {
			t.Errorf("judge(%+v) = %d, want %d", c.ack, got, c.want)
		}
	}
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{mesh.Errorf(mesh.BrokerDown, "closed"), unanswered},
		{context.DeadlineExceeded, unanswered},
		{context.Canceled, unanswered},
		{fmt.Errorf("who knows"), unanswered},
		{mesh.Errorf(mesh.PayloadTooLarge, "1009"), oversized},
		{mesh.Errorf(mesh.BadJSON, "refused as a frame"), final},
		{mesh.Errorf(mesh.BrokerRefused, "weird: forbidden"), final},
		{mesh.Errorf(mesh.BrokerRefused, "weird: later"), refused},
	} {
		if got := judgeError(c.err); got != c.want {
			t.Errorf("judgeError(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// Every code of the table gets the same judgement by its text alone, as a broker without codes would have it read,
// as far as final or not goes.
func TestJudgeAgreesWithAckText(t *testing.T) {
	t.Parallel()
	for _, r := range mesh.Codes {
		text := mesh.AckText(mesh.Errorf(r.Code, "some reason"))
		byCode, byText := judge(protocol.Ack{Code: r.Code, Error: text}), judgeText(text)
		if (byCode == final) != (byText == final) {
			t.Errorf("%s: by code %d, by text %q %d", r.Code, byCode, text, byText)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                  "plain",
		"a\x1b[31mb\nc\u202ed":   "a [31mb c d",
		"\xff":                   " ",
		strings.Repeat("é", 400): strings.Repeat("é", 300) + " …",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%.20q) = %.40q, want %.40q", in, got, want)
		}
	}
}
