// Package selftest is the verb test, which sends a real message through each broker and looks at what becomes of it.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// stepView is one thing that was done, and what proves it.
type stepView struct {
	Name     string  `json:"name"`
	OK       bool    `json:"ok"`
	Evidence string  `json:"evidence"`
	TookMS   float64 `json:"took_ms"`
}

// meshView is the test of one mesh.
type meshView struct {
	Mesh  string     `json:"mesh"`
	OK    bool       `json:"ok"`
	Steps []stepView `json:"steps" jsonschema:"in their order; the first that failed is the last, but for tidying up"`
}

// view is the JSON of test.
type view struct {
	shell.Header
	OK     bool       `json:"ok"`
	Meshes []meshView `json:"meshes"`
}

// Times of a test: for a connection to open, and for a message to arrive.
const (
	openTime   = 15 * time.Second
	arriveTime = 30 * time.Second
	lookStep   = 50 * time.Millisecond
)

// New makes the verb.
func New(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Send a message through each broker and back, and show what proves it",
		Long: "Send a real message through the broker of each joined mesh, and look at what becomes of it: two sessions that last as long as the test are " +
			"opened here, and one sends the other a message, which is read and acknowledged. Then it is deleted and both end; others may see them come and go. It is for " +
			"a human in a terminal. `claudemesh doctor` looks at everything else.",
		Example: "claudemesh test\nclaudemesh test --mesh team --json",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := shell.Outside(a, "meshes are tested"); err != nil {
				return err
			}
			return run(cmd.Context(), a, slug)
		},
	}
	cmd.Flags().StringVar(&slug, "mesh", "", "this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func run(ctx context.Context, a *shell.App, slug string) error {
	joined, err := shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	if err != nil {
		return err
	}
	v := view{Header: shell.NewHeader(), OK: true, Meshes: []meshView{}}
	var failed error
	for _, m := range joined.Meshes {
		if slug != "" && m.Slug != slug {
			continue
		}
		t := &trial{app: a, mesh: m, view: meshView{Mesh: m.Slug, Steps: []stepView{}}}
		if err := t.run(ctx); err != nil {
			failed, v.OK = err, false
		}
		v.Meshes = append(v.Meshes, t.view)
	}
	switch {
	case len(v.Meshes) == 0 && slug != "":
		return mesh.Errorf(mesh.NotFound, "no mesh %q is joined; there is %s", slug, strings.Join(shell.Slugs(joined.Meshes), ", "))
	case len(v.Meshes) == 0:
		return mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	}
	if err := a.Print(v, func(s term.Stream) { show(s, v) }); err != nil || failed == nil {
		return err
	}
	return shell.Exit(mesh.CodeOf(failed).Exit())
}

// seat is a session of the test.
type seat struct {
	id      string
	client  *local.Client // speaks as it
	token   string
	session localapi.SessionMesh
}

// trial is the test of one mesh, step by step.
type trial struct {
	app      *shell.App
	mesh     localapi.Mesh
	view     meshView
	from, to seat
	sent     localapi.SendAnswer
	got      localapi.InboxItem
}

// run makes the steps until one fails, and tidies up in any case.
func (t *trial) run(ctx context.Context) (err error) {
	for _, s := range []struct {
		name string
		do   func(context.Context) (evidence string, err error)
	}{
		{"the broker answers", t.ping}, {"two sessions are connected", t.open}, {"a message is sent", t.send}, {"it arrived", t.read}, {"its sender hears of it", t.acknowledge},
	} {
		if err = t.step(ctx, s.name, s.do); err != nil {
			break
		}
	}
	if t.from.token != "" {
		if tidied := t.step(context.WithoutCancel(ctx), "its message is deleted, its sessions are over", t.tidy); err == nil {
			err = tidied
		}
	}
	t.view.OK = err == nil
	return err
}

func (t *trial) step(ctx context.Context, name string, do func(context.Context) (string, error)) error {
	began := t.app.Now()
	evidence, err := do(ctx)
	if err != nil {
		evidence = mesh.PublicText(err)
	}
	t.view.Steps = append(t.view.Steps, stepView{name, err == nil, evidence, float64(t.app.Now().Sub(began).Microseconds()) / 1000})
	return err
}

func (t *trial) ping(ctx context.Context) (string, error) {
	answer, err := shell.Ask(ctx, t.app, localapi.PingBrokers, shell.CallTime, localapi.PingRequest{Mesh: t.mesh.Slug})
	switch {
	case err != nil:
		return "", err
	case len(answer.Meshes) != 1 || !answer.Meshes[0].OK:
		return "", mesh.Errorf(mesh.BrokerDown, "%s does not answer", t.mesh.BrokerURL)
	}
	return t.mesh.BrokerURL, nil
}

// open makes this process two sessions in this mesh alone.
func (t *trial) open(ctx context.Context) (string, error) {
	for _, s := range []*seat{&t.from, &t.to} {
		s.id = uuid.NewString()
		answer, err := shell.Ask(ctx, t.app, localapi.SessionRegister, shell.CallTime, localapi.RegisterRequest{
			SessionID: s.id, PID: os.Getpid(), CWD: t.app.Sys.WorkDir, DisplayName: "selftest", Host: localapi.Host{Name: "claudemesh-test"}, Mesh: t.mesh.Slug,
		})
		if err != nil {
			return "", err
		}
		s.token, s.client = answer.Token, local.New(t.app.Home.Daemon.Socket(), t.app.Sys.Now)
		s.client.Token = func() string { return s.token }
		if err := s.connect(ctx); err != nil {
			return "", err
		}
	}
	return shell.Facts(t.from.session.SessionPubkey.Short(), t.to.session.SessionPubkey.Short()), nil
}

// connect waits until the broker has welcomed a session.
func (s *seat) connect(ctx context.Context) error {
	return poll(ctx, openTime, "a session was not connected", func(ctx context.Context) (bool, error) {
		me, err := localapi.SessionMe.Do(ctx, s.client, localapi.None{})
		if err != nil || len(me.Sessions) != 1 {
			return false, err
		}
		s.session = me.Sessions[0]
		return s.session.Status == shell.StatusOpen, nil
	})
}

// text is what is sent, which nobody else sends.
func (t *trial) text() string { return "selftest " + string(t.to.session.SessionPubkey) }

func (t *trial) send(ctx context.Context) (evidence string, err error) {
	t.sent, err = localapi.Send.Do(ctx, t.from.client, localapi.SendRequest{
		To: string(t.to.session.SessionPubkey), Message: t.text(), Mesh: t.mesh.Slug, ToSelf: true, RequireEncrypted: true,
	})
	return shell.Facts(string(t.sent.ClientMessageID), "encrypted"), err
}

// read waits for the message in the inbox, and compares it.
func (t *trial) read(ctx context.Context) (string, error) {
	keep := false
	err := poll(ctx, arriveTime, "it did not arrive", func(ctx context.Context) (bool, error) {
		page, err := localapi.Inbox.Do(ctx, t.to.client, localapi.InboxRequest{Mesh: t.mesh.Slug, MarkSeen: &keep})
		if err != nil || len(page.Items) == 0 {
			return false, err
		}
		t.got = page.Items[0]
		if t.got.Body == nil || *t.got.Body != t.text() || !t.got.Encrypted || t.got.ClientMessageID != t.sent.ClientMessageID {
			return false, mesh.Errorf(mesh.Internal, "what arrived is not what was sent")
		}
		return true, nil
	})
	proof := "claimed by the relay"
	if t.got.Verified {
		proof = "signed by its sender"
	}
	return shell.Facts("the same text", proof, "broker's id "+string(t.got.BrokerMessageID)), err
}

// acknowledge has the reader sign that it read, and waits until the sender has that, or what the broker can tell of it.
func (t *trial) acknowledge(ctx context.Context) (string, error) {
	answer, err := localapi.InboxAcknowledge.Do(ctx, t.to.client, localapi.AcknowledgeRequest{ID: t.got.ID, Mesh: t.mesh.Slug})
	if err != nil {
		return "", err
	}
	want := mesh.StateAcknowledged
	if answer.Told != "due" && answer.Told != "told" {
		want = mesh.StateDelivered // by a setting of the user, or the broker's age
	}
	evidence := string(want)
	err = poll(ctx, arriveTime, "the sender does not hear that it is "+string(want), func(ctx context.Context) (bool, error) {
		status, err := localapi.MessageStatus.Do(ctx, t.from.client, localapi.StatusRequest{ID: string(t.sent.ClientMessageID), Mesh: t.mesh.Slug})
		if err != nil || len(status.Recipients) == 0 {
			return false, err
		}
		if status.Recipients[0].Verified {
			evidence = string(want) + ", signed by its reader"
		}
		return status.Recipients[0].State == want, nil
	})
	return evidence, err
}

// tidy deletes the message and ends the sessions, with their keys.
func (t *trial) tidy(ctx context.Context) (string, error) {
	var failed []error
	if t.got.ID != "" {
		_, err := localapi.InboxDelete.Do(ctx, t.to.client, localapi.InboxDeleteRequest{ID: t.got.ID})
		failed = append(failed, err)
	}
	for _, s := range []*seat{&t.from, &t.to} {
		if s.token == "" {
			continue
		}
		_, err := localapi.SessionDeregister.Do(ctx, s.client, localapi.DeregisterRequest{Token: s.token})
		failed = append(failed, err, s.client.Close(), t.forget(s.id))
	}
	return "", errors.Join(failed...)
}

// forget removes the key of a session that will never come back.
func (t *trial) forget(id string) error {
	path, err := t.app.Home.Config.SessionKey(t.mesh.MeshID, id)
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// poll asks until the answer is yes, an error, or the time is up.
func poll(ctx context.Context, limit time.Duration, late string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		switch ok, err := done(ctx); {
		case ok:
			return nil
		case err != nil && ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return mesh.Errorf(mesh.Timeout, "%s within %s", late, limit)
		case <-time.After(lookStep):
		}
	}
}

func show(s term.Stream, v view) {
	for _, m := range v.Meshes {
		s.Section(m.Mesh)
		for _, step := range m.Steps {
			if step.OK {
				s.OK(step.Name, shell.Facts(step.Evidence, fmt.Sprintf("%.0f ms", step.TookMS)))
				continue
			}
			s.Line("%s %s  %s", s.Paint(term.Red, "✘"), term.Clean(step.Name), term.Clean(step.Evidence))
		}
	}
}
