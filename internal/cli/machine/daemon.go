package machine

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewDaemon is the noun daemon, with the outbox under it.
func NewDaemon(a *shell.App) *cobra.Command {
	cmd := shell.Noun("daemon", "Run and inspect this user's daemon",
		newDaemonUp(a), newDaemonStatus(a), newDaemonVersion(a), newDaemonDown(a), newDaemonRestart(a), newOutbox(a),
		newDaemonLogs(a), newAcceptHost(a), newDaemonCheck(a), newDaemonBackup(a), newDaemonRestore(a), newDaemonRepair(a),
		newInstallService(a), newUninstallService(a))
	cmd.Long = "Run and inspect this user's daemon. It holds the keys, the connections and the messages on their way; verbs start it " +
		"when they need it."
	other := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help() // scripts probe with it: usage on stdout, status 0 (daemon 2.6)
		}
		return other(cmd, args)
	}
	return cmd
}

type daemonUpFlags struct {
	foreground bool
	tcp        bool
	noTCP      bool
	mesh       string
	name       string
	managed    bool
	health     bool
}

func newDaemonUp(a *shell.App) *cobra.Command {
	var f daemonUpFlags
	cmd := &cobra.Command{
		Use: "up", Aliases: []string{"start"},
		Short: "Start the daemon",
		Long: "Start the daemon in the background, for all joined meshes. Verbs that need it start it by themselves. With --mesh the other " +
			"meshes that are joined now stay out until the next start; one that is joined later does not.",
		Example: "claudemesh daemon up\nclaudemesh daemon up --foreground\nclaudemesh daemon up --mesh team",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := map[string]string{}
			switch {
			case f.managed && f.mesh != "": // as older service units have it: new meshes would be ignored (lessons 1, row 24)
				a.Warn("--mesh has no effect in a service: the daemon serves all joined meshes")
			case cmd.Flags().Changed("mesh"):
				if f.mesh == "" {
					return shell.Usage(cmd, "--mesh is empty")
				}
				settings["meshes"] = f.mesh
			}
			if f.name != "" {
				a.Warn("--name has no effect any more: `claudemesh join --name` says how a mesh calls you")
			}
			if f.tcp || f.noTCP || cmd.Flags().Changed("tcp") {
				settings["tcp"] = strconv.FormatBool(f.tcp && !f.noTCP)
			}
			if f.health {
				settings["tcp-public-health"] = "true"
			}
			if f.foreground {
				return serve(cmd.Context(), a, settings, f.managed)
			}
			return runDaemonUp(cmd.Context(), a, settings)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.foreground, "foreground", false, "stay in the foreground and log there")
	fl.BoolVar(&f.tcp, "tcp", false, "serve on 127.0.0.1 too, for holders of the local token")
	fl.BoolVar(&f.noTCP, "no-tcp", false, "serve on the socket only, whatever the settings say")
	fl.BoolVar(&f.health, "tcp-public-health", false, "say on 127.0.0.1 to anybody that the daemon lives, and nothing else")
	fl.BoolVar(&f.health, "public-health", false, "as older scripts have it")
	fl.BoolVar(&f.managed, "service-managed", false, "end well where another start could not help; for service managers")
	fl.StringVar(&f.mesh, "mesh", "", "serve this mesh only, by its short `name`; several with commas between them")
	fl.StringVar(&f.name, "name", "", "as older service units have it")
	fl.Lookup("service-managed").Hidden, fl.Lookup("public-health").Hidden = true, true
	fl.Lookup("name").Hidden = true
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// daemonUpView is the JSON of daemon up and daemon restart.
type daemonUpView struct {
	shell.Header
	OK       bool   `json:"ok"`
	Detached bool   `json:"detached"`
	PID      int    `json:"pid"`
	Log      string `json:"log"`
}

func runDaemonUp(ctx context.Context, a *shell.App, settings map[string]string) error {
	if len(settings) > 0 && shell.HasUnit(a) {
		a.Warn("the system's service manager starts the daemon, and no flag reaches it: put %s into %s", settingsText(settings), a.Home.Config.Settings())
	}
	if err := checkServed(ctx, a, settings); err != nil {
		return err
	}
	if err := settleHost(ctx, a); err != nil {
		return err
	}
	pid, started, err := ensureDaemon(ctx, a, settings)
	if err != nil {
		return err
	}
	if !started {
		return mesh.Errorf(mesh.AlreadyRunning, "the daemon runs already (pid %d)", pid)
	}
	return printDaemonUp(a, pid)
}

// printDaemonUp shows a daemon that runs.
func printDaemonUp(a *shell.App, pid int) error {
	v := daemonUpView{shell.NewHeader(), true, true, pid, a.Home.Daemon.Log()}
	return a.Print(v, func(s term.Stream) { s.OK("the daemon runs", shell.Facts("pid "+strconv.Itoa(v.PID), "log "+v.Log)) })
}

// checkServed finds a mesh that is not joined before a daemon is started for it: verbs that start one would have to wait
// until its failure is forgotten.
func checkServed(ctx context.Context, a *shell.App, settings map[string]string) error {
	if settings["meshes"] == "" || a.Starter().Lives() {
		return nil
	}
	_, tried, err := a.Sys.Services.InProcess(ctx, a.DaemonService(settings))
	if err != nil {
		return err
	}
	return tried.Close()
}

// settingsText writes settings as they stand in a file.
func settingsText(settings map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, strings.ReplaceAll(name, "-", "_")+" = "+settings[name])
	}
	return strings.Join(all, ", ")
}

// ensureDaemon makes the daemon answer, and says whether it had to be started.
func ensureDaemon(ctx context.Context, a *shell.App, settings map[string]string) (pid int, started bool, err error) {
	if err := shell.Renew(ctx, a); err != nil {
		return 0, false, err
	}
	if health, err := shell.Ask(ctx, a, localapi.Health, shell.ProbeTime, localapi.None{}); err == nil {
		return health.PID, false, nil
	}
	starter, before := a.Starter(), 0
	starter.Insist = true
	for name, value := range settings {
		if name == "meshes" {
			name = "mesh" // as the flag is called
		}
		starter.Flags = append(starter.Flags, "--"+name+"="+value)
	}
	if starter.Lives() { // it may be slow, or about to end
		before = local.ReadPID(a.Home.Daemon.PID())
	}
	if _, err := starter.Start(ctx); err != nil {
		return 0, false, err
	}
	health, err := shell.Ask(ctx, a, localapi.Health, shell.ProbeTime, localapi.None{})
	return health.PID, health.PID != before, err
}

func newDaemonStatus(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether the daemon runs and how each mesh does",
		Long: "Show whether the daemon runs and how each mesh does. The exit status is 1 when it does not run or does not answer.",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemonStatus(cmd.Context(), a) },
	}
}

// daemonStatusView is the JSON of daemon status.
type daemonStatusView struct {
	shell.Header
	Running  bool                   `json:"running"`
	PID      int                    `json:"pid,omitzero"`
	Health   *localapi.HealthAnswer `json:"health,omitzero"`
	IPCError string                 `json:"ipc_error,omitzero"`
}

func runDaemonStatus(ctx context.Context, a *shell.App) error {
	v := daemonStatusView{Header: shell.NewHeader()}
	health, err := shell.Ask(ctx, a, localapi.Health, shell.ProbeTime, localapi.None{})
	switch {
	case err == nil:
		v.Running, v.PID, v.Health = true, health.PID, &health
	case a.Starter().Lives():
		v.Running, v.PID, v.IPCError = true, local.ReadPID(a.Home.Daemon.PID()), mesh.PublicText(err)
		if mesh.IsCode(err, mesh.DaemonDown) {
			v.IPCError = "nobody listens at " + a.Home.Daemon.Socket()
		}
	}
	if err := a.Print(v, func(s term.Stream) { writeDaemonStatus(s, v) }); err != nil {
		return err
	}
	if v.Health == nil {
		return shell.Exit(mesh.ExitCancelled) // 1: scripts test it (cli 4)
	}
	return nil
}

func writeDaemonStatus(s term.Stream, v daemonStatusView) {
	switch {
	case !v.Running:
		s.Off("the daemon does not run")
		s.Hint("claudemesh daemon up")
		return
	case v.Health == nil:
		s.Warn("the daemon runs" + pidFact(v.PID) + " and does not answer: " + v.IPCError)
		return
	}
	up := time.Duration(v.Health.UptimeS) * time.Second
	s.OK("the daemon runs", shell.Facts("pid "+strconv.Itoa(v.PID), v.Health.Version, "up "+shell.Span(up)))
	if len(v.Health.Meshes) == 0 {
		shell.NothingJoined(s)
	}
	var rows [][2]string
	for _, m := range v.Health.Meshes {
		failed := ""
		if m.OutboxDead > 0 {
			failed = shell.Count(m.OutboxDead, "message", "messages") + " failed"
		}
		rows = append(rows, [2]string{m.Mesh, shell.Facts(m.Status, shell.Waiting(m.OutboxPending), failed, shell.Count(m.Sessions, "session", "sessions"))})
		if m.LastError != "" {
			rows = append(rows, [2]string{"", m.LastError})
		}
	}
	s.Rows(rows...)
}

func newDaemonVersion(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show version and features of the running daemon",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemonVersion(cmd.Context(), a) },
	}
}

// daemonVersionView is the JSON of daemon version.
type daemonVersionView struct {
	shell.Header
	DaemonVersion string   `json:"daemon_version"`
	IPCAPI        string   `json:"ipc_api"`
	IPCFeatures   []string `json:"ipc_features"`
	IPCSchema     int      `json:"ipc_schema_version"`
}

func runDaemonVersion(ctx context.Context, a *shell.App) error {
	answer, err := shell.Ask(ctx, a, localapi.Version, shell.ProbeTime, localapi.None{})
	if err != nil {
		return err
	}
	v := daemonVersionView{shell.NewHeader(), answer.DaemonVersion, answer.IPCAPI, answer.IPCFeatures, answer.SchemaVersion}
	return a.Print(v, func(s term.Stream) { writeDaemonVersion(s, v) })
}

func writeDaemonVersion(s term.Stream, v daemonVersionView) {
	s.Pairs([2]string{"daemon", v.DaemonVersion}, [2]string{"ipc", v.IPCAPI + ", schema " + strconv.Itoa(v.IPCSchema)})
	for i, line := range term.Wrap(strings.Join(v.IPCFeatures, ", "), term.Columns-10) {
		s.Line("%s%s", s.Paint(term.Dim, term.Pad([]string{"serves", ""}[min(i, 1)], 8)), term.Clean(line))
	}
}

func newDaemonDown(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "down", Aliases: []string{"stop"},
		Short: "Stop the daemon",
		Long:  "Stop the daemon. Nothing is lost: what is on its way waits. The next verb that needs the daemon starts it again.",
		Args:  a.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDaemonDown(cmd.Context(), a) },
	}
}

// stoppedView is the JSON of daemon down.
type stoppedView struct {
	shell.Header
	stopped
}

func runDaemonDown(ctx context.Context, a *shell.App) error {
	if err := shell.Outside(a, "the daemon is stopped"); err != nil {
		return err
	}
	what, err := stopDaemon(ctx, a)
	if err != nil {
		return err
	}
	if err := a.Print(stoppedView{shell.NewHeader(), what}, func(s term.Stream) { writeStopped(s, "the daemon", what) }); err != nil {
		return err
	}
	if what.Reason == reasonTimeout {
		return shell.Exit(mesh.ExitCancelled) // 1, as scripts know it (daemon 2.6)
	}
	return nil
}

func stopDaemon(ctx context.Context, a *shell.App) (stopped, error) {
	return stop(ctx, a.Starter().Lives, a.Home.Daemon.PID())
}
