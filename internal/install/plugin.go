package install

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/claudemesh/claudemesh/internal/splice"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Names of the plugin of Claude Code, and where it lies in its marketplace.
const (
	pluginName   = "claudemesh"
	pluginFolder = "plugin"
	// pluginProgram is found on PATH: a plugin that is fetched cannot know where the program lies.
	pluginProgram = "claudemesh"
	pluginText    = "Messages between coding sessions, on this machine and others"
)

// author is who makes the plugin.
type author struct {
	Name string `json:"name"`
}

// manifest is a plugin's own file (host 7).
type manifest struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Author      author            `json:"author"`
	Keywords    []string          `json:"keywords"`
	MCPServers  map[string]server `json:"mcpServers"`
}

// marketplace lists the plugins of a repository.
type marketplace struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Owner       author   `json:"owner"`
	Plugins     []listed `json:"plugins"`
}

type listed struct {
	Name        string `json:"name"`
	Source      string `json:"source"`
	Description string `json:"description"`
}

// Plugin is what install tells Claude Code, as a plugin with the marketplace that offers it: files by their paths from the
// root of the repository. The skill's files are by name.
func Plugin(skill map[string]string) (map[string]string, error) {
	files := map[string]string{}
	hooks := map[string][]matcher{}
	for _, event := range events {
		hooks[event] = []matcher{{commands(pluginProgram, event)}}
	}
	maker := author{pluginName}
	for name, value := range map[string]any{
		".claude-plugin/marketplace.json": marketplace{
			Name: pluginName, Description: pluginText, Owner: maker,
			Plugins: []listed{{Name: pluginName, Source: "./" + pluginFolder, Description: pluginText}},
		},
		pluginFolder + "/.claude-plugin/plugin.json": manifest{
			Name: pluginName, Description: pluginText, Author: maker, Keywords: []string{"messages", "sessions", "mesh"},
			MCPServers: map[string]server{entryName: {Command: pluginProgram, Args: mcpArgs}},
		},
		pluginFolder + "/hooks/hooks.json": map[string]map[string][]matcher{"hooks": hooks},
	} {
		text, err := wire.EncodeIndent(value)
		if err != nil {
			return nil, err
		}
		files[name] = string(text) + "\n"
	}
	for _, name := range slices.Sorted(maps.Keys(skill)) {
		files[path.Join(pluginFolder, "skills", entryName, name)] = skill[name]
	}
	return files, nil
}

// PluginID is what Claude Code calls the plugin of our marketplace.
const PluginID = pluginName + "@" + pluginName

// Plugged reports whether Claude Code has the plugin of our marketplace switched on for this user.
func (p Places) Plugged() bool {
	text, err := os.ReadFile(filepath.Join(p.claude(), "settings.json"))
	if err != nil {
		return false
	}
	value, ok, err := splice.JSON(text, "enabledPlugins", PluginID)
	return ok && err == nil && string(value) != "false"
}
