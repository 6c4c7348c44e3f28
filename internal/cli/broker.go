package cli

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

func newBroker(a *app) *cobra.Command {
	return noun("broker", "Run and inspect a broker", newBrokerServe(a), newBrokerStatus(a))
}

func newBrokerServe(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker in the foreground",
		Long: "Run a broker: it keeps and routes what it cannot read. One process, one database file in --data-dir.\n\n" +
			"Who may make meshes is decided by --create: token (the file create-token in the data folder), open or closed.",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.sys.Services.Broker(cmd.Context(), a.service(changed(cmd.Flags())))
		},
	}
	f := cmd.Flags()
	f.String("listen", "127.0.0.1:7900", "`address` to listen on")
	f.String("public-url", "", "`url` under which others reach this broker")
	f.String("data-dir", "", "`folder` of the database; default ~/.claudemesh/broker")
	f.String("create", "token", "who may make meshes: token, open or closed")
	f.String("tls-cert", "", "certificate `file`")
	f.String("tls-key", "", "key `file` of the certificate")
	f.String("log-level", "info", "debug, info, warn or error")
	return cmd
}

// changed gives the flags that stand on the command line.
func changed(f *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	f.Visit(func(f *pflag.Flag) { out[f.Name] = f.Value.String() })
	return out
}

func newBrokerStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether this machine's broker runs",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.brokerStatus(cmd.Context()) },
	}
}

// brokerStatusView is the JSON of broker status.
type brokerStatusView struct {
	header
	Running bool             `json:"running"`
	PID     int              `json:"pid,omitzero"`
	URL     string           `json:"url"`
	Health  *protocol.Health `json:"health,omitzero"`
}

func (a *app) brokerStatus(ctx context.Context) error {
	settings, err := a.brokerSettings()
	if err != nil {
		return err
	}
	v := brokerStatusView{header: newHeader(), URL: "http://" + settings.Listen, PID: readPID(a.home.Broker.PID())}
	health, err := brokerHealth(ctx, settings.Listen)
	if err == nil {
		v.Running, v.Health = true, &health
	}
	if err := a.print(v, func(s term.Stream) { writeBrokerStatus(s, v) }); err != nil {
		return err
	}
	if !v.Running {
		return exitError(mesh.ExitCancelled)
	}
	return nil
}

func writeBrokerStatus(s term.Stream, v brokerStatusView) {
	if !v.Running {
		s.Line("%s no broker answers at %s", s.Paint(term.Dim, "○"), v.URL)
		s.Hint("claudemesh up starts one for this machine, claudemesh broker serve one for a team")
		return
	}
	s.OK("the broker runs", "pid "+strconv.Itoa(v.PID)+", "+v.Health.Version)
	s.Pairs([2]string{"url", v.URL}, [2]string{"database", v.Health.DB}, [2]string{"up for", (time.Duration(v.Health.Uptime) * time.Second).String()})
}

// brokerSettings are those of this machine's broker.
func (a *app) brokerSettings() (config.Broker, error) {
	return config.LoadBroker(config.Sources{File: a.home.Broker.Settings(), Env: a.sys.Lookup})
}

// brokerHealth asks the broker behind an address of this machine.
func brokerHealth(ctx context.Context, listen string) (protocol.Health, error) {
	var h protocol.Health
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+protocol.PathHealth, nil)
	if err != nil {
		return h, mesh.Errorf(mesh.BadRequest, "broker address: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, mesh.Errorf(mesh.BrokerDown, "ask the broker: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return h, mesh.Errorf(mesh.BrokerDown, "ask the broker: %w", err)
	}
	if err := wire.Decode(body, &h); err != nil || !strings.EqualFold(h.Status, "ok") {
		return h, mesh.Errorf(mesh.BrokerDown, "what answers at %s is no broker", listen)
	}
	return h, nil
}
