package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// lockPatience outlasts those who only ask whether the lock is held.
const lockPatience = 500 * time.Millisecond

// occupy makes the data folder this process's own: the lock says who runs, the pid file tells people. The release
// undoes both. A second broker is already_running.
func occupy(ctx context.Context, data paths.Broker) (release func(), err error) {
	if err := paths.EnsureDir(data.Dir, paths.DirMode); err != nil {
		return nil, err
	}
	lock := flock.New(data.Lock(), flock.SetPermissions(paths.FileMode))
	wait, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	got, err := lock.TryLockContext(wait, lockPatience/10)
	if err != nil && wait.Err() == nil {
		return nil, mesh.Errorf(mesh.IOError, "lock the data folder: %w", err)
	}
	if !got {
		return nil, mesh.Errorf(mesh.AlreadyRunning, "a broker runs on %s%s", data.Dir, byPID(data))
	}
	if err := paths.WriteSecret(data.PID(), []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		_ = lock.Unlock() // the first error is the one to report
		return nil, err
	}
	return func() {
		_ = os.Remove(data.PID()) // as information only
		_ = lock.Unlock()         // ends with the process anyway
	}, nil
}

// byPID names the process that holds the folder, where its file says so.
func byPID(data paths.Broker) string {
	text, _, err := paths.ReadSecret(data.PID())
	if err != nil {
		return "" // the sentence stands without it
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", process %d", pid)
}

// token is the hash of the create-token: what has not got it cannot leak it.
type token [sha256.Size]byte

// createToken reads the token, or makes it at the first start (design C1).
func createToken(data paths.Broker, log *slog.Logger) (token, error) {
	text, warning, err := paths.ReadSecret(data.CreateToken())
	if warning != "" {
		log.Warn("the create-token is not private", slog.String(logkey.Reason, string(warning)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(mesh.NewToken() + "\n")
		err = paths.WriteSecret(data.CreateToken(), text)
	}
	if err != nil {
		return token{}, err
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return token{}, mesh.Errorf(mesh.ConfigUnreadable, "%s is empty: remove it, and the next start makes a new one", data.CreateToken())
	}
	return sha256.Sum256([]byte(trimmed)), nil
}
