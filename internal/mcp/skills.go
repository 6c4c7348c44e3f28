package mcp

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// listTime is how long a list waits for the daemon. A host asks as it starts, and is told when there is more.
const listTime = 2 * time.Second

// codeNoResource is the error of MCP for a resource that is not there.
const codeNoResource = -32002

// skillURI begins the address of every skill.
const skillURI = "skill://claudemesh/"

// shelf offers the host the skills that the user has accepted, as prompts and as resources (mcp 1.3). Others are not
// mentioned.
type shelf struct {
	server *server
	door   *door
	log    *slog.Logger
	asked  atomic.Bool // a host that never asks is told of no change
	stale  atomic.Bool // what the host was told may not be so any more
}

type prompt struct {
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Arguments   []empty `json:"arguments"`
}

type promptList struct {
	Prompts []prompt `json:"prompts"`
}

type promptRequest struct {
	Name string `json:"name"`
}

type promptMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

type promptAnswer struct {
	Description string          `json:"description"`
	Messages    []promptMessage `json:"messages"`
}

type resource struct {
	URI         string `json:"uri"`
	Name        string `json:"name"`
	Description string `json:"description"`
	MimeType    string `json:"mimeType"`
}

type resourceList struct {
	Resources []resource `json:"resources"`
}

type resourceTemplates struct {
	Templates []empty `json:"resourceTemplates"`
}

type resourceRequest struct {
	URI string `json:"uri"`
}

type resourceText struct {
	URI      string `json:"uri"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text"`
}

type resourceAnswer struct {
	Contents []resourceText `json:"contents"`
}

// markdown is what every skill is.
const markdown = "text/markdown"

// serve registers the handlers.
func (f *shelf) serve() {
	handle(f.server, "prompts/list", func(ctx context.Context, _ empty) (promptList, error) {
		list := promptList{Prompts: []prompt{}}
		for _, s := range f.list(ctx) {
			list.Prompts = append(list.Prompts, prompt{s.name, s.about(), []empty{}})
		}
		return list, nil
	})
	handle(f.server, "prompts/get", func(ctx context.Context, req promptRequest) (promptAnswer, error) {
		s, text, err := f.read(ctx, req.Name, false)
		if err != nil {
			return promptAnswer{}, noSkill(err, codeParams)
		}
		return promptAnswer{s.about(), []promptMessage{{"user", textOf(text)}}}, nil
	})
	handle(f.server, "resources/list", func(ctx context.Context, _ empty) (resourceList, error) {
		list := resourceList{Resources: []resource{}}
		for _, s := range f.list(ctx) {
			list.Resources = append(list.Resources, resource{skillURI + url.PathEscape(s.name), s.name, s.about(), markdown})
		}
		return list, nil
	})
	handle(f.server, "resources/templates/list", func(context.Context, empty) (resourceTemplates, error) {
		return resourceTemplates{[]empty{}}, nil
	})
	handle(f.server, "resources/read", func(ctx context.Context, req resourceRequest) (resourceAnswer, error) {
		name, ok := strings.CutPrefix(req.URI, skillURI)
		name, err := url.PathUnescape(name)
		if !ok || err != nil {
			return resourceAnswer{}, &rpcError{codeNoResource, "there is no such resource"}
		}
		_, text, err := f.read(ctx, name, true)
		if err != nil {
			return resourceAnswer{}, noSkill(err, codeNoResource)
		}
		return resourceAnswer{[]resourceText{{req.URI, markdown, text}}}, nil
	})
}

// noSkill is the error of a skill that cannot be had.
func noSkill(err error, code int) error {
	if mesh.IsCode(err, mesh.SkillNotFound) {
		return &rpcError{code, "your user has accepted no such skill"}
	}
	return &rpcError{codeInternal, string(mesh.CodeOf(err))}
}

// offered is a skill under the name that the host knows it by.
type offered struct {
	localapi.Skill
	name string
}

// about describes a skill in a line, with who wrote it.
func (s offered) about() string {
	return host.Line(s.Description) + " (by " + host.Name(s.Author) + " in " + host.Line(s.Mesh) + ")"
}

// list is what is offered; nothing when the daemon cannot be asked.
func (f *shelf) list(ctx context.Context) []offered {
	f.asked.Store(true)
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	c, err := f.door.enter(ctx)
	var all []offered
	if err == nil {
		all, err = accepted(ctx, c)
	}
	if err != nil {
		f.stale.Store(true)
		f.log.Info("skills are not listed", slog.Any(logkey.Err, err))
	}
	f.log.Info("skills were listed", slog.Int(logkey.Count, len(all)))
	return all
}

// accepted asks the daemon.
func accepted(ctx context.Context, c *local.Client) ([]offered, error) {
	answer, err := localapi.Skills.Do(ctx, c, localapi.SkillsRequest{Accepted: true})
	if err != nil {
		return nil, err
	}
	all := make([]offered, 0, len(answer.Skills))
	for _, s := range answer.Skills {
		all = append(all, offered{s, localapi.OfferedAs(s, answer.Skills)})
	}
	return all, nil
}

// read gives the text of a skill.
func (f *shelf) read(ctx context.Context, name string, whole bool) (offered, string, error) {
	c, err := f.door.enter(ctx)
	if err != nil {
		return offered{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	all, err := accepted(ctx, c)
	if err != nil {
		return offered{}, "", err
	}
	for _, s := range all {
		if s.name != name {
			continue
		}
		answer, err := localapi.SkillGet.Do(ctx, c, localapi.SkillRequest{Name: s.Name, Mesh: s.Mesh, Accepted: true})
		if err != nil {
			return s, "", err
		}
		text, err := skillText(answer.Skill, whole)
		return s, text, err
	}
	return offered{}, "", mesh.Errorf(mesh.SkillNotFound, "there is no skill of this name")
}

// skillText is a skill as a host reads one: what is said of it as JSON strings, which no publisher can end, then its
// instructions. What would give it rights, such as tools that are allowed, is never in it.
func skillText(s localapi.Skill, whole bool) (string, error) {
	var head strings.Builder
	line := func(key string, value any) error {
		text, err := wire.Encode(value)
		if err == nil && string(text) != `""` && string(text) != "[]" {
			head.WriteString(key + ": " + string(text) + "\n")
		}
		return err
	}
	fields := []field{
		{"description", host.Page(s.Description)}, {"when_to_use", host.Page(s.WhenToUse)}, {"argument-hint", host.Line(s.ArgumentHint)},
		{"author", host.Name(s.Author)}, {"mesh", host.Line(s.Mesh)},
	}
	if whole {
		tags := []string{}
		for _, tag := range s.Tags {
			tags = append(tags, host.Line(tag))
		}
		fields = append([]field{{"name", host.Line(s.Name)}, {"tags", tags}}, fields...)
	}
	for _, f := range fields {
		if err := line(f.key, f.value); err != nil {
			return "", err
		}
	}
	body := ""
	if s.Instructions != nil {
		body = host.Page(*s.Instructions)
	}
	return "---\n" + head.String() + "---\n\n" + body, nil
}

// field is a line of front matter.
type field struct {
	key   string
	value any // string or []string
}

// changed tells the host that there are other skills.
func (f *shelf) changed() {
	if !f.asked.Load() {
		return
	}
	for _, list := range []string{"notifications/prompts/list_changed", "notifications/resources/list_changed"} {
		if err := f.server.notify(list, empty{}); err != nil {
			f.log.Warn("host was not told of other skills", slog.Any(logkey.Err, err))
		}
	}
	f.log.Info("host was told of other skills")
}

// connected tells the host to ask again where it could not be told the truth; lost is called when the daemon is gone.
func (f *shelf) connected() {
	if f.stale.Swap(false) {
		f.changed()
	}
}

func (f *shelf) lost() { f.stale.Store(f.asked.Load()) }
