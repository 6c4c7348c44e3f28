package machine

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
)

// NewConfig is the noun config: the settings in force.
func NewConfig(a *shell.App) *cobra.Command {
	var broker bool
	show := &cobra.Command{
		Use: "print", Short: "Show the settings in force and where each came from",
		Long: "Show the settings in force and where each came from: a flag wins over a variable, a variable over the file, the file over " +
			"the default.",
		Example: "claudemesh config print --json=key,value,source",
		Args:    a.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runConfig(a, broker) },
	}
	show.Flags().BoolVar(&broker, "broker", false, "those of this machine's broker")
	return shell.Noun("config", "Show settings", show)
}

// settingView is one element of the JSON of config print.
type settingView struct {
	Key     string        `json:"key" jsonschema:"empty when the file cannot set it"`
	Flag    string        `json:"flag"`
	Env     string        `json:"env"`
	Value   string        `json:"value"`
	Source  config.Source `json:"source"`
	Default string        `json:"default"`
	Doc     string        `json:"doc"`
}

func runConfig(a *shell.App, broker bool) error {
	explain, file := config.ExplainDaemon, a.Home.Config.Settings()
	if broker {
		explain, file = config.ExplainBroker, a.Home.Broker.Settings()
	}
	rows, err := explain(config.Sources{File: file, Env: a.Sys.Lookup})
	if err != nil {
		return err
	}
	views := make([]settingView, 0, len(rows))
	for _, r := range rows {
		views = append(views, settingView{r.Key, r.Flag, r.Env, r.Value, r.Source, r.Default, r.Doc})
	}
	return a.Print(views, func(s term.Stream) { writeSettings(s, views, file) })
}

func writeSettings(s term.Stream, settings []settingView, file string) {
	for _, v := range settings {
		s.Line("%s = %s %s", s.Paint(term.Bold, cmp.Or(v.Key, v.Env)), term.Clean(cmp.Or(v.Value, `""`)), s.Paint(term.Dim, "("+string(v.Source)+")"))
	}
	s.Line("%s", s.Paint(term.Dim, file))
}
