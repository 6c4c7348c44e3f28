package cli

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
)

func newConfig(a *app) *cobra.Command {
	var broker bool
	show := &cobra.Command{
		Use: "print", Short: "Show the settings in force and where each came from", Args: a.noArgs,
		RunE: func(*cobra.Command, []string) error { return a.configPrint(broker) },
	}
	show.Flags().BoolVar(&broker, "broker", false, "those of this machine's broker")
	return noun("config", "Show settings", show)
}

// settingView is one element of the JSON of config print.
type settingView struct {
	Key     string        `json:"key"`
	Value   string        `json:"value"`
	Source  config.Source `json:"source"`
	Default string        `json:"default"`
	Env     string        `json:"env"`
	Doc     string        `json:"doc"`
}

func (a *app) configPrint(broker bool) error {
	explain, file := config.ExplainDaemon, a.home.Config.Settings()
	if broker {
		explain, file = config.ExplainBroker, a.home.Broker.Settings()
	}
	rows, err := explain(config.Sources{File: file, Env: a.sys.Lookup})
	if err != nil {
		return err
	}
	views := make([]settingView, 0, len(rows))
	for _, r := range rows {
		views = append(views, settingView{r.Key, r.Value, r.Source, r.Default, r.Env, r.Doc})
	}
	return a.print(views, func(s term.Stream) {
		for _, v := range views {
			s.Line("%s = %s %s", s.Paint(term.Bold, v.Key), term.Clean(v.Value), s.Paint(term.Dim, "("+string(v.Source)+")"))
		}
		s.Line("%s", s.Paint(term.Dim, file))
	})
}
