package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Source says where the value in force came from.
type Source string

// The sources, weakest first.
const (
	FromDefault Source = "default"
	FromFile    Source = "file"
	FromEnv     Source = "env"
	FromFlag    Source = "flag"
)

// Row is one setting as `config print` and the reference page show it. Values are written as a flag takes them.
type Row struct {
	Key     string // name in the file; empty when the file cannot set it
	Flag    string // without its dashes
	Env     string
	Kind    string // duration, number, true or false, list, text
	Allowed string // in words; empty means every value of the kind
	Value   string
	Source  Source
	Default string
	Doc     string
}

// rows describes the settings in the struct that loaded points to; origins are those that load returned.
func rows(loaded any, origins []Source) []Row {
	fields := fieldsOf(loaded)
	out := make([]Row, len(fields))
	for i, f := range fields {
		out[i] = Row{
			Key: f.key, Flag: f.flag, Env: f.env, Kind: f.kind(), Allowed: f.allowed(),
			Value: format(f.value.Interface()), Source: origins[i], Default: f.standard, Doc: f.doc,
		}
		if f.notInFile {
			out[i].Key = ""
		}
	}
	return out
}

// format writes a value as a flag takes it.
func format(value any) string {
	switch v := value.(type) {
	case time.Duration:
		return formatDuration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(value)
}

// formatDuration leaves out the parts that are zero: 168h, not 168h0m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
