package host

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// MaxBodyBytes is how much of a body is shown; the rest is in the inbox (design E1).
const MaxBodyBytes = 16 << 10

// frameTag is the element in which Claude Code itself puts messages of other sessions (host 0).
const frameTag = "cross-session-message"

// Frame is what is said of a message outside its body.
type Frame struct {
	From      string // sender's name
	Mesh      string // slug
	Key       mesh.Key
	MessageID string
	Attempt   string // random token of this offer, which no body can know; empty for what the model asked for itself
	ReplyTo   string // the message that this one answers; may be empty
	Encrypted bool
	Verified  bool
	Muted     bool // its user wants none of it by itself
}

// Wrap puts a body into the frame (design E1). The first byte is ours, and nothing that a sender wrote leaves its
// place. The host shows from-name as the sender; the rest is for the model and for our hook.
func Wrap(f Frame, body string) string { return wrap(f, Body(body)) }

// wrap is Wrap for a body that is safe.
func wrap(f Frame, body string) string {
	var b strings.Builder
	b.WriteString("<" + frameTag)
	attribute(&b, "from-name", named(f.From)+"·"+Line(f.Mesh)+"·"+Line(string(f.Key[:min(len(f.Key), 8)])))
	attribute(&b, "mesh", f.Mesh)
	attribute(&b, "message-id", id(f.MessageID))
	if f.Attempt != "" {
		attribute(&b, "attempt", f.Attempt)
	}
	attribute(&b, "encrypted", strconv.FormatBool(f.Encrypted))
	attribute(&b, "verified", strconv.FormatBool(f.Verified))
	if f.Muted {
		attribute(&b, "muted", "true")
	}
	if f.ReplyTo != "" {
		attribute(&b, "reply-to", id(f.ReplyTo))
	}
	b.WriteString(">\n" + body + "\n</" + frameTag + ">")
	return b.String()
}

// Attempts are the tokens of the frame that a prompt begins with, as the host hands it to a hook: what stands further on
// was written by others. It knows our frame, and the one in which the host shows channels.
func Attempts(prompt string) []string {
	head, _, ok := strings.Cut(prompt, ">")
	if !ok || !strings.HasPrefix(head, "<"+frameTag+" ") && !strings.HasPrefix(head, "<channel ") {
		return nil
	}
	_, token, ok := strings.Cut(head, ` attempt="`)
	if token, _, ok = strings.Cut(token, `"`); !ok || token == "" {
		return nil
	}
	return []string{token}
}

// Typed reports whether a prompt, as the host hands it to a hook, is the human's own: what others and the host itself begin a
// turn with stands in an element. A human who begins with one is taken for another, which loosens nothing.
func Typed(prompt string) bool {
	prompt = strings.TrimSpace(prompt)
	return prompt != "" && prompt[0] != '<'
}

// WrapNotice puts a sentence of ours into a frame. No peer can be taken for its sender: their names have mesh and key.
func WrapNotice(text string) string {
	return "<" + frameTag + ` from-name="claudemesh">` + "\n" + Body(text) + "\n</" + frameTag + ">"
}

// attribute writes one attribute.
func attribute(b *strings.Builder, name, value string) {
	b.WriteString(" " + name + `="` + Attribute(value) + `"`)
}

// FrameBytes is how much a frame takes beside its body, whatever senders and brokers write into it.
const FrameBytes = 1_500

// How long the ids of messages are, as they are escaped. What is no id is cut to a few signs.
const (
	maxIDBytes  = 256
	someIDBytes = 40
)

// id makes what should be the id of a message so short that it fits.
func id(text string) string {
	if len(text) > maxIDBytes || len(Attribute(text)) > maxIDBytes {
		return text[:min(len(text), someIDBytes)]
	}
	return text
}

// maxAttributeBytes leaves room for the longest name with mesh and key.
const maxAttributeBytes = 512

// Attribute makes a sender's text safe to stand between quotes: on one line, with the signs of markup as entities.
func Attribute(text string) string { return disarm(entities.Replace(oneLine(text, maxAttributeBytes))) }

// entities are the characters that have a meaning in an attribute.
var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// pointer ends a body that is not shown whole.
const pointer = "\n[cut here; the message has %d bytes. All of it: claudemesh inbox]"

// Body makes a sender's text safe to stand in a frame of ours or of the host: no delimiter in any spelling, no control,
// reordering or hidden characters, valid UTF-8, at most MaxBodyBytes and a pointer to the inbox.
func Body(text string) string { return within(text, MaxBodyBytes) }

// within is Body with a bound of its own, which is at most MaxBodyBytes.
func within(text string, limitBytes int) string {
	whole := len(text)
	text = text[:min(whole, limitBytes)] // escaping only makes it longer
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	safe := disarm(visible(text, true))
	if whole <= limitBytes && len(safe) <= limitBytes {
		return safe
	}
	return strings.ToValidUTF8(safe[:min(len(safe), limitBytes)], "") + fmt.Sprintf(pointer, whole)
}

// Page makes a text that the human has accepted safe to stand by itself: as Body, but whole.
func Page(text string) string {
	return disarm(visible(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), true))
}

// maxLineBytes bounds a name or an id within a line.
const maxLineBytes = 256

// Name makes a sender's name safe to stand before the mesh and the key that tell senders of one name apart.
func Name(text string) string {
	return disarm(named(text))
}

// named is Name for where brackets are harmless.
func named(text string) string {
	return strings.ReplaceAll(mesh.SafeName(text, "unnamed"), "·", ".")
}

// Line makes a sender's text safe to stand within a line of ours: as Body, but on one line and about 256 bytes at most.
func Line(text string) string { return disarm(oneLine(text, maxLineBytes)) }

// oneLine makes a text visible, on one line, of at most so many bytes.
func oneLine(text string, limitBytes int) string {
	safe := visible(text[:min(len(text), limitBytes)], false)
	return strings.ToValidUTF8(safe[:min(len(safe), limitBytes)], "")
}
