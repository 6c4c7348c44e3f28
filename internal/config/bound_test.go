package config

import (
	"slices"
	"testing"
)

// unbounded are the settings of a broker with a number or a duration that turn nothing away, each with what it is instead.
var unbounded = map[string]string{
	"lease":          "what is not acknowledged in time is pushed again",
	"ping_interval":  "how often a peer is asked",
	"presence_lease": "how long others wait for a peer to come back",
	"status_ttl":     "when a status is no longer believed",
	"status_fresh":   "when a status gives way to a weaker source",
	"shutdown_grace": "how long a broker that stops waits",
}

// Every number that an operator can set for a broker is a bound, with its row, or is known not to be one.
func TestEveryLimitIsDeclared(t *testing.T) {
	t.Parallel()
	settings, err := ExplainBroker(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]BoundRow{}
	for _, r := range Bounds() {
		if _, twice := rows[string(r.Bound)]; twice || r.Then == "" || r.Code != "" && !r.Code.Known() {
			t.Errorf("%+v: want one row with a known code and a sentence", r)
		}
		rows[string(r.Bound)] = r
		if !slices.ContainsFunc(settings, func(s Row) bool { return s.Key == string(r.Bound) }) {
			t.Errorf("%s is no setting of a broker", r.Bound)
		}
	}
	for _, s := range settings {
		_, bound := rows[s.Key]
		_, known := unbounded[s.Key]
		if number := s.Kind == "number" || s.Kind == "duration"; number && bound == known || !number && bound {
			t.Errorf("%s: want a row in Bounds, or a reason in unbounded why it is none", s.Key)
		}
	}
}
