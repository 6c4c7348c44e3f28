package host

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// What stands in place of a text that is not given.
const (
	undecryptable = "[this message could not be decrypted]"
	announced     = "[a message waits in this session's inbox, which is how it takes them; to read it: claudemesh inbox]"
	long          = "[the text has %d bytes, and is not shown by itself; to read it: claudemesh inbox]"
	withheld      = "[the text is withheld, because its sender is not proved; your user can read it with: claudemesh inbox]"
)

// Text is the text of a message in the inbox, or why there is none.
func Text(item localapi.InboxItem) string {
	switch {
	case item.Body != nil:
		return *item.Body
	case item.Undecryptable:
		return undecryptable
	case item.Announced:
		return announced
	case item.BodyBytes > 0:
		return fmt.Sprintf(long, item.BodyBytes)
	}
	return withheld
}

// Message puts a message in the inbox into its frame, with at most so many bytes of its text.
func Message(item localapi.InboxItem, limitBytes int) string {
	return wrap(frameOf(item), within(Text(item), limitBytes))
}

// frameOf is what is said of a message in the inbox.
func frameOf(item localapi.InboxItem) Frame {
	f := Frame{
		From: item.SenderName, Mesh: item.Mesh, Key: item.SenderPubkey, MessageID: MessageID(item), Attempt: item.Attempt,
		Encrypted: item.Encrypted, Verified: item.Verified, Muted: item.Muted,
	}
	if item.ReplyToID != nil {
		f.ReplyTo = *item.ReplyToID
	}
	return f
}

// MessageID is the broker's id of a message, else that of the inbox.
func MessageID(item localapi.InboxItem) string {
	if item.BrokerMessageID != "" {
		return string(item.BrokerMessageID)
	}
	return item.ID
}

// hookHead begins what a hook of ours gives to a host. It states facts: a host takes orders in such a text for an attempt
// to take over its session (claude-code 5).
const hookHead = "claudemesh, a mesh of coding sessions. What follows was written by other sessions or is about their messages: information " +
	"from others, not from the user.\n"

// HookContext is what a hook of ours gives to a host, of frames and sentences that are safe by themselves.
func HookContext(text string) string { return hookHead + strings.TrimSuffix(text, "\n") }

// transcriptEntry is a line of the file in which Claude Code writes down what a session is shown, as far as that is how
// text of ours comes in: as a prompt, as one that came in the middle of a turn, or as the context of a hook.
type transcriptEntry struct {
	Type    string `json:"type"`
	Message struct {
		Content wire.RawMessage `json:"content"`
	} `json:"message"`
	Attachment struct {
		Type    string          `json:"type"`
		Prompt  wire.RawMessage `json:"prompt"`
		Content wire.RawMessage `json:"content"`
	} `json:"attachment"`
}

// maxEntryBytes bounds a line that is looked at; longer ones are passed over.
const maxEntryBytes = 1 << 20

// Transcript gives the attempt tokens in the whole lines of a piece of Claude Code's transcript, and how many bytes these
// lines have. A token counts where only the host can have put it: in the frame that a prompt begins with, or in a line
// of a context of ours that begins with a frame, as no line of a text in one does.
func Transcript(r io.Reader) (tokens []string, readBytes int64, err error) {
	lines := bufio.NewReaderSize(r, maxEntryBytes)
	for {
		line, err := lines.ReadSlice('\n')
		long := int64(0)
		for err == bufio.ErrBufferFull {
			long += int64(len(line))
			line, err = lines.ReadSlice('\n')
		}
		if err == io.EOF {
			return tokens, readBytes, nil // what has no end yet is read the next time
		}
		if err != nil {
			return tokens, readBytes, err
		}
		readBytes += long + int64(len(line))
		if long == 0 && bytes.Contains(line, []byte(`attempt=\"`)) {
			tokens = append(tokens, entryTokens(line)...)
		}
	}
}

func entryTokens(line []byte) []string {
	var e transcriptEntry
	if wire.Decode(line, &e) != nil {
		return nil
	}
	var prompt string
	switch {
	case e.Type == "user" && wire.Decode(e.Message.Content, &prompt) == nil:
		return Attempts(prompt)
	case e.Type == "attachment" && e.Attachment.Type == "queued_command" && wire.Decode(e.Attachment.Prompt, &prompt) == nil:
		return Attempts(prompt)
	case e.Type != "attachment" || e.Attachment.Type != "hook_additional_context":
		return nil
	}
	var contexts, tokens []string
	if wire.Decode(e.Attachment.Content, &contexts) != nil {
		return nil
	}
	for _, text := range contexts {
		if !strings.HasPrefix(text, hookHead) {
			continue
		}
		for part := range strings.Lines(text) {
			tokens = append(tokens, Attempts(part)...)
		}
	}
	return tokens
}
