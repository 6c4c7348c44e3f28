package machine

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/unit"
)

func newInstallService(a *shell.App) *cobra.Command {
	var inCI bool
	cmd := &cobra.Command{
		Use:   "install-service",
		Short: "Have the system start the daemon at each login",
		Long: "Have the system's service manager start the daemon now and at each login: a user unit of systemd, an agent of launchd, or a " +
			"task of Windows. It starts the daemon again after a crash, with growing pauses. Verbs then leave starting to it. Run it again after " +
			"the program has moved.",
		Example: "claudemesh daemon install-service",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.Env.CI != "" && !inCI {
				return mesh.Errorf(mesh.Forbidden, "%s says that this is a CI system, where a service outlives its job; --allow-ci-persistent installs it all the same", a.Env.CI)
			}
			if err := shell.Outside(a, "a service is installed"); err != nil {
				return err
			}
			return runInstallService(cmd.Context(), a)
		},
	}
	cmd.Flags().BoolVar(&inCI, "allow-ci-persistent", false, "install it on a CI system too")
	return cmd
}

// installedView is the JSON of daemon install-service.
type installedView struct {
	shell.Header
	OK          bool     `json:"ok"`
	Platform    string   `json:"platform"`
	UnitPath    string   `json:"unitPath"`
	BootCommand []string `json:"bootCommand"`
	PID         int      `json:"pid"`
	Connected   []string `json:"connected" jsonschema:"meshes whose broker was reached"`
	Waiting     []string `json:"waiting" jsonschema:"meshes whose broker was not reached yet"`
}

// Times of an installation: the manager starts the daemon, which reaches a broker (daemon 17).
const (
	bootTime    = 15 * time.Second
	connectTime = 15 * time.Second
)

func runInstallService(ctx context.Context, a *shell.App) error {
	s, err := shell.Unit(a)
	if err != nil {
		return err
	}
	if _, err := s.Text(); err != nil {
		return err
	}
	if probe := s.Probe(); probe != nil { // before anything is stopped
		if err := manage(ctx, a, probe); err != nil {
			return mesh.Errorf(mesh.CodeOf(err), "no service manager serves this user here: %w", err)
		}
	}
	health, err := startUnit(ctx, a, s)
	if err != nil {
		return err
	}
	v := installedView{Header: shell.NewHeader(), OK: true, Platform: s.System, UnitPath: s.File, PID: health.PID}
	v.BootCommand = s.Start()[len(s.Start())-1]
	v.Connected, v.Waiting = reached(health)
	return a.Print(v, func(out term.Stream) { writeInstalled(out, v) })
}

// startUnit puts a unit in the place of what starts the daemon now, and waits for the daemon. Where the manager does not
// start it, all is as it was.
func startUnit(ctx context.Context, a *shell.App, s unit.Service) (localapi.HealthAnswer, error) {
	before := remember(a, s)
	if err := replaceUnit(ctx, a, s); err != nil {
		return localapi.HealthAnswer{}, errors.Join(err, before.bringBack(ctx, a, s))
	}
	return booted(ctx, a)
}

// reached parts the meshes of a daemon by whether their broker answered.
func reached(health localapi.HealthAnswer) (connected, waiting []string) {
	connected, waiting = []string{}, []string{}
	for _, m := range health.Meshes {
		if m.Status == statusOpen {
			connected = append(connected, m.Mesh)
		} else {
			waiting = append(waiting, m.Mesh)
		}
	}
	return connected, waiting
}

// replaceUnit stops the daemon and has the manager start the one of a new unit.
func replaceUnit(ctx context.Context, a *shell.App, s unit.Service) error {
	if there, _ := s.Installed(); there { // the manager reads it anew
		_ = manage(ctx, a, s.Remove()...) // it may not run
	}
	if err := a.Starter().Stop(ctx); err != nil {
		return err
	}
	if err := errors.Join(makeLog(a.Home.Daemon), s.Write()); err != nil {
		return err
	}
	return manage(ctx, a, s.Start()...)
}

// former is how it was before an installation.
type former struct {
	text  []byte // of the unit; nil: none
	lived bool
}

func remember(a *shell.App, s unit.Service) former {
	text, err := os.ReadFile(s.File)
	if err != nil {
		text = nil
	}
	return former{text, a.Starter().Lives()}
}

// bringBack undoes an installation that failed: the unit is as it was, and a daemon that ran runs.
func (f former) bringBack(ctx context.Context, a *shell.App, s unit.Service) error {
	if f.text == nil {
		if _, err := s.Delete(); err != nil {
			return err
		}
	} else {
		if err := s.Put(f.text); err != nil {
			return err
		}
		_ = manage(ctx, a, s.Start()...) // it failed a moment ago, too
	}
	if !f.lived || a.Starter().Lives() {
		return nil
	}
	_, err := a.Starter().Start(ctx)
	return err
}

// statusOpen is a mesh whose broker welcomed us.
const statusOpen = "open"

// booted waits for the daemon, and then for one of its meshes.
func booted(ctx context.Context, a *shell.App) (localapi.HealthAnswer, error) {
	var health localapi.HealthAnswer
	ask := func() bool {
		answer, err := shell.Ask(ctx, a, localapi.Health, shell.ProbeTime, localapi.None{})
		if err == nil {
			health = answer
		}
		return err == nil
	}
	if err := poll(ctx, bootTime, ask); err != nil {
		return health, mesh.Errorf(mesh.DaemonStartFailed, "the unit is installed, but its daemon did not answer within %s; log: %s", bootTime, a.Home.Daemon.Log())
	}
	_ = poll(ctx, connectTime, func() bool { // what is not connected is said
		if !ask() || len(health.Meshes) == 0 {
			return true
		}
		for _, m := range health.Meshes {
			if m.Status == statusOpen {
				return true
			}
		}
		return false
	})
	return health, nil
}

// manage gives the service manager commands, one after the other.
func manage(ctx context.Context, a *shell.App, commands ...[]string) error {
	for _, c := range commands {
		if err := a.Sys.Services.Manage(ctx, c, a.Sys.Environ); err != nil {
			return err
		}
	}
	return nil
}

// makeLog makes the daemon's log, for nobody else to read: managers make no folder, and the file for everybody.
func makeLog(d paths.Daemon) error {
	if err := paths.EnsureDir(d.Dir, paths.DirMode); err != nil {
		return err
	}
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, paths.FileMode)
	if err != nil {
		return mesh.Errorf(mesh.IOError, "make the log: %w", err)
	}
	return log.Close()
}

func writeInstalled(out term.Stream, v installedView) {
	out.OK("the system starts the daemon at each login", shell.Facts("pid "+strconv.Itoa(v.PID), v.UnitPath))
	for _, name := range v.Waiting {
		out.Warn(name + " is not connected yet: `claudemesh daemon status` says why")
	}
	if v.Platform == "linux" {
		out.Hint("loginctl enable-linger, to keep it running while you are logged out")
	}
}

func newUninstallService(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall-service",
		Short: "Have the system no longer start the daemon",
		Long:  "Stop the daemon that the system's service manager started, and remove its unit. The next verb that needs the daemon starts it as before.",
		Args:  a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := shell.Outside(a, "a service is removed"); err != nil {
				return err
			}
			return runUninstallService(cmd.Context(), a)
		},
	}
}

// uninstalledView is the JSON of daemon uninstall-service.
type uninstalledView struct {
	shell.Header
	Platform string   `json:"platform"`
	Removed  []string `json:"removed"`
}

func runUninstallService(ctx context.Context, a *shell.App) error {
	change, err := DropUnit(ctx, a, false)
	if err != nil {
		return err
	}
	v := uninstalledView{Header: shell.NewHeader(), Platform: runtime.GOOS, Removed: []string{}}
	if change.Action == install.Removed {
		v.Removed = append(v.Removed, change.Path)
	}
	return a.Print(v, func(out term.Stream) {
		if len(v.Removed) == 0 {
			out.Off("the system does not start the daemon")
			return
		}
		out.OK("the system no longer starts the daemon", v.Removed[0])
	})
}

// serve runs the daemon here. For a service manager, what another start could not mend ends well: it is said in the log,
// and not tried again and again (daemon 17).
func serve(ctx context.Context, a *shell.App, settings map[string]string, managed bool) error {
	err := a.Sys.Services.Daemon(ctx, a.DaemonService(settings))
	if err == nil || !managed || mesh.CodeOf(err).Retryable() {
		return err
	}
	a.Finish(ctx, err)
	return nil
}
