package outbox

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// verdict is what an answer, or the lack of one, means for a row.
type verdict int

const (
	accepted   verdict = iota + 1 // the broker has it
	final                         // refused for good
	refused                       // refused this time: charged, with backoff
	throttled                     // too fast: not charged, all wait
	unanswered                    // nobody refused it: not charged, its lane waits
	overtaking                    // refused because the one before it was: not charged, no wait of its own
	oversized                     // the connection was closed with 1009 while it was under way
	gone                          // it was not pending any more when it was claimed
)

// uncharged are retryable codes that say nothing of the row.
var uncharged = map[mesh.Code]verdict{
	mesh.RateLimited:  throttled,
	mesh.OutOfOrder:   overtaking,
	mesh.ShuttingDown: unanswered,
	mesh.SlowConsumer: unanswered,
	mesh.Capacity:     unanswered,
	mesh.BrokerDown:   unanswered,
	mesh.Timeout:      unanswered,
	mesh.Cancelled:    unanswered,
}

// judge reads an ack (daemon 13.4): by its code, by its text only where there is none that we know.
func judge(ack protocol.Ack) verdict {
	if ack.Error == "" && ack.Code == "" {
		return accepted
	}
	if !ack.Code.Known() {
		return judgeText(ack.Error)
	}
	if v, ok := uncharged[ack.Code]; ok {
		return v
	}
	if ack.Code.Retryable() {
		return refused
	}
	return final
}

// judgeError reads the error of a Reply: no answer came, or an error frame in place of an ack.
func judgeError(err error) verdict {
	code := mesh.CodeOf(err)
	switch {
	case code == mesh.PayloadTooLarge:
		return oversized
	case code == mesh.BrokerRefused: // with a code that is not in our table
		return judgeText(err.Error())
	case code == mesh.RateLimited:
		return throttled
	case code.Retryable():
		return unanswered
	}
	return final
}

// finalTexts are parts of refusals of brokers that send no code. The first two are what the TypeScript broker
// really says, "(invalid)" is what ours adds to a code that this build does not know.
var finalTexts = []string{
	"payload too large", "blocked by recipient grants",
	"payload_too_large", "forbidden", "not_found", "invalid", "schema", "auth", "signature", "idempotency_key_reused",
}

func judgeText(text string) verdict {
	text = strings.ToLower(text)
	if strings.HasPrefix(text, "rate_limit") {
		return throttled
	}
	for _, part := range finalTexts {
		if strings.Contains(text, part) {
			return final
		}
	}
	return refused
}

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// backoff is the wait after the n-th refusal, from 1 (daemon 13.1).
func backoff(n int) time.Duration {
	return min(maxBackoff, firstBackoff<<min(n, 12))
}

const (
	day = 24 * time.Hour
	// defaultMaxAge holds for brokers that do not say how long they remember ids.
	defaultMaxAge = 7 * day
)

// maxAge is how long a row may wait to be accepted. It ends well before the broker forgets the id, so that a row
// that was accepted unseen is never accepted twice (daemon 10.6). A memory too short for the margin is halved.
func maxAge(l protocol.Limits) time.Duration {
	if l.DedupeTTLMs <= 0 {
		return defaultMaxAge
	}
	memory := time.Duration(l.DedupeTTLMs) * time.Millisecond
	margin := (memory/10 + time.Hour - 1).Truncate(time.Hour) // whole hours, rounded up
	return max(memory-max(margin, day), memory/2)
}

// maxErrorRunes bounds what is kept of a refusal's text.
const maxErrorRunes = 300

// clean makes text of a broker fit to be kept and shown.
func clean(text string) string {
	if len(text) > 8*maxErrorRunes {
		text = text[:8*maxErrorRunes]
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxErrorRunes {
		return string(runes[:maxErrorRunes]) + " …"
	}
	return text
}
