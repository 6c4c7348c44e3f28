package install

import (
	"path/filepath"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Scheme is claudemesh:// as a kind of link that the system gives to this program.
type Scheme struct {
	System  string // as runtime.GOOS
	Home    string // the user's
	Program string // absolute path of ours
}

// SchemeName is what such links begin with.
const SchemeName = "claudemesh"

// openWords are those of our verb that takes a link as its last word. Behind them nothing of the link is a flag, should the system part it into
// words.
var openWords = []string{"url-handler", "open", "--"}

// File is what is written, and where; empty where nothing is. On macOS it is the source of the app that Register makes.
func (s Scheme) File() (path, text string) {
	switch s.System {
	case "linux":
		return filepath.Join(s.applications(), "claudemesh.desktop"), s.desktop()
	case "darwin":
		return filepath.Join(s.Home, "Library", "Application Support", "claudemesh", "claudemesh.applescript"), s.applet()
	}
	return "", ""
}

// App is the folder that Register makes on macOS; empty elsewhere.
func (s Scheme) App() string {
	if s.System != "darwin" {
		return ""
	}
	return filepath.Join(s.Home, "Library", "Application Support", "claudemesh", "claudemesh.app")
}

func (s Scheme) applications() string {
	return filepath.Join(s.Home, ".local", "share", "applications")
}

// registryKey is where Windows looks for the scheme of this user.
const registryKey = `HKCU\Software\Classes\` + SchemeName

// Register are the commands that tell the system, each with its arguments: no shell reads them. bad_request on a system that
// is not known, and for a program that cannot be named there.
func (s Scheme) Register() ([][]string, error) {
	switch s.System {
	case "linux":
		if strings.ContainsAny(s.Program, "\"`$\\\n%") {
			return nil, mesh.Errorf(mesh.BadRequest, "a desktop entry starts no program whose path has quotes, $, %% or backslashes: %s", s.Program)
		}
		return [][]string{{"update-desktop-database", s.applications()}}, nil
	case "darwin":
		source, _ := s.File()
		types, err := wire.Encode([]map[string]any{{"CFBundleURLName": SchemeName, "CFBundleURLSchemes": []string{SchemeName}}})
		if err != nil {
			return nil, err
		}
		return [][]string{
			{"/usr/bin/osacompile", "-o", s.App(), source},
			{"/usr/bin/plutil", "-insert", "CFBundleURLTypes", "-json", string(types), filepath.Join(s.App(), "Contents", "Info.plist")},
			{"/usr/bin/open", "-g", "-R", s.App()}, // the system reads what the app can do
		}, nil
	case "windows":
		command := `"` + s.Program + `" ` + strings.Join(openWords, " ") + ` "%1"`
		return [][]string{
			{"reg", "add", registryKey, "/ve", "/d", "URL:" + SchemeName, "/f"},
			{"reg", "add", registryKey, "/v", "URL Protocol", "/d", "", "/f"},
			{"reg", "add", registryKey + `\shell\open\command`, "/ve", "/d", command, "/f"},
		}, nil
	}
	return nil, mesh.Errorf(mesh.BadRequest, "no way is known to handle links on %s", s.System)
}

// Forget are the commands that make the system forget it, when what was written is gone.
func (s Scheme) Forget() [][]string {
	switch s.System {
	case "linux":
		return [][]string{{"update-desktop-database", s.applications()}}
	case "windows":
		return [][]string{{"reg", "delete", registryKey, "/f"}}
	}
	return nil
}

// desktop is an entry for what opens links on Linux. The field code %u is one word, whatever the link has in it.
func (s Scheme) desktop() string {
	return `[Desktop Entry]
Type=Application
Name=claudemesh
Comment=Join a mesh by its link
Exec="` + s.Program + `" ` + strings.Join(openWords, " ") + ` %u
Terminal=true
NoDisplay=true
MimeType=x-scheme-handler/` + SchemeName + `;
`
}

// applet is an app that asks, then gives the link to this program as one word, without a shell. A link with any other letter
// than those of a link is dropped.
func (s Scheme) applet() string {
	program := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Program)
	return `use AppleScript version "2.4"
use framework "Foundation"
use scripting additions

on open location theLink
	considering case
		repeat with letter in characters of theLink
			if "` + linkLetters + `" does not contain letter then return
		end repeat
	end considering
	display dialog "Join the mesh of this link?" & return & return & theLink buttons {"Cancel", "Join"} default button "Cancel" with title "claudemesh"
	if button returned of result is "Join" then
		current application's NSTask's launchedTaskWithLaunchPath:"` + program + `" arguments:{"--yes", "` + strings.Join(openWords, `", "`) + `", theLink as text}
	end if
end open location
`
}

// The letters of a link, of the name of a host, and of a code.
const (
	codeLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	hostLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"
	linkLetters = codeLetters + ".:/#"
)

// maxSchemeBytes is above any real link.
const maxSchemeBytes = 512

// ParseScheme reads claudemesh://<host>[:<port>]/i/<code>[#<owner>[.<pin>]], and gives the invite link that it stands for, with
// its host. Whatever else somebody wrote into a page is bad_request.
func ParseScheme(text string) (link, host string, err error) {
	wrong := mesh.Errorf(mesh.BadRequest, "this is no invite link of the form %s://<broker>/i/<code>", SchemeName)
	rest, ok := strings.CutPrefix(text, SchemeName+"://")
	if !ok || len(text) > maxSchemeBytes {
		return "", "", wrong
	}
	host, rest, ok = strings.Cut(rest, "/i/")
	name, port, hasPort := strings.Cut(host, ":")
	code, proof, hasProof := strings.Cut(rest, "#")
	owner, pin, hasPin := strings.Cut(proof, ".")
	switch {
	case !ok, !only(name, hostLetters), hasPort && !only(port, "0123456789"), !only(code, codeLetters), hasProof && !only(owner, codeLetters), hasPin && !only(pin, codeLetters):
		return "", "", wrong
	}
	scheme := "https"
	if name == "127.0.0.1" || strings.EqualFold(name, "localhost") {
		scheme = "http" // this machine's own broker
	}
	return scheme + "://" + host + "/i/" + rest, host, nil
}

// only reports whether a text has letters of a set, and no others.
func only(text, letters string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}
