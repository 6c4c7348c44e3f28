package gate

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	member := Message{Opened: true, Known: true}
	own := func(m host.Mode) Message { return Message{Opened: true, Known: true, Own: m} }
	mode := func(m host.Mode) host.Rules { return host.Rules{Mode: m} }
	inbound := func(m host.Mode, i host.Inbound) host.Rules { return host.Rules{Mode: m, Inbound: i} }
	tests := []struct {
		name    string
		rules   host.Rules
		message Message
		verdict Verdict
		reason  Reason
	}{
		{"attended: a member's box", mode(host.Default), member, Show, None},
		{"attended: plan", mode(host.Plan), member, Show, None},
		{"attended: accepts edits", mode(host.AcceptEdits), member, Show, None},
		{"attended: auto", mode(host.Auto), member, Show, None},
		{"attended: own session, whatever its mode", mode(host.AcceptEdits), own(host.Plan), Show, None},
		{"attended: own session before any roster", mode(host.Default), Message{Opened: true, Own: host.Plan}, Show, None},
		{"attended: a box of a stranger", mode(host.Default), Message{Opened: true}, HeaderOnly, Unproved},
		{"attended: plaintext under a member's name", mode(host.Default), Message{Known: true}, HeaderOnly, Unproved},
		{"attended: plaintext under an own session's name", mode(host.Default), Message{Known: true, Own: host.Bypass}, HeaderOnly, Unproved},
		{"attended: nothing known", mode(host.Default), Message{}, HeaderOnly, Unproved},

		{"attended: plaintext with its sender's proof", mode(host.Default), Message{Verified: true}, Show, None},
		{"attended: a member's box that proves less than before", mode(host.Default), Message{Opened: true}, HeaderOnly, Unproved},

		{"bypass: a member's box", mode(host.Bypass), member, Hold, Unattended},
		{"bypass: a proof", mode(host.Bypass), Message{Opened: true, Known: true, Verified: true}, Hold, Unattended},
		{"bypass: a proof of somebody trusted with it", mode(host.Bypass), Message{Verified: true, Unattended: true}, Show, None},
		{"bypass: the name of somebody trusted with it", mode(host.Bypass), Message{Opened: true, Known: true, Unattended: true}, Hold, Unattended},
		{"bypass: a proof of somebody named at its start", mode(host.Bypass), Message{Verified: true, Accepted: true}, Show, None},
		{"bypass: the name of somebody named at its start", mode(host.Bypass), Message{Opened: true, Known: true, Accepted: true}, Hold, Unattended},
		{"bypass: an own session that asks, named at its start", mode(host.Bypass), Message{Opened: true, Known: true, Own: host.Default, Accepted: true}, Show, None},
		{"bypass: plaintext under an own session's name, named", mode(host.Bypass), Message{Known: true, Own: host.Bypass, Accepted: true}, Hold, Unattended},
		{"host holds who is named at its start, too", inbound(host.Bypass, host.Held), Message{Verified: true, Accepted: true}, Hold, HostHolds},
		{"host holds who is trusted, too", inbound(host.Bypass, host.Held), Message{Verified: true, Unattended: true}, Hold, HostHolds},
		{"bypass: own session in bypass", mode(host.Bypass), own(host.Bypass), Show, None},
		{"bypass: own session in dontAsk", mode(host.Bypass), own(host.DontAsk), Hold, Unattended},
		{"bypass: own session that asks", mode(host.Bypass), own(host.Default), Hold, Unattended},
		{"bypass: plaintext under an own session's name", mode(host.Bypass), Message{Known: true, Own: host.Bypass}, Hold, Unattended},
		{"bypass: a stranger", mode(host.Bypass), Message{}, Hold, Unattended},
		{"dontAsk: a member's box", mode(host.DontAsk), member, Hold, Unattended},
		{"dontAsk: own session in dontAsk", mode(host.DontAsk), own(host.DontAsk), Show, None},
		{"dontAsk: own session in bypass", mode(host.DontAsk), own(host.Bypass), Show, None},
		{"dontAsk: own session in auto", mode(host.DontAsk), own(host.Auto), Hold, Unattended},

		{"unreadable counts as bypass", mode(""), member, Hold, Unattended},
		{"unknown counts as bypass", mode("new"), member, Hold, Unattended},
		{"unreadable: own session in bypass", mode(""), own(host.Bypass), Show, None},

		{"host holds", inbound(host.Default, host.Held), member, Hold, HostHolds},
		{"host holds own sessions too", inbound(host.Bypass, host.Held), own(host.Bypass), Hold, HostHolds},
		{"host refuses", inbound(host.Default, host.Refuse), member, Hold, HostRefuses},
		{"host refuses own sessions too", inbound(host.Default, host.Refuse), own(host.Bypass), Hold, HostRefuses},
		{"host accepts: attended", inbound(host.Default, host.Accept), member, Show, None},
		{"host accepts: that opens nothing", inbound(host.Bypass, host.Accept), member, Hold, Unattended},
		{"isolation is about what leaves", host.Rules{Mode: host.Default, IsolateMachines: true}, member, Show, None},
	}
	for _, tt := range tests {
		verdict, reason := Decide(Session{Rules: tt.rules}, tt.message, Push)
		if verdict != tt.verdict || reason != tt.reason {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, verdict, reason, tt.verdict, tt.reason)
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	isolated := host.Rules{IsolateMachines: true}
	if err := Send(isolated, false); !mesh.IsCode(err, mesh.HumanOnly) {
		t.Errorf("isolated, off the machine: got %v, want human_only", err)
	}
	if err := Send(isolated, true); err != nil {
		t.Errorf("isolated, on the machine: %v", err)
	}
	if err := Send(host.Rules{Mode: host.Bypass}, false); err != nil {
		t.Errorf("not isolated: %v", err)
	}
}

// noticeEvery is the interval of the tests.
const noticeEvery = 10 * time.Minute

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := Limiter{Every: noticeEvery}
	at := time.Unix(1_700_000_000, 0)
	steps := []struct {
		name    string
		session string
		reason  Reason
		after   time.Duration
		want    bool
	}{
		{"first", "a", Unattended, 0, true},
		{"again", "a", Unattended, 0, false},
		{"another session", "b", Unattended, time.Minute, true},
		{"just before", "a", Unattended, 9*time.Minute - time.Nanosecond, false},
		{"ten minutes", "a", Unattended, time.Nanosecond, true},
		{"the host holds", "c", HostHolds, 0, false},
		{"the host refuses", "c", HostRefuses, 0, false},
		{"nothing is held", "c", None, 0, false},
		{"header shown", "c", Unproved, 0, false},
		{"the clock was set back", "a", Unattended, -time.Hour, true},
	}
	for _, s := range steps {
		at = at.Add(s.after)
		if got := l.Allow(s.session, s.reason, at); got != s.want {
			t.Errorf("%s: got %v, want %v", s.name, got, s.want)
		}
	}
	l.Allow("z", Unattended, at.Add(noticeEvery))
	if len(l.told) != 1 {
		t.Errorf("%d sessions are remembered after ten minutes, want 1", len(l.told))
	}
}
