package mcp

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// tool is a route of the daemon as a model calls it. Its name and its arguments are those of the route's declaration.
type tool struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	InputSchema schema `json:"inputSchema"`
	Annotations hints  `json:"annotations"`

	run func(ctx context.Context, c *local.Client, args wire.RawMessage) (string, error)
}

// hints are what a host may go by when it asks its user about a call.
type hints struct {
	ReadOnly    bool `json:"readOnlyHint"`
	Destructive bool `json:"destructiveHint"`
	Idempotent  bool `json:"idempotentHint"`
	OpenWorld   bool `json:"openWorldHint"`
}

type toolList struct {
	Tools []tool `json:"tools"`
}

type toolCall struct {
	Name      string          `json:"name"`
	Arguments wire.RawMessage `json:"arguments"`
}

// content is one part of a tool's answer.
type content struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type toolAnswer struct {
	Content []content `json:"content"`
	IsError bool      `json:"isError"`
}

func textOf(s string) content { return content{"text", s} }

// serveTools answers tools/list and tools/call; none says that there are none (mcp 1.3).
func serveTools(s *server, d *door, tools []tool, log *slog.Logger) {
	handle(s, "tools/list", func(context.Context, empty) (toolList, error) {
		return toolList{append([]tool{}, tools...)}, nil
	})
	if len(tools) == 0 {
		return
	}
	handle(s, "tools/call", func(ctx context.Context, call toolCall) (toolAnswer, error) {
		for _, t := range tools {
			if t.Name == call.Name {
				return t.answer(ctx, d, call.Arguments, log), nil
			}
		}
		return toolAnswer{}, &rpcError{codeParams, "there is no such tool"}
	})
}

// answer runs the tool. What goes wrong is for the model to read: it is no error of the protocol.
func (t tool) answer(ctx context.Context, d *door, args wire.RawMessage, log *slog.Logger) toolAnswer {
	ctx, cancel := context.WithTimeout(ctx, 2*callTime)
	defer cancel()
	c, err := d.enter(ctx)
	text := ""
	if err == nil {
		text, err = t.run(ctx, c, args)
	}
	if err != nil {
		log.Info("tool was refused", slog.String(logkey.Name, t.Name), slog.Any(logkey.Err, err))
		return toolAnswer{Content: []content{textOf(refusal(err))}, IsError: true}
	}
	return toolAnswer{Content: append([]content{textOf(text)}, d.bring(ctx)...)}
}

// refusal says why something was not done: the code, a sentence, who could be meant, and what helps.
func refusal(err error) string {
	code := mesh.CodeOf(err)
	var b strings.Builder
	b.WriteString(string(code) + ": " + host.Body(mesh.PublicText(err)))
	var e *mesh.Error
	if errors.As(err, &e) {
		for _, c := range e.Details.Candidates {
			b.WriteString("\n- " + host.Name(c.Name) + " " + string(c.Key) + " in " + host.Line(c.Mesh))
			if c.Online {
				b.WriteString(", online")
			}
		}
		if len(e.Details.Attached) > 0 {
			b.WriteString("\nmeshes: " + host.Line(strings.Join(e.Details.Attached, ", ")))
		}
	}
	var letter *letterError
	if errors.As(err, &letter) {
		b.WriteString("\nclient_message_id: " + host.Line(letter.id))
	}
	if hint := code.Hint(); hint != "" {
		b.WriteString("\nIn a shell: " + hint)
	}
	return b.String()
}

// offerTool makes a tool of a route, with those of its fields that are named. The words of about are the tool's own.
func offerTool[Req, Resp any](route localapi.Call[Req, Resp], about tool, fields ...string) tool {
	about.Name, about.InputSchema = route.Tool, schemaOf(route.Entry.Request, fields)
	return about
}

// arguments reads a request of what a model gave.
func arguments[Req any](s schema, raw wire.RawMessage) (Req, error) {
	var req Req
	given, err := s.check(raw)
	if err != nil {
		return req, err
	}
	whole, err := wire.Encode(given)
	if err == nil {
		err = wire.Decode(whole, &req)
	}
	if err != nil {
		return req, mesh.Errorf(mesh.InvalidArgument, "an argument has the wrong type")
	}
	return req, nil
}
