// Package upgrade is the verb upgrade, which says whether there is a newer release, and how to get it. It replaces nothing: no
// release is signed by a key that this program knows.
package upgrade

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// module is what go installs.
const module = "github.com/claudemesh/claudemesh/cmd/claudemesh"

// Bounds of asking: how long the source may take and how much it may say, and how long what it said is good for.
const (
	askTime  = 10 * time.Second
	maxBytes = 64 << 10
	period   = 24 * time.Hour
)

// view is the JSON of upgrade.
type view struct {
	shell.Header
	Version string `json:"version" jsonschema:"of this program"`
	Newest  string `json:"newest,omitzero" jsonschema:"release, as the source says; left out where none is set"`
	Newer   bool   `json:"newer" jsonschema:"it is certainly newer than this program"`
	Asked   string `json:"asked_at,omitzero"`
	Command string `json:"command" jsonschema:"what gets it"`
}

// heard is what is remembered of an answer.
type heard struct {
	Source  string `json:"source"`
	Version string `json:"version"`
	Asked   string `json:"asked_at"`
}

// New makes the verb.
func New(a *shell.App) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "upgrade", Aliases: []string{"update"},
		Short: "Say whether there is a newer release, and how to get it",
		Long: "Ask the source of releases, which the setting upgrade_source names, for the newest one, and print the command that gets it. Nothing is replaced: the " +
			"command is for you to run. Without a source nobody is asked. No other verb ever asks.",
		Example: "claudemesh upgrade\nclaudemesh upgrade --check || echo 'there is a newer one'",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), a, check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "ask at most once a day, and end with status 1 when there is a newer one")
	return cmd
}

func run(ctx context.Context, a *shell.App, check bool) error {
	settings, err := config.LoadDaemon(config.Sources{File: a.Home.Config.Settings(), Env: a.Sys.Lookup})
	if err != nil {
		return err
	}
	v := view{Header: shell.NewHeader(), Version: buildinfo.Version(), Command: "go install " + module + "@latest"}
	if settings.UpgradeSource != "" {
		h, err := newest(ctx, a, settings.UpgradeSource, check)
		if err != nil {
			return err
		}
		v.Newest, v.Asked, v.Newer = h.Version, h.Asked, buildinfo.Older(v.Version, h.Version)
		v.Command = "go install " + module + "@" + h.Version
	}
	if err := a.Print(v, func(s term.Stream) { show(s, v) }); err != nil || !check || !v.Newer {
		return err
	}
	return shell.Exit(mesh.ExitCancelled) // 1: there is something to do
}

func show(s term.Stream, v view) {
	switch {
	case v.Newest == "":
		s.Off("no source of releases is set (upgrade_source); this is " + v.Version)
		s.Hint(v.Command)
	case v.Newer:
		s.OK(v.Newest+" is there", "this is "+v.Version)
		s.Hint(v.Command + ", then `claudemesh install`")
	default:
		s.OK("nothing newer is there", shell.Facts("this is "+v.Version, "the newest release is "+v.Newest))
	}
}

// newest gives the newest release of a source: what it said within the last day, where that is enough.
func newest(ctx context.Context, a *shell.App, source string, lately bool) (heard, error) {
	var h heard
	file := a.Home.Daemon.Upgrade()
	if data, err := os.ReadFile(file); lately && err == nil && wire.Decode(data, &h) == nil && h.Source == source {
		at, err := time.Parse(time.RFC3339, h.Asked)
		if age := a.Now().Sub(at); err == nil && age >= 0 && age < period && checkVersion(h.Version) == nil {
			return h, nil
		}
	}
	version, err := ask(ctx, source)
	if err != nil {
		return heard{}, err
	}
	h = heard{source, version, mesh.FormatTime(a.Now())}
	data, err := wire.Encode(h)
	if err == nil {
		err = paths.EnsureDir(a.Home.Daemon.Dir, paths.DirMode)
	}
	if err == nil {
		err = paths.WriteSecret(file, data)
	}
	return h, err
}

// ask reads the name of the newest release from a source. It follows no redirect to where the rules for sources do not hold.
func ask(ctx context.Context, source string) (string, error) {
	if err := checkSource(source); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return "", mesh.Errorf(mesh.SettingsRefused, "upgrade_source: %w", err)
	}
	client := &http.Client{CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return mesh.Errorf(mesh.BadRequest, "the source of releases redirects for ever")
		}
		return checkSource(to.URL.String())
	}}
	resp, err := client.Do(req)
	if err != nil {
		return "", mesh.Errorf(mesh.Timeout, "the source of releases does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read, or given up
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes))
	var release struct {
		Version string `json:"version"`
	}
	if err != nil || resp.StatusCode != http.StatusOK || wire.Decode(data, &release) != nil {
		return "", mesh.Errorf(mesh.BadRequest, "the source of releases answers with status %d, and names no release", resp.StatusCode)
	}
	return release.Version, checkVersion(release.Version)
}

// checkSource takes https, and http to this machine.
func checkSource(source string) error {
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return mesh.Errorf(mesh.SettingsRefused, "upgrade_source: %s is no URL", source)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return mesh.Errorf(mesh.SettingsRefused, "upgrade_source: %s is neither https nor on this machine", source)
}

// maxVersion is longer than any real one.
const maxVersion = 64

// checkVersion takes what can stand in a command as a version, and nothing else.
func checkVersion(v string) error {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-"
	if len(v) < 2 || len(v) > maxVersion || v[0] != 'v' || strings.ContainsFunc(v, func(r rune) bool { return !strings.ContainsRune(letters, r) }) {
		return mesh.Errorf(mesh.BadRequest, "the source of releases names %q, which is no version", v)
	}
	return nil
}
