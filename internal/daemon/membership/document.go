package membership

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// object is a JSON object with its members in their order, values as written.
type object []member

type member struct {
	name  string
	value jsontext.Value
}

// document is config.json: what is not ours is carried along unread.
type document struct {
	top     object
	entries []jsontext.Value // of `meshes`
}

// entry is one of the meshes in the file (daemon 3.1).
type entry struct {
	MeshID        string `json:"meshId"`
	MemberID      string `json:"memberId"`
	Slug          string `json:"slug"`
	Name          string `json:"name"`
	Pubkey        string `json:"pubkey"`
	SecretKey     string `json:"secretKey"`
	BrokerURL     string `json:"brokerUrl"`
	JoinedAt      string `json:"joinedAt,omitzero"`
	RootKey       string `json:"rootKey,omitzero"`
	InviteVersion int    `json:"inviteVersion,omitzero"`
}

// fileVersion is the only version of the file.
const fileVersion = 1

func newDocument() document {
	return document{top: object{{"version", jsontext.Value("1")}, {"meshes", nil}}}
}

// parseDocument reads a whole file. Everything that is not one well-formed object is refused, so that it is never
// written over (cli 6.1).
func parseDocument(data []byte) (document, error) {
	top, err := parseObject(data)
	if err != nil {
		return document{}, err
	}
	doc := document{top: top}
	for _, m := range top {
		switch {
		case m.name == "version":
			var v float64
			if err := wire.Decode(m.value, &v); err != nil || v > fileVersion {
				return document{}, fmt.Errorf("version %s is not %d: a newer system wrote the file", m.value, fileVersion)
			}
		case m.name == "meshes" && m.value.Kind() == '[':
			if err := wire.Decode(m.value, &doc.entries); err != nil {
				return document{}, err
			}
		case m.name == "meshes" && m.value.Kind() != 'n':
			return document{}, fmt.Errorf("meshes is not a list")
		case strings.EqualFold(m.name, "meshes") && m.name != "meshes":
			return document{}, fmt.Errorf("%q is written in another case", m.name)
		}
	}
	return doc, nil
}

// parseObject reads one JSON object strictly: no duplicate names at any depth, no trailing data, at most 32 levels
// (design A4).
func parseObject(data []byte) (object, error) {
	var whole jsontext.Value
	if err := wire.Decode(data, &whole); err != nil {
		return nil, err
	}
	if whole.Kind() != '{' {
		return nil, fmt.Errorf("not a JSON object")
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(whole))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var o object
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String() // before the next read, which ends the token
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		o = append(o, member{text, value.Clone()})
	}
	return o, nil
}

// appendTo writes the object, its strings and numbers spelled as they were.
func (o object) appendTo(dst jsontext.Value) (jsontext.Value, error) {
	dst = append(dst, '{')
	for i, m := range o {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, err := jsontext.AppendQuote(nil, m.name)
		if err != nil {
			return nil, err
		}
		dst = append(append(append(dst, name...), ':'), m.value...)
	}
	return append(dst, '}'), nil
}

// set replaces the value of a name where it stands, or adds it at the end.
func (o *object) set(name string, value jsontext.Value) {
	if i := slices.IndexFunc(*o, func(m member) bool { return m.name == name }); i >= 0 {
		(*o)[i].value = value
		return
	}
	*o = append(*o, member{name, value})
}

// encode writes the file as TypeScript clients do: two spaces a level, one line feed at the end.
func (d document) encode() ([]byte, error) {
	list := jsontext.Value{'['}
	for i, e := range d.entries {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, e...)
	}
	top := slices.Clone(d.top)
	top.set("meshes", append(list, ']'))
	out, err := top.appendTo(nil)
	if err != nil {
		return nil, err
	}
	if err := out.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// meshes reads the entries that can be used and says in the log which cannot.
func (d document) meshes(log *slog.Logger) []Mesh {
	seen := map[mesh.ID]bool{}
	var list []Mesh
	for i, raw := range d.entries {
		m, err := parseEntry(raw)
		if err == nil && seen[m.ID] {
			err = fmt.Errorf("its mesh id stands in the file twice")
		}
		if err != nil {
			log.Warn("entry of config.json is not used", slog.Int(logkey.Count, i+1), slog.String(logkey.Mesh, m.Slug), slog.Any(logkey.Err, err))
			continue
		}
		seen[m.ID] = true
		list = append(list, m)
	}
	suffixed(list)
	return list
}

// parseEntry checks one entry. Its error never repeats a key.
func parseEntry(raw jsontext.Value) (Mesh, error) {
	var e entry
	if err := wire.Decode(raw, &e); err != nil {
		return Mesh{}, err
	}
	slug, err := mesh.ParseSlug(e.Slug)
	if err != nil {
		slug = mesh.SlugOf(e.Slug)
	}
	m := Mesh{
		ID: mesh.ID(e.MeshID), MemberID: mesh.ID(e.MemberID), Slug: slug, Name: mesh.SafeName(e.Name, slug),
		BrokerURL: e.BrokerURL, InviteVersion: e.InviteVersion,
	}
	if m.ID == "" || m.MemberID == "" {
		return m, fmt.Errorf("meshId or memberId is missing")
	}
	if m.Secret, err = seal.ParseSecretKey(e.SecretKey); err != nil {
		return m, fmt.Errorf("secretKey: %w", err)
	}
	if string(m.Pubkey()) != e.Pubkey {
		return m, fmt.Errorf("pubkey is not that of secretKey")
	}
	m.JoinedAt, _ = time.Parse(time.RFC3339, e.JoinedAt) // only shown
	m.RootKey, _ = seal.ParseSymmetricKey(e.RootKey)     // used for nothing (design C2)
	return m, nil
}

// find returns the place of a mesh id in the list, or -1. Entries that are not ours to judge are passed over.
func (d document) find(id mesh.ID) int {
	return slices.IndexFunc(d.entries, func(raw jsontext.Value) bool {
		var e struct {
			MeshID string `json:"meshId"`
		}
		return wire.Decode(raw, &e) == nil && e.MeshID == string(id)
	})
}

// put writes m over the entry of its mesh id, keeping what it does not know, or adds it at the end.
func (d *document) put(m Mesh) error {
	i := d.find(m.ID)
	var o object
	if i >= 0 {
		var err error
		if o, err = parseObject(d.entries[i]); err != nil {
			return err
		}
	}
	text, err := wire.Encode(entryOf(m))
	if err != nil {
		return err
	}
	known, err := parseObject(text)
	if err != nil {
		return err
	}
	for _, field := range known {
		if i < 0 || field.name != "slug" { // m may carry a slug that is only its name here
			o.set(field.name, field.value)
		}
	}
	if text, err = o.appendTo(nil); err != nil {
		return err
	}
	if i >= 0 {
		d.entries[i] = text
	} else {
		d.entries = append(d.entries, text)
	}
	return nil
}

func entryOf(m Mesh) entry {
	return entry{
		MeshID: string(m.ID), MemberID: string(m.MemberID), Slug: m.Slug, Name: m.Name, Pubkey: string(m.Pubkey()),
		SecretKey: m.Secret.Reveal(), BrokerURL: m.BrokerURL, JoinedAt: mesh.FormatTime(m.JoinedAt),
		RootKey: m.RootKey.Reveal(), InviteVersion: m.InviteVersion,
	}
}

// rename changes slug and name of the entry of a mesh id, and reports whether they were other ones.
func (d *document) rename(id mesh.ID, slug, name string) (changed bool, err error) {
	i := d.find(id)
	if i < 0 {
		return false, mesh.Errorf(mesh.MeshNotAttached, "the mesh is not joined any more")
	}
	var was entry
	if err := wire.Decode(d.entries[i], &was); err != nil {
		return false, err
	}
	if was.Slug != slug {
		slug = d.freeSlug(i, slug)
	}
	if was.Slug == slug && was.Name == name {
		return false, nil
	}
	o, err := parseObject(d.entries[i])
	if err != nil {
		return false, err
	}
	for field, text := range map[string]string{"slug": slug, "name": name} {
		value, err := wire.Encode(text)
		if err != nil {
			return false, err
		}
		o.set(field, value)
	}
	d.entries[i], err = o.appendTo(nil)
	return true, err
}

// freeSlug is slug, with a number behind it where another entry has it: a broker that renames its mesh must not get what
// is meant for another.
func (d *document) freeSlug(own int, slug string) string {
	taken := map[string]bool{}
	for i, raw := range d.entries {
		var e struct {
			Slug string `json:"slug"`
		}
		if i != own && wire.Decode(raw, &e) == nil {
			taken[e.Slug] = true
		}
	}
	free := slug
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", slug, n)
	}
	return free
}
