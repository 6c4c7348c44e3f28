package daemon

import (
	"context"
	"errors"
	"io"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// InProcess opens a daemon within this process, without a socket, under the daemon's lock: already_running becomes
// daemon_running in the caller's words (design A8). Closing it stops it.
func InProcess(ctx context.Context, opt Options) (localapi.Doer, io.Closer, error) {
	d, err := Open(ctx, opt)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- d.Work(ctx) }()
	select {
	case <-d.Ready(): // the first question is answered with the joined meshes
	case err := <-ended:
		cancel()
		return nil, nil, errors.Join(err, d.Close())
	}
	return d.server, closer(func() error {
		d.server.End()
		cancel()
		return errors.Join(<-ended, d.Close())
	}), nil
}

// closer is a function that closes.
type closer func() error

// Close calls it.
func (c closer) Close() error { return c() }
