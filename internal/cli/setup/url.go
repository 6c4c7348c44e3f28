package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewURLHandler is the noun url-handler.
func NewURLHandler(a *shell.App) *cobra.Command {
	remove := &cobra.Command{
		Use: "uninstall", Aliases: []string{"remove"},
		Short: "Have the system no longer give claudemesh:// links to this program",
		Long:  "Have the system no longer give claudemesh:// links to this program. What `claudemesh url-handler install` wrote is removed.",
		Args:  a.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runForget(cmd.Context(), a) },
	}
	return shell.Noun("url-handler", "Handle claudemesh:// links of web pages", newRegister(a), remove, newOpen(a))
}

func newRegister(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "install", Short: "Have the system give claudemesh:// links to this program",
		Long: "Have the system give links that begin with claudemesh:// to this program, so that an invite can be a button on a web page. A link is taken only " +
			"when it is claudemesh://<broker>/i/<code> and nothing else; no shell ever reads it, and nothing is joined before you say yes.",
		Example: "claudemesh url-handler install",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRegister(cmd.Context(), a) },
	}
}

func newOpen(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "open <link>", Short: "Join the mesh of a claudemesh:// link, after a question",
		Long: "Join the mesh of a link of the form claudemesh://<broker>/i/<code>, as the system calls it for a link in a web page. It asks first; anything else " +
			"is refused.",
		Example: "claudemesh url-handler open claudemesh://mesh.example.com/i/7dQm4xZt9BcA",
		Args:    shell.Exactly("the link"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runOpen(cmd, a, args[0]) },
	}
}

// handlerView is the JSON of url-handler install and uninstall.
type handlerView struct {
	shell.Header
	OK      bool   `json:"ok"`
	Scheme  string `json:"scheme"`
	Path    string `json:"path,omitzero" jsonschema:"of what was written, or removed"`
	Program string `json:"program,omitzero"`
}

func scheme(a *shell.App) (install.Scheme, error) {
	places, err := shell.Places(a)
	return install.Scheme{System: runtime.GOOS, Home: places.Home, Program: shell.Program(a)}, err
}

func runRegister(ctx context.Context, a *shell.App) error {
	if err := shell.Outside(a, "links are given to programs"); err != nil {
		return err
	}
	s, err := scheme(a)
	if err != nil {
		return err
	}
	commands, err := s.Register()
	if err != nil {
		return err
	}
	path, text := s.File()
	if path != "" {
		if err := putFile(path, text); err != nil {
			return err
		}
	}
	if app := s.App(); app != "" {
		if err := os.RemoveAll(app); err != nil { // it is made anew
			return mesh.Errorf(mesh.IOError, "remove the old app: %w", err)
		}
	}
	for _, c := range commands {
		if err := a.Sys.Services.Manage(ctx, c, a.Sys.Environ); err != nil {
			if runtime.GOOS != "linux" {
				return err
			}
			a.Warn("the desktop may not know it before you log in again: %s", mesh.PublicText(err)) // it reads the folder itself
		}
	}
	v := handlerView{shell.NewHeader(), true, install.SchemeName, path, s.Program}
	return a.Print(v, func(out term.Stream) { out.OK("claudemesh:// links are given to this program", path) })
}

func putFile(path, text string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		return mesh.Errorf(mesh.IOError, "write %s: %w", path, err)
	}
	return nil
}

func runForget(ctx context.Context, a *shell.App) error {
	if err := shell.Outside(a, "links are given to programs"); err != nil {
		return err
	}
	path, err := forgetScheme(ctx, a)
	if err != nil {
		return err
	}
	v := handlerView{Header: shell.NewHeader(), OK: true, Scheme: install.SchemeName, Path: path}
	return a.Print(v, func(out term.Stream) {
		if path == "" && runtime.GOOS != "windows" {
			out.Off("claudemesh:// links are not given to this program")
			return
		}
		out.OK("claudemesh:// links are no longer given to this program", path)
	})
}

// forgetScheme takes back what install of url-handler wrote, and gives the path of it; none where it was not there, or is no
// file.
func forgetScheme(ctx context.Context, a *shell.App) (string, error) {
	s, err := scheme(a)
	if err != nil {
		return "", err
	}
	path, _ := s.File()
	if path != "" {
		switch err := os.Remove(path); {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil
		case err != nil:
			return "", mesh.Errorf(mesh.IOError, "remove %s: %w", path, err)
		}
	}
	if app := s.App(); app != "" {
		if err := os.RemoveAll(app); err != nil {
			return "", mesh.Errorf(mesh.IOError, "remove the app: %w", err)
		}
	}
	for _, c := range s.Forget() {
		_ = a.Sys.Services.Manage(ctx, c, a.Sys.Environ) // what it would forget is gone, or never was
	}
	return path, nil
}

// openedView is the JSON of url-handler open.
type openedView struct {
	shell.Header
	OK       bool   `json:"ok"`
	Mesh     string `json:"mesh"`
	Broker   string `json:"broker_url"`
	Owner    string `json:"owner_fingerprint,omitzero"`
	Unpinned bool   `json:"unpinned,omitzero" jsonschema:"the link did not name the owner: compare the fingerprint with theirs"`
}

func runOpen(cmd *cobra.Command, a *shell.App, text string) error {
	if err := shell.Outside(a, "such a link is opened"); err != nil {
		return err
	}
	link, host, err := install.ParseScheme(text)
	if err != nil {
		return err
	}
	if err := shell.Confirm(cmd, a, "a link wants you to join a mesh at "+host); err != nil {
		return err
	}
	answer, err := shell.Call(cmd.Context(), a, localapi.MeshJoin, shell.CallTime, localapi.MeshJoinRequest{Link: link})
	if err != nil {
		return err
	}
	m := answer.Mesh
	v := openedView{shell.NewHeader(), true, m.Slug, m.BrokerURL, m.OwnerPrint, answer.Unpinned}
	return a.Print(v, func(out term.Stream) {
		out.OK("joined "+m.Slug, shell.Facts(m.BrokerURL, shell.Prefixed("owner ", m.OwnerPrint)))
		if answer.Unpinned {
			out.Warn("the link did not name the owner: compare the fingerprint with theirs")
		}
	})
}
