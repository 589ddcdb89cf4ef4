package vhostuser

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is how long a server without a file descriptor to spare waits for
// one.
const acceptPause = 100 * time.Millisecond

// Accept hands the connections that come in to take, one after the other, until
// ctx is done; then it returns nil. It closes the listener. A process that has
// used up its file descriptors goes on when it has some again.
func Accept(ctx context.Context, l *net.UnixListener, log *slog.Logger, take func(*net.UnixConn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ECONNABORTED):
			log.Warn("cannot accept a connection", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		case err != nil:
			return err
		default:
			take(c)
		}
	}
}
