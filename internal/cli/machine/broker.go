package machine

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// NewBroker is the noun broker.
func NewBroker(a *shell.App) *cobra.Command {
	return shell.Noun("broker", "Run and inspect a broker",
		newBrokerServe(a), newBrokerStatus(a), newBrokerCheck(a), newBrokerBackup(a), newBrokerRestore(a))
}

func newBrokerServe(a *shell.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker in the foreground",
		Long: "Run a broker in the foreground: it keeps and routes messages that it cannot read. One process, one database file in " +
			"--data-dir; the other settings may stand in broker.json there.\n\n" +
			"Who may make meshes is decided by --create: holders of the token in the file create-token of the data folder (token), " +
			"everyone (open) or nobody (closed). Off this machine it needs a certificate, or a proxy that has one.",
		Example: "claudemesh broker serve --listen 0.0.0.0:443 --tls-cert chain.pem \\\n" +
			"    --tls-key key.pem --public-url https://mesh.example.com",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags, err := given(cmd.Flags())
			if err != nil {
				return err
			}
			return a.Sys.Services.Broker(cmd.Context(), a.Service(a.Home.Broker.Settings(), flags))
		},
	}
	f := cmd.Flags()
	f.String("listen", "127.0.0.1:7900", "`address` to listen on, host:port")
	f.String("public-url", "", "`url` under which others reach this broker")
	f.String("data-dir", "", "`folder` of the database; default ~/.claudemesh/broker")
	f.String("create", "token", "`who` may make meshes: token, open or closed")
	f.String("tls-cert", "", "certificate `file`")
	f.String("tls-key", "", "key `file` of the certificate")
	f.Bool("self-signed", false, "make a certificate, which invite links name, instead of --tls-cert")
	f.String("log-level", "info", "least `level` that is logged: debug, info, warn or error")
	shell.OfferWords(cmd, "create", "token", "open", "closed")
	shell.OfferWords(cmd, "log-level", "debug", "info", "warn", "error")
	return cmd
}

// given lists the settings that stand on the command line. Folders and files are made absolute.
func given(set *pflag.FlagSet) (map[string]string, error) {
	out := map[string]string{}
	var failed error
	set.Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if name, _ := pflag.UnquoteUsage(f); name == "folder" || name == "file" {
			abs, err := filepath.Abs(value)
			if err != nil {
				failed = mesh.Errorf(mesh.IOError, "make %s absolute: %w", value, err)
			}
			value = abs
		}
		out[f.Name] = value
	})
	return out, failed
}

func newBrokerStatus(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether this machine's broker runs",
		Long: "Show whether this machine's broker runs. The exit status is 1 when it does not run or does not answer.",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBrokerStatus(cmd.Context(), a) },
	}
}

// brokerStatusView is the JSON of broker status.
type brokerStatusView struct {
	shell.Header
	Running bool             `json:"running" jsonschema:"the broker of this user's folder runs"`
	PID     int              `json:"pid,omitzero"`
	URL     string           `json:"url"`
	Health  *protocol.Health `json:"health,omitzero" jsonschema:"what answers at url"`
}

func runBrokerStatus(ctx context.Context, a *shell.App) error {
	settings, err := brokerSettings(a)
	if err != nil {
		return err
	}
	v := brokerStatusView{Header: shell.NewHeader(), URL: brokerURL(settings)}
	if v.Running = brokerLives(a); v.Running {
		v.PID = local.ReadPID(a.Home.Broker.PID())
	}
	if health, err := brokerHealth(ctx, settings); err == nil {
		v.Health = &health
	}
	if err := a.Print(v, func(s term.Stream) { writeBrokerStatus(s, v) }); err != nil {
		return err
	}
	if !v.Running || v.Health == nil {
		return shell.Exit(mesh.ExitCancelled)
	}
	return nil
}

func writeBrokerStatus(s term.Stream, v brokerStatusView) {
	switch {
	case v.Running && v.Health != nil:
		s.OK("the broker runs", shell.Facts("pid "+strconv.Itoa(v.PID), v.Health.Version, "up "+shell.Span(time.Duration(v.Health.Uptime)*time.Second)))
	case v.Running:
		s.Warn("the broker runs" + pidFact(v.PID) + " and does not answer")
	case v.Health != nil:
		s.Off("this user's broker does not run; another one answers")
	default:
		s.Off("the broker does not run")
		s.Hint("claudemesh up starts one for this machine, claudemesh broker serve one for a team")
	}
	database := ""
	if v.Health != nil {
		database = v.Health.DB
	}
	s.Pairs([2]string{"url", v.URL}, [2]string{"database", database})
}

// brokerSettings are those of this machine's broker.
func brokerSettings(a *shell.App) (config.Broker, error) {
	return config.LoadBroker(config.Sources{File: a.Home.Broker.Settings(), Env: a.Sys.Lookup})
}

// brokerLives reports whether the broker of this user's data folder runs.
func brokerLives(a *shell.App) bool { return local.Locked(a.Home.Broker.Lock()) }

// brokerURL is the address of this machine's broker for people. One that has TLS speaks plain text to loopback, too.
func brokerURL(settings config.Broker) string {
	address := dialAddress(settings.Listen)
	if settings.TLSCert != "" || settings.SelfSigned && !loopback(address) {
		return "https://" + address
	}
	return "http://" + address
}

// dialAddress is where a listen address is reached from this machine.
func dialAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// maxHealth bounds what is read of a program that may be anything.
const maxHealth = 64 << 10

// brokerHealth asks what listens where this machine's broker should. No proxy is asked, and a certificate is not
// checked: it is made for another name, and nothing secret is said.
func brokerHealth(ctx context.Context, settings config.Broker) (protocol.Health, error) {
	var h protocol.Health
	ctx, cancel := context.WithTimeout(ctx, shell.ProbeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, brokerURL(settings)+protocol.PathHealth, nil)
	if err != nil {
		return h, mesh.Errorf(mesh.SettingsRefused, "broker address: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return h, mesh.Errorf(mesh.BrokerDown, "ask the broker: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return h, mesh.Errorf(mesh.BrokerDown, "ask the broker: %w", err)
	}
	if err := wire.Decode(body, &h); err != nil || !strings.EqualFold(h.Status, "ok") {
		return h, mesh.Errorf(mesh.BrokerDown, "what answers at %s is no broker", settings.Listen)
	}
	return h, nil
}
