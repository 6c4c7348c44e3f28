package reference

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/claudemesh/claudemesh/internal/config"
)

// Config is docs/config.md: every setting. It fails only when a default is not allowed.
func Config() (string, error) {
	var b strings.Builder
	b.WriteString(Banner + "# Settings\n\nA flag wins over a variable, a variable over the file, the file over the default. `claudemesh config print` shows what is\n" +
		"in force and where it came from.\n")
	for _, part := range []struct {
		title, intro string
		explain      func(config.Sources) ([]config.Row, error)
	}{
		{"Daemon and verbs", "In `~/.claudemesh/settings.json`, one JSON object.", config.ExplainDaemon},
		{"Broker", "In `broker.json` of its data folder, one JSON object.", config.ExplainBroker},
	} {
		rows, err := part.explain(config.Sources{})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", part.title, part.intro)
		head(&b, "Name", "Kind", "Default", "Variable", "Meaning")
		for _, r := range rows {
			kind := r.Kind
			if r.Allowed != "" {
				kind += ", " + r.Allowed
			}
			row(&b, cmp.Or(code(r.Key), "not in the file"), prose(kind), code(r.Default), code(r.Env), prose(r.Doc))
		}
	}
	return b.String(), nil
}
