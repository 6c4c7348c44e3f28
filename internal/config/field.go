package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/wire"
)

// field is one setting: its tags, and where its value goes.
type field struct {
	key, flag, env, doc string
	standard            string // default, as a flag would say it
	min, max            string // bounds of numbers and durations; empty means none
	oneof               []string
	notInFile           bool
	value               reflect.Value
}

// fieldsOf reads the tags of the struct that dst points to.
func fieldsOf(dst any) []field {
	value := reflect.ValueOf(dst).Elem()
	fields := make([]field, value.NumField())
	for i := range fields {
		tag := value.Type().Field(i).Tag
		key := tag.Get("key")
		fields[i] = field{
			key: key, flag: strings.ReplaceAll(key, "_", "-"), env: tag.Get("env"), doc: tag.Get("doc"),
			standard: tag.Get("default"), min: tag.Get("min"), max: tag.Get("max"), oneof: strings.Fields(tag.Get("oneof")),
			notInFile: tag.Get("file") == "no", value: value.Field(i),
		}
	}
	return fields
}

// kind names the type of the value in documents.
func (f field) kind() string {
	switch f.value.Interface().(type) {
	case time.Duration:
		return "duration"
	case int, int64:
		return "number"
	case bool:
		return "true or false"
	case []string:
		return "list"
	}
	return "text"
}

// setJSON sets the value as the file writes it: numbers, booleans and lists as JSON, all else as text.
func (f field) setJSON(written jsontext.Value) error {
	switch kind := written.Kind(); f.value.Interface().(type) {
	case int, int64:
		if kind != '0' {
			return fmt.Errorf("want a number, got %s", written)
		}
		return f.setText(string(written))
	case bool:
		if kind != 't' && kind != 'f' {
			return fmt.Errorf("want true or false, got %s", written)
		}
		return f.setText(string(written))
	case []string:
		var list []string
		if err := wire.Decode(written, &list); err != nil || kind != '[' {
			return fmt.Errorf("want a list of texts, got %s", written)
		}
		return f.put(reflect.ValueOf(list))
	}
	var text string
	if err := wire.Decode(written, &text); err != nil || written.Kind() != '"' {
		return fmt.Errorf("want text in quotes, got %s", written)
	}
	return f.setText(text)
}

// setText sets the value as flags and variables write it: lists with commas.
func (f field) setText(text string) error {
	value, err := f.parse(text)
	if err != nil {
		return err
	}
	return f.put(reflect.ValueOf(value))
}

func (f field) parse(text string) (any, error) {
	switch f.value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		return d, plain(err, "want a duration such as 90s or 24h, got %q", text)
	case int:
		n, err := strconv.Atoi(text)
		return n, plain(err, "want a whole number, got %q", text)
	case int64:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, plain(err, "want a whole number, got %q", text)
	case bool:
		on, err := strconv.ParseBool(text)
		return on, plain(err, "want true or false, got %q", text)
	case slog.Level:
		var level slog.Level
		err := level.UnmarshalText([]byte(text))
		return level, plain(err, "want debug, info, warn or error, got %q", text)
	case []string:
		return splitList(text), nil
	}
	return text, nil
}

// plain replaces the error of a parser, which speaks to programmers.
func plain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// splitList takes apart a list with commas; empty text is an empty list.
func splitList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// put stores a value that f allows.
func (f field) put(value reflect.Value) error {
	if !f.allows(value) {
		return fmt.Errorf("want %s, got %s", f.allowed(), format(value.Interface()))
	}
	f.value.Set(value)
	return nil
}

func (f field) allows(value reflect.Value) bool {
	if len(f.oneof) > 0 && !slices.Contains(f.oneof, value.String()) {
		return false
	}
	return (f.min == "" || value.Int() >= f.bound(f.min)) && (f.max == "" || value.Int() <= f.bound(f.max))
}

// bound reads a bound, which is written as a value is.
func (f field) bound(text string) int64 { return reflect.ValueOf(must(f.parse(text))).Int() }

// allowed says in words which values f allows; empty means all of its kind.
func (f field) allowed() string {
	switch {
	case len(f.oneof) > 0:
		return strings.Join(f.oneof, ", ")
	case f.min != "" && f.max != "":
		return f.min + " to " + f.max
	case f.min != "":
		return "at least " + f.min
	}
	return ""
}
