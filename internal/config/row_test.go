package config

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/paths"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	in := Sources{File: settings(t, `{"inbox_retention": "36h"}`), Env: env("CLAUDEMESH_LOG_LEVEL", "WARN")}
	rows, err := ExplainDaemon(in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Row{
		"inbox_retention": {
			Key: "inbox_retention", Flag: "inbox-retention", Env: "CLAUDEMESH_INBOX_RETENTION", Kind: "duration", Allowed: "at least 1m",
			Value: "36h", Source: FromFile, Default: "720h", Doc: "How long messages stay in the inbox, read or not. Held ones, too: read them in time.",
		},
		"tcp_port": {
			Key: "tcp_port", Flag: "tcp-port", Env: "CLAUDEMESH_TCP_PORT", Kind: "number", Allowed: "0 to 65535",
			Value: "47823", Source: FromDefault, Default: "47823", Doc: "Port of the TCP listener. 0 takes any free one.",
		},
		"log_level": {
			Key: "log_level", Flag: "log-level", Env: "CLAUDEMESH_LOG_LEVEL", Kind: "text",
			Value: "warn", Source: FromEnv, Default: "info", Doc: "Least level that is logged: debug, info, warn or error.",
		},
	}
	got := map[string]Row{}
	for _, row := range rows {
		if _, ok := want[row.Key]; ok {
			got[row.Key] = row
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if rows[0].Key != "broker_url" {
		t.Errorf("got %s first, want the order of the declaration", rows[0].Key)
	}
	if _, err := ExplainDaemon(Sources{File: settings(t, `{`)}); err == nil {
		t.Error("got rows of a broken file, want its error")
	}
}

// TestDeclarations walks both structs: each setting has all it needs, and no two clash.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	daemon, err := ExplainDaemon(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	broker, err := ExplainBroker(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for prefix, rows := range map[string][]Row{"CLAUDEMESH_": daemon, "CLAUDEMESH_BROKER_": broker} {
		flags := map[string]bool{}
		for _, row := range rows {
			checkRow(t, row, prefix)
			if flags[row.Flag] {
				t.Errorf("two settings have the flag --%s, want one", row.Flag)
			}
			if other, ok := variables[row.Env]; ok {
				t.Errorf("%s sets %s and %s, want one setting for one variable", row.Env, other, row.Flag)
			}
			flags[row.Flag], variables[row.Env] = true, row.Flag
		}
	}
}

func checkRow(t *testing.T, row Row, prefix string) {
	t.Helper()
	if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(row.Flag) {
		t.Errorf("got flag %q, want lower-case words", row.Flag)
	}
	want := prefix + strings.ToUpper(strings.ReplaceAll(row.Flag, "-", "_"))
	if row.Flag == "data-dir" {
		want = paths.BrokerVariable
	}
	if row.Env != want {
		t.Errorf("%s: got variable %s, want %s", row.Flag, row.Env, want)
	}
	if row.Key == "" && row.Flag != "data-dir" {
		t.Errorf("%s cannot be set in the file, want only data-dir kept out", row.Flag)
	}
	if !strings.HasSuffix(row.Doc, ".") {
		t.Errorf("%s: got the text %q, want sentences", row.Flag, row.Doc)
	}
	if row.Value != row.Default {
		t.Errorf("%s: the default %q reads back as %q, want it written as it is shown", row.Flag, row.Default, row.Value)
	}
	if bytes := strings.HasSuffix(row.Key, "_bytes"); bytes && row.Kind != "number" {
		t.Errorf("%s: got a %s, want a number of bytes", row.Key, row.Kind)
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "1ms": time.Millisecond, "20s": 20 * time.Second, "10m": 10 * time.Minute, "10m20s": 10*time.Minute + 20*time.Second,
		"168h": 168 * time.Hour, "10h10m": 10*time.Hour + 10*time.Minute, "1h0m10s": time.Hour + 10*time.Second,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("got %q for %d ns, want %q", got, d, want)
		}
	}
}
