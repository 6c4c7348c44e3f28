package seal

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

type fingerprintInputs struct {
	To       string  `json:"to"`
	Version  int     `json:"envelope_version"`
	Kind     string  `json:"destination_kind"`
	Ref      string  `json:"destination_ref"`
	ReplyTo  *string `json:"reply_to_id"`
	Priority string  `json:"priority"`
	Meta     *string `json:"meta_json"`
	Body     string  `json:"body_utf8"`
	BodyHex  string  `json:"body_hex"`
}

type fingerprintExpected struct {
	Fingerprint string `json:"fingerprint_hex"`
	Prefix      string `json:"prefix_hex"`
}

func (in fingerprintInputs) request(t *testing.T) Request {
	t.Helper()
	r := Request{To: ParseDestination(in.To), Priority: in.Priority, Body: string(unhex(t, in.BodyHex))}
	if in.ReplyTo != nil {
		r.ReplyTo = *in.ReplyTo
	}
	if in.Meta != nil {
		r.Meta = []byte(*in.Meta)
	}
	return r
}

func testRequestFingerprint(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[fingerprintInputs, fingerprintExpected]) {
		r := c.Inputs.request(t)
		if want := (Destination{c.Inputs.Kind, c.Inputs.Ref}); r.To != want {
			t.Errorf("destination of %q: got %v, want %v", c.Inputs.To, r.To, want)
		}
		meta := must(canonicalMeta(r.Meta))(t)
		if want := c.Intermediate["meta_canonical_hex"]; hex.EncodeToString([]byte(meta)) != want {
			t.Errorf("canonical meta: got %q, want %q", meta, c.Intermediate["meta_canonical"])
		}
		f := must(r.Fingerprint())(t)
		if f.String() != c.Expected.Fingerprint || f.Prefix() != c.Expected.Prefix {
			t.Errorf("fingerprint: got %s, want %s", f, c.Expected.Fingerprint)
		}
		for why, wrong := range c.MustNotEqual {
			if f.String() == wrong {
				t.Errorf("fingerprint is the wrong one: %s", why)
			}
		}
		if f.String() == c.Legacy {
			t.Error("fingerprint is that of the TypeScript key order")
		}
	})
}

func testDestinationMapping(t *testing.T, section jsontext.Value) {
	var cases []struct {
		To   string `json:"to"`
		Kind string `json:"destination_kind"`
		Ref  string `json:"destination_ref"`
	}
	if err := json.Unmarshal(section, &cases, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got, want := ParseDestination(c.To), (Destination{c.Kind, c.Ref}); got != want {
			t.Errorf("destination of %q: got %v, want %v", c.To, got, want)
		}
	}
}

func TestParseDestinationBroadcast(t *testing.T) {
	t.Parallel()
	if got, want := ParseDestination(" * "), (Destination{"topic", "*"}); got != want {
		t.Errorf("destination of a star: got %v, want %v", got, want)
	}
}

// The worked example of daemon 11.3 that vectors.json leaves out.
func TestFingerprintEmptyMeta(t *testing.T) {
	t.Parallel()
	r := Request{To: ParseDestination("alice"), Meta: []byte(" { } "), Body: "hello"}
	const want = "5f814667973c50b85127bfa4f955d94fbb6683602c097c643bed05401cddbe1b"
	if got := must(r.Fingerprint())(t).String(); got != want {
		t.Errorf("fingerprint with meta {}: got %s, want %s", got, want)
	}
}

func TestFingerprintOfAbsentParts(t *testing.T) {
	t.Parallel()
	plain := must(Request{To: ParseDestination("alice"), Body: "hello"}.Fingerprint())(t)
	explicit := must(Request{To: ParseDestination("alice"), Priority: "next", Meta: []byte("null"), Body: "hello"}.Fingerprint())(t)
	if !plain.Equal(explicit) {
		t.Errorf("absent priority and meta: got %s, want %s", plain, explicit)
	}
	other := must(Request{To: ParseDestination("bob"), Body: "hello"}.Fingerprint())(t)
	if plain.Equal(other) {
		t.Error("two destinations have one fingerprint")
	}
}

func TestFingerprintRefuses(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Request{
		"NUL in the ref":      {To: Destination{"dm", "a\x00b"}},
		"NUL in the reply id": {To: Destination{"dm", "a"}, ReplyTo: "\x00"},
		"NUL in the priority": {To: Destination{"dm", "a"}, Priority: "\x00"},
		"meta with two names": {To: Destination{"dm", "a"}, Meta: []byte(`{"a":1,"a":2}`)},
		"meta cut short":      {To: Destination{"dm", "a"}, Meta: []byte(`{"a":`)},
	} {
		if _, err := r.Fingerprint(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	t.Parallel()
	f := must(Request{Body: "x"}.Fingerprint())(t)
	if got := must(ParseFingerprint(f.String()))(t); got != f {
		t.Errorf("parsed again: got %s, want %s", got, f)
	}
	for _, s := range []string{"", f.String()[1:], f.String() + "0", "A" + f.String()[1:]} {
		if _, err := ParseFingerprint(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseFingerprint(%q): got %v, want %v", s, err, ErrMalformed)
		}
	}
}
