package host

// MaxBodyBytes is how much of a body is shown; the rest is in the inbox (design E1).
const MaxBodyBytes = 16 << 10

// Frame is what is said of a message outside its body.
type Frame struct {
	From      string // sender's name
	Mesh      string // slug
	Key       string // sender's key
	MessageID string
	Attempt   string // random token of this offer, which no body can know
	ReplyTo   string // the message that this one answers; may be empty
	Encrypted bool
	Verified  bool
}

// Wrap puts a body into the frame (design E1). The first byte is ours, and nothing that a sender wrote leaves its
// place.
func Wrap(f Frame, body string) string { panic("host: in the making") }

// Body makes a sender's text safe to stand in a frame of ours or of the host: no delimiter in any spelling, no control,
// reordering or hidden characters, valid UTF-8, at most MaxBodyBytes and a pointer to the inbox.
func Body(text string) string { panic("host: in the making") }

// Line makes a sender's text safe to stand within a line, such as a name.
func Line(text string) string { panic("host: in the making") }
