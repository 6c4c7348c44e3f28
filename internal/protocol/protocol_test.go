package protocol

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/wire"
)

// bodies are the declared types that no frame carries: bodies of HTTP routes.
var bodies = []reflect.Type{
	reflect.TypeFor[MeshCreateRequest](), reflect.TypeFor[MeshCreateAnswer](), reflect.TypeFor[ClaimRequest](), reflect.TypeFor[ClaimAnswer](),
	reflect.TypeFor[HTTPError](), reflect.TypeFor[Health](),
}

// declared lists every type that crosses a border, by what carries it.
func declared() map[string]reflect.Type {
	all := map[string]reflect.Type{wire.ErrorType: reflect.TypeFor[wire.ErrorFrame]()}
	for _, t := range bodies {
		all[t.Name()] = t
	}
	for _, e := range wire.Catalogue() {
		all[e.Type] = e.Request
		if e.Answer != nil {
			all[e.Type+" answer"] = e.Answer
		}
	}
	return all
}

// Bad tags show only when a type is used.
func TestZeroValuesTravel(t *testing.T) {
	t.Parallel()
	for name, typ := range declared() {
		data, err := wire.Encode(reflect.New(typ).Interface())
		if err != nil {
			t.Errorf("%s: encode %s: %v", name, typ, err)
			continue
		}
		back := reflect.New(typ)
		if err := wire.DecodeKnown(data, back.Interface()); err != nil {
			t.Errorf("%s: decode %s: %v", name, data, err)
			continue
		}
		again, err := wire.Encode(back.Interface())
		if err != nil || string(again) != string(data) {
			t.Errorf("%s: got %s, %v the second time, want %s", name, again, err, data)
		}
	}
}

// field is one name of a JSON object.
type field struct {
	name, options string
	reflect.StructField
}

// flat lists the names that stand beside each other in the object of a struct.
func flat(t reflect.Type) (all []field) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && (options == "embed" || f.Anonymous) {
			all = append(all, flat(f.Type)...)
			continue
		}
		all = append(all, field{name, options, f})
	}
	return all
}

func TestFieldsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	frames := map[string]bool{}
	for _, e := range wire.Catalogue() {
		frames[e.Type], frames[e.Type+" answer"] = true, true
	}
	for carrier, typ := range declared() {
		seen := map[string]bool{}
		for _, f := range flat(typ) {
			switch {
			case f.name == "":
				t.Errorf("%s: %s.%s has no name", carrier, typ, f.Name)
			case seen[f.name]:
				t.Errorf("%s: %q stands twice in %s", carrier, f.name, typ)
			case frames[carrier] && (f.name == "type" || f.name == "_reqId"):
				t.Errorf("%s: %s.%s is hidden by the envelope", carrier, typ, f.Name)
			case f.options != "" && f.options != "omitzero":
				t.Errorf("%s: %s.%s has options %q, want none or omitzero", carrier, typ, f.Name, f.options)
			}
			seen[f.name] = true
		}
	}
}

// Texts become cells of tables in the documents.
func TestTextsFitTheDocuments(t *testing.T) {
	t.Parallel()
	for carrier, typ := range declared() {
		for _, f := range flat(typ) {
			if text, ok := f.Tag.Lookup("jsonschema"); ok && (strings.TrimSpace(text) == "" || strings.ContainsAny(text, "|\n")) {
				t.Errorf("%s: %s.%s has the text %q, want words without | and line breaks", carrier, typ, f.Name, text)
			}
		}
	}
	for _, e := range wire.Catalogue() {
		if e.Summary == "" || !strings.HasSuffix(e.Summary, ".") || strings.ContainsAny(e.Summary, "|\n") {
			t.Errorf("%s: got summary %q, want a sentence", e.Type, e.Summary)
		}
	}
}

// Old clients give an answer without a known `_reqId` to the oldest request of its type, so no type may mean two
// things (wire TRAP B).
func TestTypesAreUnique(t *testing.T) {
	t.Parallel()
	owner := map[string]string{wire.ErrorType: "errors"}
	claim := func(typ, who string) {
		if other, taken := owner[typ]; taken {
			t.Errorf("%s is used by %s and by %s", typ, other, who)
		}
		owner[typ] = who
	}
	for _, e := range wire.Catalogue() {
		claim(e.Type, "the frame "+e.Type)
		generic := e.Quiet && e.Answer == reflect.TypeFor[Done]()          // the ack of many, which old clients do not wait for
		alike := e.Type == SessionHello.Type || e.Type == RemoveSkill.Type // answered as hello and share_skill, with the same fields
		if e.Reply != "" && !alike && !generic {
			claim(e.Reply, "the answer to "+e.Type)
		}
		for _, also := range e.Also {
			claim(also.Type, "a copy of the answer to "+e.Type)
		}
	}
}

func TestCopiesOfAnswersEncode(t *testing.T) {
	t.Parallel()
	for _, e := range wire.Catalogue() {
		for _, also := range e.Also {
			data, err := also.Encode("r", reflect.Zero(e.Answer).Interface())
			if err != nil {
				t.Errorf("%s as %s: %v", e.Type, also.Type, err)
				continue
			}
			if h, err := wire.ReadHead(data); err != nil || h.Type != also.Type || h.ReqID != "r" {
				t.Errorf("%s as %s: got %s, %v", e.Type, also.Type, data, err)
			}
		}
	}
}

func TestAnswersFindTheirRequests(t *testing.T) {
	t.Parallel()
	for _, e := range wire.Catalogue() {
		if e.Event && (e.Reply != "" || e.Quiet || e.ErrorInID || e.PreAuth || e.Also != nil) {
			t.Errorf("%s: an event has no answer", e.Type)
		}
		if e.PreAuth != (e.Match == wire.ByType) {
			t.Errorf("%s: got PreAuth %v, Match %v: a hello, and nothing else, is matched by type", e.Type, e.PreAuth, e.Match)
		}
		if e.Match != wire.ByID {
			continue
		}
		req := reflect.New(e.Request)
		if err := wire.Decode([]byte(`{"id":"i"}`), req.Interface()); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
		if r, ok := req.Interface().(wire.Identified); !ok || r.FrameID() != "i" {
			t.Errorf("%s is matched by id, want a FrameID that gives it", e.Type)
		}
		if !slices.ContainsFunc(flat(e.Answer), func(f field) bool { return f.name == "id" }) {
			t.Errorf("%s is matched by id, want one in %s", e.Type, e.Answer)
		}
	}
}

// The operation signs the request without itself.
func TestSignedLeavesOutTheOperation(t *testing.T) {
	t.Parallel()
	op := SignedOperation{Nonce: "n", AtMs: 1, Key: "k", Signature: "s"}
	create := InviteCreateRequest{InviteID: "i", CodeHash: "h", ExpiresAt: 2, MaxUses: 3, Role: "member", Signature: "sig", Operation: op}
	revoke := InviteRevokeRequest{InviteID: "i", Operation: op}
	for _, tt := range []struct {
		signed any
		want   string
	}{
		{create.Signed(), `{"inviteId":"i","codeHash":"h","expiresAt":2,"maxUses":3,"role":"member","signature":"sig"}`},
		{revoke.Signed(), `{"inviteId":"i"}`},
	} {
		if got, err := wire.Encode(tt.signed); err != nil || string(got) != tt.want {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
		}
	}
	if create.Operation != op || revoke.Operation != op {
		t.Error("Signed took the operation out of the request itself")
	}
}

func TestKindsThatAreSealed(t *testing.T) {
	t.Parallel()
	var direct []TargetKind
	for _, k := range []TargetKind{KindMember, KindSession, KindGroup, KindAll, KindTopic, ""} {
		if k.Direct() {
			direct = append(direct, k)
		}
	}
	if diff := cmp.Diff([]TargetKind{KindMember, KindSession}, direct); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestCapabilitiesAreWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Capabilities() {
		if c == "" || seen[c] || strings.ContainsAny(c, " ,\"") {
			t.Errorf("got capability %q, want a word that stands once in %q", c, Capabilities())
		}
		seen[c] = true
	}
	Capabilities()[0] = "changed"
	if Capabilities()[0] == "changed" {
		t.Error("a caller can change the capabilities of all")
	}
}

// Frames as the TypeScript clients and brokers write them (wire 2.1, 3.1, 3.2, 3.3, 7.2).
func TestOldFramesDecode(t *testing.T) {
	t.Parallel()
	summary := "busy"
	tests := []struct {
		frame string
		into  any
		want  any
	}{
		{
			`{"type":"hello","meshId":"m","memberId":"u","pubkey":"aa","sessionPubkey":"bb","displayName":"Ann","sessionId":"s","pid":7,"cwd":"/x","hostname":"h","peerType":"ai","channel":"claude-code","model":"x","groups":[{"name":"g","role":"lead"}],"timestamp":1719570600000,"signature":"ff","stats":{"messagesIn":1}}`,
			&HelloRequest{},
			&HelloRequest{MeshID: "m", MemberID: "u", Pubkey: "aa", SessionPubkey: "bb", Timestamp: 1719570600000, Signature: "ff", Presence: Presence{
				DisplayName: "Ann", SessionID: "s", PID: 7, CWD: "/x", Hostname: "h", PeerType: "ai", Channel: "claude-code", Model: "x", Groups: []Group{{"g", "lead"}},
			}},
		},
		{
			`{"type":"send","id":"c1","targetSpec":"@ops","priority":"next","nonce":"","ciphertext":"aGk=","mentions":["bob"],"client_message_id":"c1","request_fingerprint":"ab"}`,
			&SendRequest{},
			&SendRequest{ID: "c1", TargetSpec: "@ops", Priority: "next", Ciphertext: "aGk=", Mentions: []string{"bob"}, ClientMessageID: "c1", RequestFingerprint: "ab"},
		},
		{`{"type":"ack","id":"c1","messageId":"M","queued":true}`, &Ack{}, &Ack{ID: "c1", MessageID: "M", Queued: true}},
		{
			`{"type":"push","messageId":"M","meshId":"m","senderPubkey":"aa","priority":"now","nonce":"n","ciphertext":"c","createdAt":"2025-06-04T10:30:00.000Z","subtype":"system","event":"peer_joined","eventData":{"name":"Ann","Groups":[]}}`,
			&PushedMessage{},
			&PushedMessage{MessageID: "M", MeshID: "m", SenderPubkey: "aa", Priority: "now", Nonce: "n", Ciphertext: "c", CreatedAt: "2025-06-04T10:30:00.000Z", Subtype: "system", Event: "peer_joined", EventData: wire.RawMessage(`{"name":"Ann","Groups":[]}`)},
		},
		{
			`{"type":"peers_list","_reqId":"r","peers":[{"pubkey":"aa","memberPubkey":"bb","displayName":"Ann","status":"dnd","summary":"busy","groups":[],"sessionId":"s","connectedAt":"t","cwd":"/x","stats":{"uptime":1}}]}`,
			&PeersAnswer{},
			&PeersAnswer{Peers: []Peer{{Pubkey: "aa", MemberPubkey: "bb", DisplayName: "Ann", Status: "dnd", Summary: &summary, Groups: []Group{}, SessionID: "s", ConnectedAt: "t", CWD: "/x", Stats: &Stats{Uptime: 1}}}},
		},
	}
	for _, tt := range tests {
		if err := wire.Decode([]byte(tt.frame), tt.into); err != nil {
			t.Errorf("%s: %v", tt.frame, err)
			continue
		}
		if diff := cmp.Diff(tt.want, tt.into); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.frame, diff)
		}
	}
}

// What old clients read stands in our frames under their names.
func TestFramesKeepOldNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		encode func() ([]byte, error)
		want   string
	}{
		{
			func() ([]byte, error) { return Send.EncodeReply("", Ack{ID: "c1", MessageID: "M", Queued: true}) },
			`{"type":"ack","id":"c1","messageId":"M","queued":true}`,
		},
		{
			func() ([]byte, error) { return Send.EncodeReply("", Ack{ID: "c1", Error: "x: y (invalid)", Code: "x"}) },
			`{"type":"ack","id":"c1","messageId":"","queued":false,"error":"x: y (invalid)","code":"x"}`,
		},
		{
			func() ([]byte, error) {
				return Push.Encode(PushedMessage{MessageID: "M", MeshID: "m", SenderPubkey: "aa", Priority: "next", CreatedAt: "t"})
			},
			`{"type":"push","messageId":"M","meshId":"m","senderPubkey":"aa","priority":"next","nonce":"","ciphertext":"","createdAt":"t"}`,
		},
		{
			func() ([]byte, error) {
				return Hello.EncodeReply("", HelloAnswer{PresenceID: "p", MemberDisplayName: "Ann", MemberProfile: &MemberProfile{MessageMode: "push"}})
			},
			`{"type":"hello_ack","presenceId":"p","memberDisplayName":"Ann","memberProfile":{"roleTag":null,"groups":[],"messageMode":"push"}}`,
		},
		{
			func() ([]byte, error) { return ListPeers.EncodeReply("r", PeersAnswer{Peers: []Peer{{}}}) },
			`{"type":"peers_list","_reqId":"r","peers":[{"pubkey":"","memberPubkey":"","displayName":"","status":"","summary":null,"groups":[],"sessionId":"","connectedAt":"","cwd":"","peerRole":""}]}`,
		},
		{
			func() ([]byte, error) { return ClientAck.Encode("", ClientAckRequest{BrokerMessageID: "M"}) },
			`{"type":"client_ack","brokerMessageId":"M"}`,
		},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if got, err := tt.encode(); err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}
