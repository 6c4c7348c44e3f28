package queue

import (
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// calm is how long a fault must stay away to be over: on a disk that is almost full small groups are stored between those
// that are refused.
const calm = 30 * time.Second

// spell is a time of a fault that comes again and again. The log has its begin and its end, not each return.
type spell struct {
	begin, end string // what the log says

	ill    bool
	worked bool // since last
	last   time.Time
}

// note takes note of how it went once.
func (s *spell) note(now time.Time, log *slog.Logger, err error) {
	if err == nil {
		s.worked = true
		return
	}
	if !s.ill {
		log.Error(s.begin, slog.Any(logkey.Err, err))
	}
	s.ill, s.worked, s.last = true, false, now
}

// settle ends the spell when it has gone well since the fault, which stayed away for long enough.
func (s *spell) settle(now time.Time, log *slog.Logger) {
	if s.ill && s.worked && now.Sub(s.last) >= calm {
		s.ill = false
		log.Info(s.end)
	}
}
